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

// TestKilledInASync kills a server in the middle of a run of a query on PostgreSQL, while users enter and leave. The run of the next server
// ends with exactly the users of the query. It mostly waits for the lease of the run.
func TestKilledInASync(t *testing.T) {
	t.Parallel()
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
	run := func() { require.NoError(t, client().RunAudienceSync(t.Context(), audienceruns.Choice{Sync: "vips"})) }
	waitForRun := func(ended func(audienceruns.Run) bool) (newest audienceruns.Run) {
		t.Helper()
		require.Eventually(t, func() bool {
			list, err := client().AudienceRuns(t.Context(), "vips", 1)
			if err == nil && len(list) == 1 {
				newest = list[0]
			}
			return newest.Outcome == audienceruns.OK && ended(newest)
		}, 2*time.Minute, 200*time.Millisecond)
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
	run()
	waitForRun(func(r audienceruns.Run) bool { return r.Report.Enters == users })
	check(expected)

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
	requests.Store(0)
	killAt.Store(4)
	run()
	select {
	case <-reached:
	case <-time.After(time.Minute):
		require.Fail(t, "the run has not sent enough")
	}
	s.kill(syscall.SIGKILL)
	killAt.Store(0)
	s.start()
	repeated := waitForRun(func(r audienceruns.Run) bool { return r.Repeats != "" })
	check(expected)
	assert.Equal(t, len(expected), repeated.Report.Rows)
	assert.Less(t, repeated.Report.Enters+repeated.Report.Exits, users/2+page, "what was sent before is not sent again, except for the request in flight")
}
