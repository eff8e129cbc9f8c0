package erasure_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/server/erasure"
	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/framework/state/statetest"
	"github.com/landfall-dev/landfall/internal/testport"
)

// natsCluster is NATS servers that stop with the test.
type natsCluster struct {
	t       *testing.T
	url     string
	dirs    []string
	servers []*natsserver.Server
}

func newNATSCluster(t *testing.T, size int) *natsCluster {
	c := &natsCluster{t: t}
	var routes []*url.URL
	for range size {
		routes = append(routes, &url.URL{Scheme: "nats", Host: testport.Free(t)})
	}
	for i, route := range routes {
		options := &natsserver.Options{ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true}
		if size > 1 {
			_, port, err := net.SplitHostPort(route.Host)
			require.NoError(t, err)
			options.Cluster = natsserver.ClusterOpts{Name: "c", Host: "127.0.0.1"}
			_, err = fmt.Sscan(port, &options.Cluster.Port)
			require.NoError(t, err)
			options.Routes = routes
		}
		s, err := natsserver.NewServer(options)
		require.NoError(t, err)
		go s.Start() // returns when the cluster has a leader
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		c.servers, c.dirs = append(c.servers, s), append(c.dirs, options.StoreDir)
	}
	require.Eventually(t, func() bool {
		for _, s := range c.servers {
			if !s.ReadyForConnections(10*time.Millisecond) || size > 1 && !s.JetStreamIsCurrent() {
				return false
			}
		}
		return true
	}, 3*time.Minute, 50*time.Millisecond)
	c.url = c.servers[0].ClientURL()
	return c
}

// createCompressed creates the stream of events so that the servers compress its files.
func (c *natsCluster) createCompressed() {
	conn, err := nats.Connect(c.url)
	require.NoError(c.t, err)
	defer conn.Close()
	js, err := jetstream.New(conn)
	require.NoError(c.t, err)
	_, err = js.CreateStream(c.t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"ev.>", "ctl.>"}, Replicas: 3, Compression: jetstream.S2Compression, Discard: jetstream.DiscardNew})
	require.NoError(c.t, err)
}

// filesWith returns the files of the servers that have a text, and how many others are compressed and were searched too.
func (c *natsCluster) filesWith(text string) (list []string, compressed int) {
	for _, dir := range c.dirs {
		list = append(list, filesWith(c.t, dir, text)...)
		require.NoError(c.t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return nil // it was deleted
			}
			content, _ := os.ReadFile(path)
			if rest, ok := bytes.CutPrefix(content, []byte("cmp")); ok {
				_, head := binary.Uvarint(rest[1:]) // after the algorithm, the size; the checksum at the end is not compressed
				plain, err := io.ReadAll(s2.NewReader(bytes.NewReader(rest[1+head : len(rest)-8])))
				compressed++
				if assert.NoError(c.t, err) && bytes.Contains(plain, []byte(text)) {
					list = append(list, path)
				}
			}
			return nil
		}))
	}
	return list, compressed
}

// checkGone checks that no file of the servers has a text.
func (c *natsCluster) checkGone(text string) {
	list, _ := c.filesWith(text)
	assert.Empty(c.t, list)
}

// fillBlock fills the first file of the log, so that the servers compress it.
func (w *world) fillBlock() {
	raw := fmt.Appendf(nil, `{"type":"track","userId":"stays-0","properties":{"text":%q}}`, strings.Repeat("abcdefgh", 12_000))
	for range 10 {
		require.NoError(w.t, w.queue.Append(w.t.Context(), slices.Repeat([]delivery.NewEvent{{Source: "web", Key: "u:same", Raw: raw}}, 10)))
	}
}

// smallEvents returns the userIds of the stored events without those of fillBlock.
func (w *world) smallEvents() []string {
	return slices.DeleteFunc(w.events(), func(user string) bool { return user == "stays-0" })
}

