package delivery_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/internal/loglines"
	"github.com/landfall-dev/landfall/internal/testsize"
)

// openLogged opens a queue and returns its log lines.
func openLogged(t *testing.T, dir string) (*delivery.Queue, *loglines.Buffer) {
	t.Helper()
	lines := &loglines.Buffer{}
	q, err := delivery.Open(t.Context(), delivery.Config{Dir: dir, Log: lines.NewLogger(slog.LevelInfo)})
	require.NoError(t, err)
	t.Cleanup(q.Close)
	return q, lines
}

// crashImage copies the files of a queue, which may be in use, as a killed process leaves them: as they are at one moment.
func crashImage(t *testing.T, dir string) string {
	t.Helper()
	var files map[string]string
	require.Eventually(t, func() bool {
		earlier, err := files, error(nil)
		files, err = readFiles(dir)
		return err == nil && maps.Equal(files, earlier)
	}, time.Minute, time.Millisecond)
	to := t.TempDir()
	for name, text := range files {
		path := filepath.Join(to, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return to
}

// readFiles returns the files of a directory and of those below it. It fails if one is removed meanwhile.
func readFiles(dir string) (map[string]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		files[name] = string(text)
		return err
	})
	return files, err
}

// blockFiles returns the block files of a stream by number.
func blockFiles(t *testing.T, dir, stream string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "jetstream", "$G", "streams", stream, "msgs", "*.blk"))
	require.NoError(t, err)
	slices.SortFunc(list, func(a, b string) int { return len(a)*1000 - len(b)*1000 + strings.Compare(a, b) })
	return list
}

// editFile changes a file.
func editFile(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, change(text), 0o600))
}

// flipBit returns a change that inverts a bit of the byte at an offset.
func flipBit(at int) func([]byte) []byte {
	return func(text []byte) []byte { text[at] ^= 0x10; return text }
}

// recordOf returns the offset and size of the record with the event of a user.
func recordOf(text []byte, user string) (from, size int) {
	at := bytes.Index(text, []byte(`"messageId":"`+user+`-`))
	for from < len(text) {
		n := int(uint32(text[from]) | uint32(text[from+1])<<8 | uint32(text[from+2])<<16 | uint32(text[from+3]&0x7f)<<24)
		if at < from+n {
			return from, n
		}
		from += n
	}
	panic("there is no such record")
}

// appendUserEvents appends one page for each of several users.
func appendUserEvents(t *testing.T, q *delivery.Queue, from, to int, more ...string) {
	t.Helper()
	for n := from; n < to; n++ {
		require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{newEvent(fmt.Sprintf("user%03d", n), 0, more...)}))
	}
}

