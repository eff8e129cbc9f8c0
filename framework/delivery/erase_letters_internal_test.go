package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
	"github.com/landfall-dev/landfall/framework/dispatch"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// eraseOf erases the user gone.
var eraseOf = EraseRequest{
	Match:   func(v event.Value) bool { return v.Get("userId").Str() == "gone" },
	HasUser: func(text string) bool { return strings.Contains(text, "gone") },
}

// TestWhatIsErasedOfLetters checks what is left of a dead letter: nothing of its user, and of another user's all but the request and the reason that
// name the erased one.
func TestWhatIsErasedOfLetters(t *testing.T) {
	letter := func(change func(l *DeadLetter)) *DeadLetter {
		l := &DeadLetter{ID: "1-0-x", Instance: "i", Subscription: "s", Key: "u:other", Cause: fault.CauseIncomplete, Reason: "a reason that is long enough for what replaces it", Seq: 1,
			Request: &Exchange{Method: "POST", URL: "u"}, Event: []byte(`{"type":"track","userId":"other"}`)}
		change(l)
		return l
	}
	longReason := "there is no user gone: " + strings.Repeat("x", 99)
	for name, c := range map[string]struct {
		letter *DeadLetter
		want   func(l *DeadLetter) // nil if nothing is erased
	}{
		"of another user":              {letter(func(*DeadLetter) {}), nil},
		"of another without a request": {letter(func(l *DeadLetter) { l.Request = nil }), nil},
		"its own":                      {letter(func(l *DeadLetter) { l.Event = []byte(`{"type":"track","userId":"gone"}`) }), func(l *DeadLetter) { l.Key, l.Reason, l.Request, l.Event = erasedKey, "", nil, []byte(erasedEvent) }},
		"erased before":                {letter(func(l *DeadLetter) { l.Event = []byte(erasedEvent) }), nil},
		"the request of another":       {letter(func(l *DeadLetter) { l.Request.Body = "of gone" }), func(l *DeadLetter) { l.Request = nil }},
		"a short reason of another":    {letter(func(l *DeadLetter) { l.Reason = "gone" }), func(l *DeadLetter) { l.Reason = "" }},
		"the reason of another":        {letter(func(l *DeadLetter) { l.Reason = longReason }), func(l *DeadLetter) { l.Reason = fault.CauseIncomplete.Text() }},
		"the reason and the request of another": {letter(func(l *DeadLetter) {
			l.Reason, l.Request.Error = longReason, "gone"
		}), func(l *DeadLetter) { l.Reason, l.Request = fault.CauseIncomplete.Text(), nil }},
		"an event that cannot be read": {letter(func(l *DeadLetter) { l.Event = []byte(`"no event"`) }), nil},
	} {
		line, err := json.Marshal(c.letter)
		require.NoError(t, err)
		made := eraseOf.rewriteMessage(deadStream, "", append(line, '\n'))
		if c.want == nil {
			assert.Nil(t, made, name)
			continue
		}
		require.Len(t, made, len(line)+1, name)
		want := *c.letter
		c.want(&want)
		var got DeadLetter
		require.NoError(t, json.Unmarshal(made, &got), name)
		assert.Equal(t, want, got, name)
		assert.NotContains(t, string(made), "gone", name)
	}
	short := []byte(`{"event":{"userId":"gone"}}`)
	assert.Equal(t, erasedEvent, strings.TrimSpace(string(eraseOf.rewriteMessage(parkStream, "", short))), "a letter of an earlier version is shorter than what would replace it")
	assert.Nil(t, eraseOf.rewriteMessage(deadStream, "", []byte("no letter of gone")))
	assert.Nil(t, eraseOf.rewriteMessage(checkpointsStream, "", []byte(`{"userId":"gone"}`)), "other streams have no events")
	page := []byte("{\"userId\":\"gone\"}\n{\"userId\":\"stays\"}\n{\"userId\":\"gone\",\"n\":1}\n{}\n")
	want := "{}               \n{\"userId\":\"stays\"}\n{}                     \n{}\n"
	assert.Equal(t, want, string(eraseOf.rewriteMessage(eventsStream, "", page)))
	assert.Equal(t, want, string(eraseOf.rewriteMessage(rewrittenStream, "", page)))
	assert.Nil(t, eraseOf.rewriteMessage(eventsStream, "", []byte(want)))
}

// TestErasedLines checks which lines count as erased: an empty object with spaces behind it.
func TestErasedLines(t *testing.T) {
	for line, want := range map[string]bool{"{}": true, "{}   ": true, "{ }": false, "{}x": false, "{} x": false, " {}": false, "": false, "{": false, `{"a":1}`: false} {
		assert.Equal(t, want, isErasedLine([]byte(line)), "%q", line)
	}
}

