package history_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/history"
)

// TestEraseRemovesOneUser checks that nothing names an erased user, and that what belongs to others stays.
func TestEraseRemovesOneUser(t *testing.T) {
	store := openStore(t)
	r := history.New(history.Config{Store: store})
	request := func(user string) *delivery.Exchange {
		return &delivery.Exchange{Method: "POST", URL: "https://a.example/users", Body: `["` + user + `"]`, Status: 201}
	}
	both := &delivery.Batch{ID: "both", At: time.Now(), Events: 2, Requests: []*delivery.Exchange{request("person-1"), request("person-2")}}
	other := &delivery.Batch{ID: "other", At: time.Now(), Events: 1, Requests: []*delivery.Exchange{request("person-2")}}
	for i, v := range []delivery.VerdictRecord{
		{Outcome: "delivered", Batch: both}, {Outcome: "delivered", Batch: other}, {Outcome: "dead", Cause: fault.CauseRefused, Reason: "person-1 is unknown"}, {Outcome: "dead", Reason: "no such list"},
	} {
		v.At, v.Instance, v.Subscription, v.Seq = time.Now(), "main", "All", uint64(i)
		r.AddVerdict(v)
	}
	for _, user := range []string{"person-1", "person-2"} {
		r.AddRejection("web", event.MustParse(`{"type":"trakc","userId":"`+user+`"}`), "unknown type")
		r.AddAudit(access.Entry{Actor: access.Actor{Who: "admin key"}, Action: "letters.drop", Outcome: "ok", Attributes: []any{"user", user}})
	}
	r.AddRejection("web", event.MustParse(`{"type":"trakc","userId":17}`), "unknown type")
	r.Close()

	names := func(text string) bool { return strings.Contains(text, "person-1") }
	erase := history.Erasure{Match: func(v event.Value) bool { return v.Get("userId").Text() == "17" }, HasUser: names, Names: names}
	changed, err := history.Erase(t.Context(), store, erase)
	require.NoError(t, err)
	assert.Equal(t, 5, changed, "a batch, a reason, two rejected events and an action")

	verdicts, complete, err := history.Find(t.Context(), store, history.VerdictFilter{Limit: 10})
	require.NoError(t, err)
	assert.True(t, complete)
	require.Len(t, verdicts, 4, "verdicts stay")
	assert.Equal(t, "no such list", verdicts[0].Reason)
	assert.Equal(t, fault.CauseRefused.Text(), verdicts[1].Reason)
	assert.Equal(t, []any{1, false}, []any{len(verdicts[2].Batch.Requests), verdicts[2].Batch.Partial})
	assert.Equal(t, []any{1, true}, []any{len(verdicts[3].Batch.Requests), verdicts[3].Batch.Partial}, "a request is missing")
	var rejected []string
	require.NoError(t, history.Rejections(t.Context(), store, func(r history.Rejection) bool {
		rejected = append(rejected, r.Event)
		return true
	}))
	require.Len(t, rejected, 1)
	assert.Contains(t, rejected[0], "person-2")
	actions, err := history.Actions(t.Context(), store, time.Time{}, 10)
	require.NoError(t, err)
	require.Len(t, actions, 1)
	assert.Equal(t, "person-2", actions[0].Attributes["user"])

	changed, err = history.Erase(t.Context(), store, erase)
	require.NoError(t, err)
	assert.Zero(t, changed)
}

// TestVerdictsWithoutABatch checks what is kept of verdicts on events that no batch carried, or whose batch is not known.
func TestVerdictsWithoutABatch(t *testing.T) {
	store := openStore(t)
	r := history.New(history.Config{Store: store})
	request := &delivery.Exchange{Method: "POST", URL: "https://a.example/users", Status: 400}
	r.AddVerdict(delivery.VerdictRecord{At: time.Now(), Instance: "main", Outcome: "skipped", Seq: 1})
	r.AddVerdict(delivery.VerdictRecord{At: time.Now(), Instance: "main", Outcome: "dead", Seq: 2, Request: request})
	r.Close()
	found, err := history.Verdicts(t.Context(), store, []history.Position{{Seq: 1}, {Seq: 2}})
	require.NoError(t, err)
	assert.Nil(t, found[history.Position{Seq: 1}][0].Batch)
	batch := found[history.Position{Seq: 2}][0].Batch
	assert.Equal(t, []*delivery.Exchange{request}, batch.Requests)
	assert.Equal(t, 1, batch.Events)
}

// TestAClosedStoreIsAnError checks that what cannot be read is no empty history.
func TestAClosedStoreIsAnError(t *testing.T) {
	store := openStore(t)
	require.NoError(t, store.Close())
	_, err := history.Actions(t.Context(), store, time.Time{}, 10)
	assert.Error(t, err)
	assert.Error(t, history.AddConfig(t.Context(), store, "v1", time.Now()))
	_, _, err = history.Find(t.Context(), store, history.VerdictFilter{Limit: 1})
	assert.Error(t, err)
	_, err = history.Verdicts(t.Context(), store, []history.Position{{Seq: 1}})
	assert.Error(t, err)
	_, err = history.Erase(t.Context(), store, history.Erasure{})
	assert.Error(t, err)
	assert.Error(t, history.Rejections(t.Context(), store, func(history.Rejection) bool { return true }))
}