// A damaged record loses no other record. The loss is logged, counted, copied aside, and reported until it is acknowledged.
func TestDamagedRecordLosesNoOther(t *testing.T) {
	const pages = 40
	dir := t.TempDir()
	q := openFiles(t, dir)
	runner := startRunner(t, q, quick, delivery.Instance{Plan: newRemote(t).planFor(`type = "track"`)})
	stopRunner(t, runner)
	appendUserEvents(t, q, 0, pages)
	q.Close()
	q = openFiles(t, dir)
	image := crashImage(t, dir)
	q.Close()

	part := func(user string, offset func(size int) int) func([]byte) []byte {
		return func(text []byte) []byte {
			from, size := recordOf(text, user)
			return flipBit(from + offset(size))(text)
		}
	}
	at := func(n int) func(int) int { return func(int) int { return n } }
	for name, c := range map[string]struct {
		change func([]byte) []byte
		lost   int
		torn   bool
	}{
		"a bit of the first payload":          {part("user000", at(90)), 1, false},
		"a bit of a payload in the middle":    {part("user020", at(90)), 1, false},
		"a bit of the last payload":           {part("user039", at(90)), 1, false},
		"the sequence of the first":           {part("user000", at(4)), 1, false},
		"the sequence in the middle":          {part("user020", at(4)), 1, false},
		"the high sequence in the middle":     {part("user020", at(11)), 1, false},
		"the time":                            {part("user020", at(14)), 1, false},
		"the subject":                         {part("user020", at(23)), 1, false},
		"the checksum":                        {part("user020", func(n int) int { return n - 3 }), 1, false},
		"the checksum of the last":            {part("user039", func(n int) int { return n - 3 }), 1, false},
		"the length":                          {part("user020", at(0)), 0, false},
		"the high length":                     {part("user020", at(2)), 0, false},
		"the length of the first":             {part("user000", at(1)), 0, false},
		"the length of the last":              {part("user039", at(0)), 0, false},
		"the length of the subject":           {part("user020", at(20)), 0, false},
		"the high length of the subject":      {part("user020", at(21)), 0, false},
		"a hole over three records":           {overwriteRecords("user010", "user013"), 3, false},
		"a hole at the beginning":             {overwriteRecords("user000", "user002"), 2, false},
		"a write that was cut off":            {func(b []byte) []byte { return append(b, b[:50]...) }, 0, false},
		"an unwritten end after a power loss": {func(b []byte) []byte { return append(b, make([]byte, 5000)...) }, 0, true},
		"a few bytes of a header":             {func(b []byte) []byte { return append(b, 90, 0, 0) }, 0, true},
		"the last record cut off":             {func(b []byte) []byte { return b[:len(b)-20] }, 1, true},
		"nothing":                             {func(b []byte) []byte { return b }, 0, true},
	} {
		if !strings.HasPrefix(name, "the ") && testsize.Small() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			dir := crashImage(t, image)
			block := blockFiles(t, dir, "EVENTS")[0]
			editFile(t, block, c.change)
			damaged, err := os.ReadFile(block)
			require.NoError(t, err)

			q, lines := openLogged(t, dir)
			remote := newRemote(t)
			runner := startRunner(t, q, quick, delivery.Instance{Plan: remote.planFor(`type = "track"`)})
			appendUserEvents(t, q, 500, 510)
			want := map[string]int64{"events": int64(pages - c.lost + 10), "delivered": int64(pages - c.lost + 10)}
			waitForCounts(t, runner, want)
			stopRunner(t, runner)
			d := q.Damage()
			if c.lost > 0 {
				assert.EqualValues(t, c.lost, d.LostPages)
				assert.NotEmpty(t, q.Problems())
				assert.Contains(t, lines.String(), "pages of the log are lost")
			} else {
				assert.Zero(t, d.LostPages)
			}
			if c.torn {
				assert.Empty(t, d.Files)
			} else if assert.Len(t, d.Files, 1) {
				kept, err := os.ReadFile(d.Files[0].CopyPath)
				require.NoError(t, err)
				assert.Equal(t, damaged, kept)
				info, err := os.Stat(d.Files[0].CopyPath)
				require.NoError(t, err)
				assert.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
				assert.Contains(t, lines.String(), "level=ERROR")
				assert.Contains(t, lines.String(), "EVENTS/1.blk")
			}
			if c.lost == 0 && c.torn {
				assert.NotContains(t, lines.String(), "level=ERROR")
			}
			q.Close()

			again, _ := openLogged(t, dir)
			assert.Equal(t, d.LostPages, again.Damage().LostPages, "it stays known")
			_, err = again.RepairCheckpoints(t.Context(), delivery.RepairOptions{AcceptLoss: true})
			require.NoError(t, err)
			assert.Empty(t, again.Problems())
			again.Close()
			last, _ := openLogged(t, dir)
			assert.Empty(t, last.Problems(), "what is accepted is not found again")
		})
	}
}

// overwriteRecords returns a change that overwrites the records from one user's up to another's.
func overwriteRecords(first, end string) func([]byte) []byte {
	return func(text []byte) []byte {
		from, _ := recordOf(text, first)
		to, _ := recordOf(text, end)
		for i := from; i < to; i++ {
			text[i] = 'x'
		}
		return text
	}
}

// Missing files are detected, also in streams of several blocks.
func TestMissingFilesAreDetected(t *testing.T) {
	dir := t.TempDir()
	q := openFiles(t, dir)
	stopRunner(t, startRunner(t, q, quick, delivery.Instance{Plan: newRemote(t).planFor(`type = "track"`)}))
	const pages = 330
	wide := `,"wide":"` + randomText(0, 90<<10) + `"`
	appendUserEvents(t, q, 0, pages, wide)
	image := crashImage(t, dir)
	q.Close()
	stopped := crashImage(t, dir)
	require.Greater(t, len(blockFiles(t, image, "EVENTS")), 3)

	index := func(dir string) string {
		return filepath.Join(dir, "jetstream", "$G", "streams", "EVENTS", "msgs", "index.db")
	}
	remove := func(n int) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			list := blockFiles(t, dir, "EVENTS")
			require.NoError(t, os.Remove(list[(n+len(list))%len(list)]))
		}
	}
	flipIn := func(n int) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			list := blockFiles(t, dir, "EVENTS")
			editFile(t, list[(n+len(list))%len(list)], flipBit(200))
		}
	}
	for name, c := range map[string]struct {
		image  string
		change func(t *testing.T, dir string)
		least  uint64
		most   uint64
	}{
		"the first block, killed":        {image, remove(0), 50, 120},
		"the first block, stopped":       {stopped, remove(0), 50, 120},
		"a block in the middle, killed":  {image, remove(1), 50, 120},
		"a block in the middle, stopped": {stopped, remove(1), 50, 120},
		"the last block, stopped":        {stopped, remove(-1), 1, 120},
		"a bit in the first block":       {stopped, flipIn(0), 1, 1},
		"a bit in the middle":            {stopped, flipIn(1), 1, 1},
		"a bit in the last block":        {stopped, flipIn(-1), 1, 1},
		"a bit in the middle, killed":    {image, flipIn(1), 1, 1},
		"no index":                       {stopped, func(t *testing.T, dir string) { require.NoError(t, os.Remove(index(dir))) }, 0, 0},
		"a damaged index":                {stopped, func(t *testing.T, dir string) { editFile(t, index(dir), flipBit(9)) }, 0, 0},
		"a block cut in half": {stopped, func(t *testing.T, dir string) {
			editFile(t, blockFiles(t, dir, "EVENTS")[1], func(b []byte) []byte { return b[:len(b)/2] })
		}, 20, 80},
		"a damaged description of the stream": {stopped, func(t *testing.T, dir string) {
			editFile(t, filepath.Join(dir, "jetstream", "$G", "streams", "EVENTS", "meta.inf"), flipBit(40))
		}, 0, 0},
	} {
		if !strings.HasSuffix(name, ", killed") && testsize.Small() {
			continue // it takes seconds under the race detector
		}
		t.Run(name, func(t *testing.T) {
			dir := crashImage(t, c.image)
			c.change(t, dir)
			q, lines := openLogged(t, dir)
			d := q.Damage()
			assert.GreaterOrEqual(t, d.LostPages, c.least, "%s", lines)
			assert.LessOrEqual(t, d.LostPages, c.most, "%s", lines)
			if c.least > 0 {
				assert.Contains(t, lines.String(), "level=ERROR")
			} else {
				events, _, err := q.Latest(t.Context(), "", 10000)
				require.NoError(t, err)
				assert.NotEmpty(t, events)
			}
		})
	}
}