// TestLettersOfAnErasedUser checks which dead letters an erasure deletes itself, and which it leaves to the process that has their partition.
func TestLettersOfAnErasedUser(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1})
	add := func(stream, subject, instance, user string) {
		data := fmt.Sprintf(`{"id":%q,"instance":%q,"parked":%t,"event":{"userId":%q}}`, subject, instance, stream == parkStream, user)
		if user == "" {
			data = `{"id":"erased","instance":"main","event":{}}`
		}
		if instance == "" {
			data = erasedEvent + "       "
		}
		_, err := q.store.Append(t.Context(), stream, []eventlog.Write{{Subject: subject, Data: []byte(data)}})
		require.NoError(t, err)
	}
	add(deadStream, "dead.main.0.1-0-x", "main", "gone")
	add(deadStream, "dead.main.0.2-0-x", "main", "stays")
	add(deadStream, "dead.main.0.3-0-x", "main", "")
	add(deadStream, "dead.main.0.4-0-x", "", "")
	for _, subject := range []string{"k.held.5-0-x", "k.auto.6-0-x", "other.held.7-0-x"} {
		add(parkStream, "park.main.0."+subject, "main", "gone")
	}
	add(parkStream, "park.main.0.third.held.8-0-x", "main", "stays")
	add(parkStream, "park.removed.0.k.held.9-0-x", "removed", "gone")
	add(parkStream, "park.removed.0.k.held.10-0-x", "", "")
	n, err := q.EraseDeadLetters(t.Context(), eraseOf.Match, func(id string) bool { return id == "removed" })
	require.NoError(t, err)
	assert.Equal(t, 8, n)
	var left []string
	for _, stream := range []string{deadStream, parkStream} {
		subjects, err := q.store.Subjects(t.Context(), stream, ">")
		require.NoError(t, err)
		left = append(left, subjects...)
	}
	assert.ElementsMatch(t, []string{"dead.main.0.2-0-x", "park.main.0.k.held.5-0-x", "park.main.0.k.auto.6-0-x", "park.main.0.other.held.7-0-x", "park.main.0.third.held.8-0-x"}, left)
	list := commandsOf(t, q, "main")
	require.Len(t, list, 1)
	assert.Equal(t, opUnpark, list[0].Header[opHeader])
	assert.JSONEq(t, `{"keys":["k","other"]}`, string(list[0].Data))
	assert.Equal(t, []string{"k", "", ""}, []string{parseParkedKey("park.i.0.k"), parseParkedKey("park.i.0"), parseParkedKey("")})
}

// unerasableLog is a log that cannot overwrite its data.
type unerasableLog struct{ eventlog.Log }

// fullLog is a log with a compressed page that has no space for what replaces events.
type fullLog struct{ eventlog.Log }

func (fullLog) Erase(context.Context, func(stream, subject string, data []byte) []byte) error {
	return eventlog.ErrNoSpace
}

// TestErasureThatIsNotPossible checks that an erasure which cannot be done now, or at all, is an error.
func TestErasureThatIsNotPossible(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1})
	log := q.store
	q.store = unerasableLog{log}
	_, err := q.Erase(t.Context(), eraseOf)
	assert.ErrorIs(t, err, errors.ErrUnsupported)
	q.store = fullLog{log}
	_, err = q.Erase(t.Context(), eraseOf)
	assert.ErrorIs(t, err, eventlog.ErrNoSpace)
	assert.ErrorContains(t, err, "delivery.retention", "what to change")
	q.store = log
	require.NoError(t, q.holdTrimming(t.Context(), time.Minute))
	_, err = q.Erase(t.Context(), eraseOf)
	assert.ErrorIs(t, err, errOnHold)
	require.NoError(t, q.holdTrimming(t.Context(), 0))
	require.NoError(t, q.Append(t.Context(), []NewEvent{eventOf("gone", 1), eventOf("stays", 1)}))
	servers, err := q.Erase(t.Context(), eraseOf)
	require.NoError(t, err)
	assert.Zero(t, servers)
	assert.Equal(t, []string{"stays"}, slices.Sorted(maps.Keys(storedEvents(t, q))))
}

// TestSendingErased checks whether a process says that it is still sending events of a user who is to be erased.
func TestSendingErased(t *testing.T) {
	erased := func(v event.Value) bool { return v.Get("userId").Str() == "gone" }
	r, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{Erased: erased}, accepts(t))
	p := w.own(0, checkpoint{})
	batch := func(users ...string) *dispatch.Batch[*task] {
		b := &dispatch.Batch[*task]{}
		for _, user := range users {
			e, err := event.Parse([]byte(`{"userId":"` + user + `"}`))
			require.NoError(t, err)
			one := &task{partition: p}
			one.item.Event = e
			b.Tasks = append(b.Tasks, &dispatch.Task[*task]{Value: one})
		}
		return b
	}
	assert.False(t, r.IsSendingErased())
	w.sending[batch("a", "b")] = struct{}{}
	assert.False(t, r.IsSendingErased())
	gone := batch("a", "gone")
	w.sending[gone] = struct{}{}
	assert.True(t, r.IsSendingErased())
	delete(w.sending, gone)
	assert.False(t, r.IsSendingErased())
}

// TestBatchesForgetUsers checks that a batch of which a request is removed says that it is incomplete, and that the one that others may be
// reading is not changed.
func TestBatchesForgetUsers(t *testing.T) {
	b := &Batch{ID: "1", Events: 3, Requests: []*Exchange{{Body: "stays"}, {Body: "gone"}}}
	kept := b.without(eraseOf.HasUser)
	assert.Equal(t, &Batch{ID: "1", Events: 3, Requests: []*Exchange{{Body: "stays"}}, Partial: true}, kept)
	assert.Len(t, b.Requests, 2)
	assert.False(t, b.Partial)
	again := kept.without(func(string) bool { return false })
	assert.Equal(t, kept.Requests, again.Requests)
	whole := &Batch{Requests: []*Exchange{{Body: "stays"}}}
	assert.False(t, whole.without(eraseOf.HasUser).Partial)
}
