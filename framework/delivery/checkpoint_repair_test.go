package delivery_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
)

func streamDir(dir, name string) string {
	return filepath.Join(dir, "jetstream", "$G", "streams", name)
}

// replaceStream replaces the files of a stream with those of another data directory, or deletes them if from is "".
func replaceStream(t *testing.T, dir, from, name string) {
	t.Helper()
	require.NoError(t, os.RemoveAll(streamDir(dir, name)))
	if from != "" {
		require.NoError(t, os.CopyFS(streamDir(dir, name), os.DirFS(streamDir(from, name))))
	}
}

// waitForUsers waits until one event of each user has arrived.
func waitForUsers(t *testing.T, r *remote, from, to int) {
	t.Helper()
	missing := func() (list []string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for n := from; n < to; n++ {
			if user := fmt.Sprintf("user%03d", n); len(r.taken[user]) == 0 {
				list = append(list, user)
			}
		}
		return list
	}
	assert.Eventually(t, func() bool { return len(missing()) == 0 }, time.Minute, 10*time.Millisecond)
	require.Empty(t, missing())
}

// A checkpoint beyond the end of the log is rejected at the start with an error that names it and the repair command. After the
// repair every accepted event is delivered, including those accepted in the meantime.
func TestCheckpointsBeyondTheLogAreRejected(t *testing.T) {
	dir := t.TempDir()
	q := openFiles(t, dir)
	remote := newRemote(t)
	instance := delivery.Instance{Plan: remote.planFor(`type = "track"`)}
	runner := startRunner(t, q, quick, instance)
	appendUserEvents(t, q, 0, 30)
	waitForCounts(t, runner, map[string]int64{"events": 30, "delivered": 30})
	stopRunner(t, runner)
	q.Close()
	early := crashImage(t, dir)
	q = openFiles(t, dir)
	runner = startRunner(t, q, quick, instance)
	appendUserEvents(t, q, 30, 60)
	waitForCounts(t, runner, map[string]int64{"events": 60, "delivered": 60})
	stopRunner(t, runner)
	q.Close()

	for name, c := range map[string]struct {
		change  func(t *testing.T, dir string)
		between int // events appended before the delivery starts
		refused string
	}{
		"an older backup of the events":        {func(t *testing.T, dir string) { replaceStream(t, dir, early, "EVENTS") }, 0, "beyond"},
		"an older backup that has grown since": {func(t *testing.T, dir string) { replaceStream(t, dir, early, "EVENTS") }, 100, "replaced"},
		"no events":                            {func(t *testing.T, dir string) { replaceStream(t, dir, "", "EVENTS") }, 0, "beyond"},
		"no events, and new ones":              {func(t *testing.T, dir string) { replaceStream(t, dir, "", "EVENTS") }, 100, "replaced"},
		"no events, and a few new ones":        {func(t *testing.T, dir string) { replaceStream(t, dir, "", "EVENTS") }, 10, "beyond"},
		"no checkpoints":                       {func(t *testing.T, dir string) { replaceStream(t, dir, "", "BOOKS") }, 0, "missing"},
		"the end cut off and the index gone": {func(t *testing.T, dir string) {
			editFile(t, blockFiles(t, dir, "EVENTS")[0], func(text []byte) []byte {
				from, _ := recordOf(text, "user040")
				return text[:from]
			})
			require.NoError(t, os.Remove(filepath.Join(streamDir(dir, "EVENTS"), "msgs", "index.db")))
		}, 0, "beyond"},
		"older checkpoints":    {func(t *testing.T, dir string) { replaceStream(t, dir, early, "BOOKS") }, 0, ""},
		"everything as it was": {func(*testing.T, string) {}, 0, ""},
		"all of an older backup": {func(t *testing.T, dir string) {
			for _, name := range []string{"EVENTS", "BOOKS", "PARK", "DEAD"} {
				replaceStream(t, dir, early, name)
			}
		}, 20, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := crashImage(t, dir)
			c.change(t, dir)
			q, lines := openLogged(t, dir)
			appendUserEvents(t, q, 200, 200+c.between)
			remote := newRemote(t)
			instances := []delivery.Instance{{Plan: remote.planFor(`type = "track"`)}}
			runner, err := delivery.NewRunner(t.Context(), q, quick)
			require.NoError(t, err)
			defer stopRunner(t, runner)
			err = runner.SetInstances(t.Context(), instances)
			if c.refused == "" {
				require.NoError(t, err, "%s", lines)
			} else {
				var bad *delivery.CheckpointError
				require.ErrorAs(t, err, &bad, "%s", lines)
				assert.Contains(t, err.Error(), "landfall checkpoints repair")
				assert.Equal(t, c.refused, bad.Checkpoints[len(bad.Checkpoints)-1].Cause)
				repair := delivery.RepairOptions{Instances: []string{"main"}, DryRun: true}
				planned, err := q.RepairCheckpoints(t.Context(), repair)
				require.NoError(t, err)
				require.Error(t, runner.SetInstances(t.Context(), instances), "a dry run changes nothing")
				repair.DryRun = false
				done, err := q.RepairCheckpoints(t.Context(), repair)
				require.NoError(t, err)
				assert.Equal(t, planned, done)
				require.Eventually(t, func() bool { return runner.SetInstances(t.Context(), instances) == nil }, time.Minute, 10*time.Millisecond)
			}
			appendUserEvents(t, q, 300, 320)
			waitForUsers(t, remote, 200, 200+c.between)
			waitForUsers(t, remote, 300, 320)
			if c.refused == "missing" {
				waitForUsers(t, remote, 0, 60) // nothing is known of them
			} else if c.refused != "" {
				remote.mu.Lock()
				assert.NotContains(t, remote.taken, "user005", "what was delivered is not delivered again")
				remote.mu.Unlock()
			}
		})
	}
}