// Damage to parked events, dead letters and checkpoints is detected, and no event is skipped after it.
func TestDamagedCheckpointsDoNotSkipEvents(t *testing.T) {
	dir := t.TempDir()
	q := openFiles(t, dir)
	remote := newRemote(t)
	plan := remote.planFor(`type = "track"`)
	runner := startRunner(t, q, quick, delivery.Instance{Plan: plan})
	appendUserEvents(t, q, 0, 20)
	waitForCounts(t, runner, map[string]int64{"events": 20, "delivered": 20})
	time.Sleep(300 * time.Millisecond) // the checkpoints are written
	image := crashImage(t, dir)
	stopRunner(t, runner)
	q.Close()

	text, err := os.ReadFile(blockFiles(t, image, "BOOKS")[0])
	require.NoError(t, err)
	for at := 30; at < len(text); at += len(text) / testsize.Of(24, 6) {
		dir := crashImage(t, image)
		editFile(t, blockFiles(t, dir, "BOOKS")[0], flipBit(at))
		q, lines := openLogged(t, dir)
		appendUserEvents(t, q, 500, 510)
		fresh := newRemote(t)
		runner, err := delivery.NewRunner(t.Context(), q, quick)
		require.NoError(t, err)
		err = runner.SetInstances(t.Context(), []delivery.Instance{{Plan: fresh.planFor(`type = "track"`)}})
		if err != nil {
			var bad *delivery.CheckpointError
			require.ErrorAs(t, err, &bad, "at %d", at)
			_, err = q.RepairCheckpoints(t.Context(), delivery.RepairOptions{Instances: []string{"main"}})
			require.NoError(t, err)
			require.Eventually(t, func() bool {
				return runner.SetInstances(t.Context(), []delivery.Instance{{Plan: fresh.planFor(`type = "track"`)}}) == nil
			}, time.Minute, 50*time.Millisecond)
		}
		assert.Eventually(t, func() bool {
			fresh.mu.Lock()
			defer fresh.mu.Unlock()
			for n := 500; n < 510; n++ {
				if len(fresh.taken[fmt.Sprintf("user%03d", n)]) == 0 {
					return false
				}
			}
			return true
		}, time.Minute, 10*time.Millisecond, "at %d: %s", at, lines)
		stopRunner(t, runner)
		q.Close()
	}
}

// A start after an orderly stop does not check the log; a start after a crash checks it once.
func TestOrderlyStopSkipsTheCheck(t *testing.T) {
	dir := t.TempDir()
	q := openFiles(t, dir)
	appendUserEvents(t, q, 0, 10)
	_, err := os.Stat(filepath.Join(dir, "stopped.json"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	q.Close()
	_, err = os.Stat(filepath.Join(dir, "stopped.json"))
	require.NoError(t, err)
	q = openFiles(t, dir)
	_, err = os.Stat(filepath.Join(dir, "stopped.json"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.Empty(t, q.Problems())
	q.Close()
}

// Scrubbing finds files that were damaged while the server runs, before they are read.
func TestScrubFindsDamageWhileRunning(t *testing.T) {
	dir := t.TempDir()
	q, lines := openLogged(t, dir)
	settings := quick
	settings.ScrubDelay = 10 * time.Millisecond
	appendUserEvents(t, q, 0, 10)
	editFile(t, blockFiles(t, dir, "EVENTS")[0], func(text []byte) []byte {
		from, _ := recordOf(text, "user004")
		return flipBit(from + 90)(text)
	})
	runner := startRunner(t, q, settings)
	require.Eventually(t, func() bool { return len(q.Problems()) > 0 }, time.Minute, 10*time.Millisecond)
	stopRunner(t, runner)
	d := q.Damage()
	require.Len(t, d.Files, 1)
	assert.EqualValues(t, 5, d.Files[0].First)
	assert.FileExists(t, d.Files[0].CopyPath)
	assert.Contains(t, lines.String(), "damaged")
}
