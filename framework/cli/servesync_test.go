package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/server/admin"
	"github.com/landfall-dev/landfall/framework/server/audienceruns"
	"github.com/landfall-dev/landfall/framework/state/statetest"
)

// TestKilledInASync kills a server in the middle of runs of a query on PostgreSQL, while users enter and while they leave. The run of the next server
// ends with exactly the users of the query.
func TestKilledInASync(t *testing.T) {
	const users, page = 12_000, 1000
	warehouse := statetest.Postgres(t)
	shop, err := pgx.Connect(t.Context(), warehouse)
	require.NoError(t, err)
	defer func() { _ = shop.Close(context.Background()) }()
	_, err = shop.Exec(t.Context(), fmt.Sprintf(`CREATE TABLE customers AS SELECT i AS id, true AS vip FROM generate_series(1, %d) i`, users))
	require.NoError(t, err)

	box := newBrazeSandbox(t)
	var requests, killAt atomic.Int64
	reached := make(chan struct{})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := requests.Add(1); n == killAt.Load() {
			box.Config.Handler.ServeHTTP(httptest.NewRecorder(), r) // the server dies before it has the response
			close(reached)
			<-r.Context().Done()
			return
		}
		box.Config.Handler.ServeHTTP(w, r)
	}))
	defer front.Close()
	s := newServed(t, serveConfig+`
audienceSyncs:
  - {id: vips, audience: aud_vip, from: "`+warehouse+`", query: SELECT id AS external_id FROM customers WHERE vip, every: 700h, maxRemove: 100}
`, "--sandbox-url", front.URL)
	s.start()
	client := func() *admin.Client {
		return &admin.Client{Transport: http.DefaultTransport, URL: s.admin.URL, Key: s.admin.Token}
	}
	var last audienceruns.Run
	runKilled := func(after int64) audienceruns.Run {
		t.Helper()
		requests.Store(0)
		killAt.Store(after)
		require.NoError(t, client().RunAudienceSync(t.Context(), audienceruns.Choice{Sync: "vips"}))
		select {
		case <-reached:
		case <-time.After(time.Minute):
			require.Fail(t, "the run has not sent enough")
		}
		s.kill(syscall.SIGKILL)
		reached = make(chan struct{})
		killAt.Store(0)
		s.start()
		newest := audienceruns.Run{}
		require.Eventually(t, func() bool {
			list, err := client().AudienceRuns(t.Context(), "vips", 1)
			if err == nil && len(list) == 1 {
				newest = list[0]
			}
			return newest.Outcome == audienceruns.OK && newest.Repeats != "" && newest.ID != last.ID
		}, 2*time.Minute, 200*time.Millisecond, "the next server takes the run over when its lease has ended")
		last = newest
		return newest
	}
	check := func(want map[string]bool) {
		t.Helper()
		assert.Equal(t, want, members(t, front.URL)["aud_vip"])
	}
	expected := map[string]bool{}
	for i := range users {
		expected[fmt.Sprint(i+1)] = true
	}
	run := runKilled(4)
	check(expected)
	assert.Equal(t, users, run.Report.Rows)
	assert.Less(t, run.Report.Enters, users, "what was sent before is not sent again, except for the request in flight")

	_, err = shop.Exec(t.Context(), fmt.Sprintf(`UPDATE customers SET vip = false WHERE id <= %d`, users/2))
	require.NoError(t, err)
	_, err = shop.Exec(t.Context(), fmt.Sprintf(`INSERT INTO customers SELECT i, true FROM generate_series(%d, %d) i`, users+1, users+page))
	require.NoError(t, err)
	for i := range users / 2 {
		delete(expected, fmt.Sprint(i+1))
	}
	for i := range page {
		expected[fmt.Sprint(users+i+1)] = true
	}
	run = runKilled(3)
	check(expected)
	assert.Equal(t, len(expected), run.Report.Rows)
}
