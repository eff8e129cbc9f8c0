package history_test

import (
	"fmt"
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
	"github.com/landfall-dev/landfall/framework/state"
)

func openStore(t *testing.T) *state.Store {
	t.Helper()
	s, err := state.Open(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestVerdictsAreKept checks that the verdicts of a batch are found by their events, with the requests that carried them.
func TestVerdictsAreKept(t *testing.T) {
	store := openStore(t)
	r := history.New(history.Config{Store: store})
	sent := &delivery.Exchange{Method: "POST", URL: "https://a.example/users", Body: `["u1","u2"]`, Status: 201}
	failed := &delivery.Exchange{Method: "POST", URL: "https://a.example/users", Body: `["u3"]`, Status: 400}
	batch := &delivery.Batch{ID: "b1", At: time.Now(), Events: 4, Duration: 20 * time.Millisecond, Requests: []*delivery.Exchange{failed, sent}}
	for i, v := range []delivery.VerdictRecord{
		{Outcome: "delivered"}, {Outcome: "delivered"}, {Outcome: "dead", Cause: fault.CauseRefused, Reason: "no", Request: failed, Attempts: 2}, {Outcome: "skipped", Cause: fault.CauseSuperseded},
	} {
		v.At, v.Instance, v.Subscription, v.Seq, v.Index, v.Batch = time.Now(), "main", "All", uint64(7+i/2), i%2, batch
		r.AddVerdict(v)
	}
	r.Close()
	found, err := history.Verdicts(t.Context(), store, []history.Position{{Seq: 7}, {Seq: 8}, {Seq: 8, Index: 1}, {Seq: 9}})
	require.NoError(t, err)
	require.Len(t, found, 3)
	delivered, dead, skipped := found[history.Position{Seq: 7}], found[history.Position{Seq: 8}], found[history.Position{Seq: 8, Index: 1}]
	require.Len(t, delivered, 1)
	assert.Equal(t, []*delivery.Exchange{failed, sent}, delivered[0].Batch.Requests)
	assert.Equal(t, 4, delivered[0].Batch.Events)
	assert.Equal(t, []*delivery.Exchange{failed}, dead[0].Batch.Requests, "only the request with the event")
	assert.Equal(t, fault.CauseRefused, dead[0].Cause)
	assert.Empty(t, skipped[0].Batch.Requests, "no request had the event")
}

func TestRejectionsAndActions(t *testing.T) {
	store := openStore(t)
	r := history.New(history.Config{Store: store})
	r.AddRejection("web", event.MustParse(`{"type":"trakc","userId":"u1","writeKey":"secret-key"}`), "unknown type")
	r.AddRejection("web", event.MustParse(`{"type":"track","userId":"u2","context":{"device":{"id":"d2"},"traits":{"email":"a@b.c"}},"properties":{"x":"`+strings.Repeat("y", 9000)+`"}}`), "too large")
	for i := range 600 {
		r.AddRejection("web", event.NewString(fmt.Sprint(i)), "not an object")
	}
	r.AddAudit(access.Entry{Actor: access.Actor{Who: "admin key", From: "10.0.0.1"}, Action: "cohort.purge", Outcome: "ok", Attributes: []any{"instance", "main", "count", 3}})
	r.AddAudit(access.Entry{Action: "request", Outcome: "refused"})
	r.Close()
	var list []history.Rejection
	require.NoError(t, history.Rejections(t.Context(), store, func(r history.Rejection) bool {
		list = append(list, r)
		return true
	}))
	require.Len(t, list, 500, "what is not written yet is limited")
	first, second := list[len(list)-1], list[len(list)-2]
	assert.Contains(t, first.Event, "u1")
	assert.NotContains(t, first.Event, "secret-key")
	assert.JSONEq(t, `{"type":"track","userId":"u2","context":{"device":{"id":"d2"},"traits":{"email":"a@b.c"}}}`, second.Event, "what is too long is left out")
	for i, version := range []string{"v1", "v1", "v2"} {
		require.NoError(t, history.AddConfig(t.Context(), store, version, time.Now().Add(time.Duration(i)*time.Second)))
	}
	actions, err := history.Actions(t.Context(), store, time.Time{}, 10)
	require.NoError(t, err)
	require.Len(t, actions, 3)
	assert.Equal(t, map[string]string{"version": "v2", "earlier": "v1"}, actions[0].Attributes)
	assert.Equal(t, "admin key from 10.0.0.1", actions[2].By())
	assert.Equal(t, "3", actions[2].Attributes["count"])
}