// TestErasedOnACluster erases a user from a log on three servers, in pages that others have too. Nothing is left in their files, and everything of the
// others is.
func TestErasedOnACluster(t *testing.T) {
	if testing.Short() {
		t.Skip("three NATS servers")
	}
	t.Parallel() // it mostly waits
	c := newNATSCluster(t, 3)
	c.createCompressed()
	w := newWorld(t)
	var err error
	w.queue, err = delivery.Open(t.Context(), delivery.Config{URL: c.url})
	require.NoError(t, err)
	defer w.queue.Close()
	w.fill("gone-1", "stays-1", "stays-2")
	w.fill("gone-2", "stays-3")
	w.fillBlock()
	require.Eventually(t, func() bool { list, compressed := c.filesWith("gone-1"); return len(list) > 0 && compressed > 0 }, time.Minute, 100*time.Millisecond)
	before, _, err := w.queue.Latest(t.Context(), "", 10)
	require.NoError(t, err)
	r := w.eraseOnCluster(w.request(gone)[0].ID)
	assert.Equal(t, map[string]int{"servers": 3}, step(t, r, erasure.StepLog, "").Counts)
	c.checkGone("gone-1")
	list, _ := c.filesWith("gone-2")
	assert.NotEmpty(t, list)
	assert.Equal(t, []string{"stays-1", "stays-2", "gone-2", "stays-3"}, w.smallEvents())
	for _, e := range before { // the events of others have their positions and times
		found, err := w.queue.Event(t.Context(), e.Seq, e.Index)
		if strings.Contains(string(e.Raw), "gone-1") {
			require.ErrorIs(t, err, delivery.ErrEventNotFound)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, string(e.Raw), string(found.Raw))
		assert.True(t, e.At.Equal(found.At))
	}
	assert.Empty(t, w.queue.Problems(), "the page is not lost")

	w.eraseOnCluster(w.request(erasure.User{Identifiers: []string{"gone-2"}})[0].ID)
	c.checkGone("gone-2")
	assert.Equal(t, []string{"stays-1", "stays-2", "stays-3"}, w.smallEvents())
	w.queue.Close()
	w.queue, err = delivery.Open(t.Context(), delivery.Config{URL: c.url})
	require.NoError(t, err)
	defer w.queue.Close()
	assert.Empty(t, w.queue.Problems(), "the pages are not lost")

	c.servers[2].Shutdown()
	c.servers[2].WaitForShutdown()
	w.fill("gone-3", "stays-4")
	third := w.request(erasure.User{Identifiers: []string{"gone-3"}})[0].ID
	require.Eventually(t, func() bool {
		require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
		return strings.Contains(step(t, w.receipt(third), erasure.StepLog, "").Error, "n2 is away")
	}, patience, time.Second)
}

// patience is how long a cluster may need for an erasure that takes seconds on an idle machine.
const patience = 5 * time.Minute

// eraseOnCluster carries out an erasure, and returns its receipt. It tries again, as the server does, if a request to the cluster takes too long.
func (w *world) eraseOnCluster(id string) (r erasure.Receipt) {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		require.NoError(w.t, erasure.RunOnce(w.t.Context(), w.config()))
		r = w.receipt(id)
		return r.State() == "done"
	}, patience, time.Second)
	return r
}

// newNATSWorld returns a world whose queue is on a single NATS server elsewhere, and that server.
func newNATSWorld(t *testing.T) (*natsCluster, *world) {
	c, w := newNATSCluster(t, 1), newWorld(t)
	var err error
	w.queue, err = delivery.Open(t.Context(), delivery.Config{URL: c.url, Replicas: 1})
	require.NoError(t, err)
	t.Cleanup(w.queue.Close)
	return c, w
}

// TestErasedOnOneServer erases a user from the log of a single NATS server elsewhere.
func TestErasedOnOneServer(t *testing.T) {
	c, w := newNATSWorld(t)
	w.fill("gone-1", "stays-1", "stays-2")
	r := w.eraseOnCluster(w.request(gone)[0].ID)
	assert.Equal(t, map[string]int{"servers": 1}, step(t, r, erasure.StepLog, "").Counts)
	c.checkGone("gone-1")
	w.checkErased()
	watcher, err := erasure.NewWatcher(t.Context(), w.store, func() string { return key }, w.config().Log)
	require.NoError(t, err)
	defer watcher.Close()
	assert.True(t, watcher.HasEvent(event.MustParse(`{"userId":"gone-1","receivedAt":"2026-01-02T03:04:05.000Z"}`)))
}

// TestBackupOfRewrittenPages restores the log of a cluster after an erasure, into this process.
func TestBackupOfRewrittenPages(t *testing.T) {
	_, w := newNATSWorld(t)
	w.fill("stays-0", "stays-1")
	w.fill("gone-1", "stays-2")
	w.fill("stays-3")
	w.eraseOnCluster(w.request(gone)[0].ID)
	parts := map[string]*bytes.Buffer{}
	list, err := w.queue.Snapshots(t.Context(), func(stream string) (io.Writer, error) {
		parts[stream] = &bytes.Buffer{}
		return parts[stream], nil
	})
	require.NoError(t, err)
	config := delivery.Config{Dir: t.TempDir()}
	require.NoError(t, delivery.RestoreSnapshots(t.Context(), config, list, func(stream string) (io.ReadCloser, error) { return io.NopCloser(parts[stream]), nil }))
	w.queue, err = delivery.Open(t.Context(), config)
	require.NoError(t, err)
	defer w.queue.Close()
	assert.Equal(t, []string{"stays-0", "stays-1", "stays-2", "stays-3"}, w.events(), "in the order of the log")
	assert.Empty(t, w.queue.Problems())
	found, err := w.queue.Find(t.Context(), delivery.FindRequest{Match: func([]byte) bool { return true }, Limit: 10, MaxBytes: 1 << 20})
	require.NoError(t, err)
	assert.Len(t, found.Events, 4)
	id := w.request(erasure.User{Identifiers: []string{"stays-2"}})[0].ID // who is in the rewritten page
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	require.Equal(t, "done", w.receipt(id).State(), "%+v", w.receipt(id).Steps)
	assert.Equal(t, []string{"stays-0", "stays-1", "stays-3"}, w.events())
	assert.Empty(t, filesWith(t, config.Dir, "stays-2"))
}