// The log is deleted, or replaced by an older copy, while servers run. They detect it, stop and report it. No event accepted
// afterwards is skipped.
func TestLogReplacedWhileRunning(t *testing.T) {
	url := natsServer(t)
	q := openAt(t, url)
	defer q.Close()
	conn, err := nats.Connect(url)
	require.NoError(t, err)
	defer conn.Close()
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	remote := newRemote(t)
	runner := startRunner(t, q, quick, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
	defer stopRunner(t, runner)
	appendUserEvents(t, q, 0, 30)
	waitForUsers(t, remote, 0, 30)
	time.Sleep(2 * time.Second) // long enough to check the log
	stream, err := js.Stream(t.Context(), "EVENTS")
	require.NoError(t, err)
	config := stream.CachedInfo().Config
	require.NoError(t, js.DeleteStream(t.Context(), "EVENTS"))
	_, err = js.CreateStream(t.Context(), config)
	require.NoError(t, err)
	appendUserEvents(t, q, 100, 150) // more than before
	require.Eventually(t, func() bool { return len(q.Damage().Checkpoints) > 0 }, time.Minute, 20*time.Millisecond)
	_, err = q.RepairCheckpoints(t.Context(), delivery.RepairOptions{})
	require.NoError(t, err)
	appendUserEvents(t, q, 150, 160)
	waitForUsers(t, remote, 100, 160)
	require.Eventually(t, func() bool { return len(q.Damage().Checkpoints) == 0 }, time.Minute, 20*time.Millisecond)
}

func TestTrimmedPagesAreNotLost(t *testing.T) {
	dir := t.TempDir()
	q, err := delivery.Open(t.Context(), delivery.Config{Dir: dir, Retention: 100 * time.Millisecond})
	require.NoError(t, err)
	settings := quick
	settings.TrimInterval = 50 * time.Millisecond
	remote := newRemote(t)
	runner := startRunner(t, q, settings, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
	for n := range 5 {
		appendUserEvents(t, q, n*10, n*10+10)
		waitForUsers(t, remote, n*10, n*10+10)
		time.Sleep(300 * time.Millisecond)
	}
	require.Eventually(t, func() bool {
		list, _, err := q.Latest(t.Context(), "", 100)
		return err == nil && len(list) < 50
	}, waiting, tick, "pages are trimmed")
	image := crashImage(t, dir)
	stopRunner(t, runner)
	assert.Empty(t, q.Problems())
	q.Close()
	for _, dir := range []string{image, dir} {
		q, lines := openLogged(t, dir)
		stopRunner(t, startRunner(t, q, quick, delivery.Instance{Plan: remote.planFor(`type = "track"`)}))
		assert.Empty(t, q.Problems())
		assert.NotContains(t, lines.String(), "level=ERROR")
		q.Close()
	}
}
