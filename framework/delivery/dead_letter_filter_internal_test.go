package delivery

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/fault"
)

func TestDeadLetterFilterMatches(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	letter := &DeadLetter{ID: "7-0-abc", Subscription: "VIP", Cause: fault.CauseIncomplete, Reason: "Status 400: Unknown Field", At: at, Event: []byte(`{"userId":"u1","anonymousId":"a1"}`)}
	for name, c := range map[string]struct {
		filter DeadLetterFilter
		want   bool
	}{
		"everything":                {DeadLetterFilter{}, true},
		"its id":                    {DeadLetterFilter{ID: "7-0-abc"}, true},
		"a part of its id":          {DeadLetterFilter{ID: "7-0"}, false},
		"its subscription":          {DeadLetterFilter{Subscription: "VIP"}, true},
		"another subscription":      {DeadLetterFilter{Subscription: "vip"}, false},
		"a part of its reason":      {DeadLetterFilter{Reason: "unknown FIELD"}, true},
		"its cause":                 {DeadLetterFilter{Cause: fault.CauseIncomplete}, true},
		"another cause":             {DeadLetterFilter{Cause: fault.CauseInvalidEvent}, false},
		"one of its ids":            {DeadLetterFilter{IDs: []string{"1", "7-0-abc"}}, true},
		"none of its ids":           {DeadLetterFilter{IDs: []string{"1"}}, false},
		"an empty list of ids":      {DeadLetterFilter{IDs: []string{}}, false},
		"another reason":            {DeadLetterFilter{Reason: "status 401"}, false},
		"since its time":            {DeadLetterFilter{Since: at}, true},
		"since later":               {DeadLetterFilter{Since: at.Add(1)}, false},
		"until its time":            {DeadLetterFilter{Until: at}, false},
		"until later":               {DeadLetterFilter{Until: at.Add(1)}, true},
		"its user":                  {DeadLetterFilter{User: "u1"}, true},
		"its anonymous user":        {DeadLetterFilter{User: "a1"}, true},
		"another user":              {DeadLetterFilter{User: "u"}, false},
		"one condition of two":      {DeadLetterFilter{User: "u1", Subscription: "all"}, false},
		"the other condition":       {DeadLetterFilter{User: "u2", Subscription: "VIP"}, false},
		"all conditions at once":    {DeadLetterFilter{ID: "7-0-abc", User: "a1", Reason: "status", Since: at, Until: at.Add(1)}, true},
		"all conditions except one": {DeadLetterFilter{ID: "7-0-abd", User: "a1", Reason: "status", Since: at, Until: at.Add(1)}, false},
	} {
		assert.Equal(t, c.want, c.filter.matchesLetter(letter), name)
	}
	assert.False(t, DeadLetterFilter{User: "u1"}.matchesLetter(&DeadLetter{Event: []byte(`{`)}), "an event that cannot be read has no user")
	assert.True(t, DeadLetterFilter{}.IsZero())
	assert.False(t, DeadLetterFilter{Limit: 1}.IsZero())
}

// newLetterQueue returns a queue with the dead letters d0 to d4 and the parked events p0 to p2, two of them of one key.
func newLetterQueue(t *testing.T) *Queue {
	t.Helper()
	q, err := Open(t.Context(), Config{Dir: t.TempDir(), Partitions: 1})
	require.NoError(t, err)
	t.Cleanup(q.Close)
	publish := func(p *publisher, l *DeadLetter) {
		l.Instance, l.Event = "main", []byte(`{"userId":"u1"}`)
		text := fmt.Sprintf(`{"id":%q,"instance":"main","subscription":"All","parked":%t,"key":%q,"reason":"r","seq":%d,"event":{"userId":"u1"}}`, l.ID, l.Parked, l.Key, l.Seq)
		require.NoError(t, p.publishRecords(t.Context(), []record{{l.subjectFor(kindHeld), []byte(text)}}))
	}
	for i := range 5 {
		publish(q.dead, &DeadLetter{ID: fmt.Sprint("d", i), Seq: uint64(i + 1), Key: "k"})
	}
	for i := range 3 {
		publish(q.parked, &DeadLetter{ID: fmt.Sprint("p", i), Seq: uint64(i + 9), Key: []string{"k", "k", "other"}[i], Parked: true})
	}
	return q
}