// TestErasedAfterUnfinishedEvents lists the events in pages that delivery still needs, and erases them later.
func TestErasedAfterUnfinishedEvents(t *testing.T) {
	_, w := newNATSWorld(t)
	w.fill("gone-1", "stays-1", "stays-2")
	isGone := func(v event.Value) bool { return v.Get("userId").Str() == "gone-1" }
	request := delivery.EraseRequest{Match: isGone, HasUser: func(s string) bool { return strings.Contains(s, "gone-1") }}
	request.FinishedBefore = func(context.Context) (uint64, error) { return 1, nil }
	_, err := w.queue.Erase(t.Context(), request)
	require.NoError(t, err)
	assert.Contains(t, w.events(), "gone-1")
	request.FinishedBefore = func(context.Context) (uint64, error) { return 2, nil }
	_, err = w.queue.Erase(t.Context(), request)
	require.NoError(t, err)
	assert.NotContains(t, w.events(), "gone-1")
}

// TestEventsBehindUnfinishedOnes checks that an erasure lists the user's events that cannot be overwritten, as an instance has not finished those
// beside them, and overwrites them later.
func TestEventsBehindUnfinishedOnes(t *testing.T) {
	_, w := newNATSWorld(t)
	w.fails.Store(true)
	id := w.request(gone)[0].ID
	watcher, err := erasure.NewWatcher(t.Context(), w.store, func() string { return key }, w.config().Log)
	require.NoError(t, err)
	defer watcher.Close()
	runner := w.newRunner("braze-users", delivery.Settings{Linger: time.Millisecond, Erased: watcher.HasEvent})
	defer runner.Stop(t.Context())
	w.fill("gone-1", "stays-1", "stays-2")
	config := w.config()
	config.Runner = runner
	require.NoError(t, erasure.RunOnce(t.Context(), config))
	log := step(t, w.receipt(id), erasure.StepLog, "")
	assert.False(t, log.Done)
	assert.Contains(t, log.Error, "1 event of the user in the log, after an event that an instance has not finished")
	assert.Contains(t, w.events(), "gone-1")
	w.fails.Store(false)
	require.Eventually(t, func() bool {
		require.NoError(t, erasure.RunOnce(t.Context(), config))
		return w.receipt(id).State() == "done"
	}, patience, 100*time.Millisecond)
	assert.NotContains(t, w.events(), "gone-1")
}

// TestEveryServerForgetsVerdicts removes a user from the verdicts that a server remembers while another one carries out the erasure.
func TestEveryServerForgetsVerdicts(t *testing.T) {
	w := newWorld(t)
	var err error
	database := statetest.Postgres(t)
	w.store, err = state.Open(t.Context(), database)
	require.NoError(t, err)
	defer w.store.Close()
	runner := w.newRunner("braze-users", delivery.Settings{})
	defer runner.Stop(t.Context())
	w.fill("gone-1", "stays-1")
	remembered := func() (users []string) {
		for _, v := range runner.Verdicts(10, func(*delivery.VerdictRecord) bool { return true }) {
			users = append(users, v.User())
		}
		return users
	}
	require.Eventually(t, func() bool { return len(remembered()) == 2 }, time.Minute, 10*time.Millisecond)
	w.request(gone)
	held, err := w.store.HoldErasures(t.Context(), "another server", time.Hour)
	require.NoError(t, err)
	require.True(t, held)
	c := w.config()
	c.Runner = runner
	require.NoError(t, erasure.RunOnce(t.Context(), c))
	assert.ElementsMatch(t, []string{"erased", "stays-1"}, remembered())

	db, err := sql.Open("pgx", database)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), `CREATE FUNCTION refused() RETURNS trigger AS 'BEGIN RAISE EXCEPTION ''read-only''; END' LANGUAGE plpgsql;
		CREATE TRIGGER refused BEFORE INSERT OR UPDATE ON erasures FOR EACH ROW EXECUTE FUNCTION refused()`)
	require.NoError(t, err)
	assert.ErrorContains(t, erasure.RunOnce(t.Context(), c), "read-only", "without the lease nothing is erased")
}