func lettersOf(t *testing.T, q *Queue, f DeadLetterFilter) (ids []string) {
	t.Helper()
	require.NoError(t, q.DeadLetters(t.Context(), f, func(l *DeadLetter) error { ids = append(ids, l.ID); return nil }))
	return ids
}

func TestDeadLettersAreSelectedByKindAndLimit(t *testing.T) {
	q := newLetterQueue(t)
	dead, parked := []string{"d0", "d1", "d2", "d3", "d4"}, []string{"p0", "p1", "p2"}
	for name, c := range map[string]struct {
		filter DeadLetterFilter
		want   []string
	}{
		"all":                              {DeadLetterFilter{}, append(append([]string{}, dead...), parked...)},
		"both kinds":                       {DeadLetterFilter{Dead: true, Parked: true}, append(append([]string{}, dead...), parked...)},
		"dead":                             {DeadLetterFilter{Dead: true}, dead},
		"parked":                           {DeadLetterFilter{Parked: true}, parked},
		"a limit within the dead ones":     {DeadLetterFilter{Limit: 2}, dead[:2]},
		"a limit of all dead ones":         {DeadLetterFilter{Limit: 5}, dead},
		"a limit beyond the dead ones":     {DeadLetterFilter{Limit: 6}, append(append([]string{}, dead...), "p0")},
		"a limit on parked ones":           {DeadLetterFilter{Parked: true, Limit: 1}, parked[:1]},
		"a limit counts only matches":      {DeadLetterFilter{ID: "d3", Limit: 1}, []string{"d3"}},
		"another instance":                 {DeadLetterFilter{Instance: "mai"}, nil},
		"the instance":                     {DeadLetterFilter{Instance: "main", Limit: 1}, dead[:1]},
		"a limit above the number of all":  {DeadLetterFilter{Limit: 100}, append(append([]string{}, dead...), parked...)},
		"parked with a limit of all of it": {DeadLetterFilter{Parked: true, Limit: 3}, parked},
	} {
		assert.Equal(t, c.want, lettersOf(t, q, c.filter), name)
	}
	stop := errors.New("stop")
	seen := 0
	require.ErrorIs(t, q.DeadLetters(t.Context(), DeadLetterFilter{}, func(*DeadLetter) error { seen++; return stop }), stop)
	assert.Equal(t, 1, seen, "an error ends the reading")
}

func TestDropDeletesOnlyWhatIsSelected(t *testing.T) {
	q := newLetterQueue(t)
	removed := func(string) bool { return true }
	n, err := q.DropDeadLetters(t.Context(), DeadLetterFilter{Dead: true, Limit: 2})
	require.NoError(t, err)
	assert.Equal(t, 2, n)
	assert.Equal(t, []string{"d2", "d3", "d4", "p0", "p1", "p2"}, lettersOf(t, q, DeadLetterFilter{}))
	n, err = q.DropDeadLetters(t.Context(), DeadLetterFilter{ID: "p0", IsRemoved: removed})
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.Equal(t, []string{"d2", "d3", "d4", "p2"}, lettersOf(t, q, DeadLetterFilter{}), "what is parked behind the letter of the same key goes with it")

	var gone *RemovedInstanceError
	for _, f := range []DeadLetterFilter{{Dead: true, IsRemoved: removed}, {Parked: true, IsRemoved: removed}} {
		_, err = q.ReplayDeadLetters(t.Context(), f)
		require.ErrorAs(t, err, &gone)
		assert.Equal(t, "main", gone.Instance)
	}
	assert.Len(t, lettersOf(t, q, DeadLetterFilter{}), 4)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = q.DropDeadLetters(ctx, DeadLetterFilter{})
	require.Error(t, err)
	assert.Len(t, lettersOf(t, q, DeadLetterFilter{}), 4)
}
