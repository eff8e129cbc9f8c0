package logfiles_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/natslog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/natslog/logfiles"
)

const messages = 9

// openLog opens a server on a directory. The caller closes it.
func openLog(t *testing.T, dir string) *natslog.Log {
	t.Helper()
	log, err := natslog.Open(natslog.Config{Dir: dir})
	require.NoError(t, err)
	require.NoError(t, log.Prepare(t.Context(), []eventlog.StreamConfig{{Name: "EVENTS", Subjects: []string{"ev.>", "ctl.>"}}}))
	return log
}

// dataOf returns the data of a message, of which every third belongs to ann.
func dataOf(seq int) string {
	return fmt.Sprintf(`{"n":%d,"user":%q}`, seq, []string{"ann", "bob", "bob"}[seq%3])
}

// writeFiles returns a directory with the files of a server that has stopped: nine messages in one file. Every second one has headers.
func writeFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	log := openLog(t, dir)
	defer log.Close()
	for seq := 1; seq <= messages; seq++ {
		w := eventlog.Write{Subject: "ev.web.0", Data: []byte(dataOf(seq))}
		if seq%2 == 0 {
			w.Header = map[string]string{"Name": "value"}
		}
		_, err := log.Append(t.Context(), "EVENTS", []eventlog.Write{w})
		require.NoError(t, err)
	}
	return dir
}

// copyFiles returns a copy of a directory.
func copyFiles(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	require.NoError(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}

func filePath(dir, name string) string {
	return filepath.Join(dir, "jetstream", "$G", "streams", "EVENTS", "msgs", name)
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return text
}

// recordAt returns where the record of a message is in the text of a file.
func recordAt(text []byte, seq int) (from, to int) {
	for ; seq > 0; seq-- {
		from, to = to, to+int(binary.LittleEndian.Uint32(text[to:])&^(1<<31))
	}
	return from, to
}

// textsOf returns the messages that a server reads from a directory, and the sequence of the next one.
func textsOf(t *testing.T, dir string) (texts map[int]string, next uint64) {
	t.Helper()
	log := openLog(t, dir)
	defer log.Close()
	texts = map[int]string{}
	require.NoError(t, log.Scan(t.Context(), "EVENTS", eventlog.Query{Filters: []string{"ev.>"}}, func(m eventlog.Message) (bool, error) {
		texts[int(m.Sequence)] = string(m.Data)
		return true, nil
	}))
	next, err := log.Append(t.Context(), "EVENTS", []eventlog.Write{{Subject: "ev.web.0", Data: []byte("{}")}})
	require.NoError(t, err)
	return texts, next
}

// TestDamageLosesNoOtherMessage checks for kinds of damage what is reported, that the server has all other messages after the repair, that it uses no
// sequence of a lost one again, and that a copy of the damaged file is kept.
func TestDamageLosesNoOtherMessage(t *testing.T) {
	written := writeFiles(t)
	flip := func(seq, at int) func([]byte) []byte {
		return func(text []byte) []byte {
			from, to := recordAt(text, seq)
			if at < 0 {
				from = to
			}
			text[from+at] ^= 4
			return text
		}
	}
	lost := func(first, last uint64) eventlog.FileDamage {
		return eventlog.FileDamage{Lost: 1, First: first, Last: last}
	}
	for name, c := range map[string]struct {
		change func([]byte) []byte
		want   eventlog.FileDamage
		gone   []int
	}{
		"data":                 {flip(5, -10), lost(5, 5), []int{5}},
		"data of the first":    {flip(1, -10), lost(1, 1), []int{1}},
		"data of the last":     {flip(9, -10), lost(9, 9), []int{9}},
		"the checksum":         {flip(4, -1), lost(4, 4), []int{4}},
		"the time":             {flip(3, 12), lost(3, 3), []int{3}},
		"the sequence":         {flip(3, 5), lost(3, 3), []int{3}},
		"the length":           {flip(5, 0), eventlog.FileDamage{Repaired: 1}, nil},
		"the mark of headers":  {func(text []byte) []byte { from, _ := recordAt(text, 5); text[from+3] ^= 0x80; return text }, eventlog.FileDamage{Repaired: 1}, nil},
		"the subject's length": {flip(5, 20), eventlog.FileDamage{Repaired: 1}, nil},
		"two neighbours":       {func(text []byte) []byte { return flip(6, -10)(flip(5, -10)(text)) }, lost(5, 6), []int{5, 6}},
		"two places":           {func(text []byte) []byte { return flip(7, -10)(flip(3, -10)(text)) }, eventlog.FileDamage{Lost: 2, First: 3, Last: 7}, []int{3, 7}},
		"zeros":                {func(text []byte) []byte { from, to := recordAt(text, 4); clear(text[from:to]); return text }, lost(4, 4), []int{4}},
		"a missing part": {func(text []byte) []byte {
			from, _ := recordAt(text, 4)
			return append(text[:from+30:from+30], text[from+35:]...)
		}, lost(4, 4), []int{4}},
		"an interrupted write": {func(text []byte) []byte { return text[:len(text)-5] }, eventlog.FileDamage{Torn: true}, []int{9}},
		"zeros at the end":     {func(text []byte) []byte { return append(text, make([]byte, 100)...) }, eventlog.FileDamage{Torn: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := copyFiles(t, written)
			path := filePath(dir, "1.blk")
			damaged := c.change(readFile(t, path))
			require.NoError(t, os.WriteFile(path, damaged, 0o600))
			c.want.Stream, c.want.File = "EVENTS", "1.blk"
			found, err := logfiles.Check(t.Context(), dir, nil, 0)
			require.NoError(t, err)
			assert.Equal(t, []eventlog.FileDamage{c.want}, found)
			assert.Equal(t, damaged, readFile(t, path), "a check changes nothing")

			found, err = logfiles.Salvage(t.Context(), dir, nil, 1<<20)
			require.NoError(t, err)
			require.Len(t, found, 1)
			if c.want.Torn {
				assert.Empty(t, found[0].CopyPath)
			} else {
				assert.Equal(t, damaged, readFile(t, found[0].CopyPath))
				again, err := logfiles.Check(t.Context(), dir, nil, 0)
				require.NoError(t, err)
				assert.Empty(t, again)
			}
			want := map[int]string{}
			for seq := 1; seq <= messages; seq++ {
				want[seq] = dataOf(seq)
			}
			for _, seq := range c.gone {
				delete(want, seq)
			}
			texts, next := textsOf(t, dir)
			assert.Equal(t, want, texts)
			if !c.want.Torn {
				assert.EqualValues(t, messages+1, next, "the sequence of a lost message is not used again")
			}
		})
	}
}

// TestEveryDamagedByteConcernsOneMessage damages each byte of a file, one at a time: its message is repaired, or it alone is reported as lost.
func TestEveryDamagedByteConcernsOneMessage(t *testing.T) {
	dir := writeFiles(t)
	path := filePath(dir, "1.blk")
	intact := readFile(t, path)
	for seq := 1; seq <= messages; seq++ {
		from, to := recordAt(intact, seq)
		for at := from; at < to; at++ {
			for _, bit := range []byte{4, 0x80} {
				text := bytes.Clone(intact)
				text[at] ^= bit
				require.NoError(t, os.WriteFile(path, text, 0o600))
				found, err := logfiles.Check(t.Context(), dir, nil, 0)
				require.NoError(t, err)
				require.Len(t, found, 1, "message %d, byte %d", seq, at-from)
				if found[0].Repaired == 0 {
					want := eventlog.FileDamage{Stream: "EVENTS", File: "1.blk", Lost: 1, First: uint64(seq), Last: uint64(seq)}
					if inSequence := at-from >= 4 && at-from < 12; inSequence && (seq == 1 || seq == messages) { // no neighbour says which it was
						want.First, want.Last = found[0].First, found[0].Last
					}
					require.Equal(t, want, found[0], "message %d, byte %d, bit %d", seq, at-from, bit)
					continue
				}
				require.Equal(t, eventlog.FileDamage{Stream: "EVENTS", File: "1.blk", Repaired: 1}, found[0])
				require.True(t, at-from < 4 || at-from == 20 || at-from == 21, "message %d, byte %d: only lengths can be repaired", seq, at-from)
			}
		}
	}
}

// TestEraseOverwritesOneUser checks that no file has the data of a user, that everything else stays, and that files which need no change, or
// cannot be read to their end, are not written.
func TestEraseOverwritesOneUser(t *testing.T) {
	dir := writeFiles(t)
	erase := func(_, _ string, data []byte) []byte {
		if !bytes.Contains(data, []byte("ann")) {
			return nil
		}
		return []byte("{}" + strings.Repeat(" ", len(data)-2))
	}
	none := func(string, string, []byte) []byte { return nil }
	path := filePath(dir, "1.blk")
	before := readFile(t, path)

	clean, found, err := logfiles.Search(t.Context(), dir, none)
	require.NoError(t, err)
	assert.False(t, found)
	assert.Len(t, clean, 1)
	require.NoError(t, logfiles.Erase(t.Context(), dir, clean, erase))
	assert.Equal(t, before, readFile(t, path), "the search has found nothing in it")
	require.NoError(t, logfiles.Erase(t.Context(), dir, nil, func(_, _ string, data []byte) []byte { return []byte("{}") }))
	assert.Equal(t, before, readFile(t, path), "other lengths would move the records")

	clean, found, err = logfiles.Search(t.Context(), dir, erase)
	require.NoError(t, err)
	assert.True(t, found)
	assert.Empty(t, clean)
	assert.Equal(t, before, readFile(t, path), "a search changes nothing")

	broken := copyFiles(t, dir)
	damaged := bytes.Clone(before)
	damaged[len(damaged)-1] ^= 1
	require.NoError(t, os.WriteFile(filePath(broken, "1.blk"), damaged, 0o600))
	_, found, err = logfiles.Search(t.Context(), broken, none)
	require.NoError(t, err)
	assert.True(t, found, "what cannot be read may hold something")
	require.ErrorIs(t, logfiles.Erase(t.Context(), broken, nil, erase), logfiles.ErrDamaged)
	assert.Equal(t, damaged, readFile(t, filePath(broken, "1.blk")))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, logfiles.Erase(ctx, dir, nil, erase), context.Canceled)

	require.NoError(t, logfiles.Erase(t.Context(), dir, nil, erase))
	assert.NotContains(t, string(readFile(t, path)), "ann")
	damages, err := logfiles.Check(t.Context(), dir, nil, 0)
	require.NoError(t, err)
	assert.Empty(t, damages)
	texts, next := textsOf(t, dir)
	assert.EqualValues(t, messages+1, next)
	for seq := 1; seq <= messages; seq++ {
		if want := dataOf(seq); strings.Contains(want, "ann") {
			assert.Equal(t, "{}", strings.TrimSpace(texts[seq]))
		} else {
			assert.Equal(t, want, texts[seq])
		}
	}
}

// TestSearchableFiles checks in which damaged files texts can be found.
func TestSearchableFiles(t *testing.T) {
	intact := readFile(t, filePath(writeFiles(t), "1.blk"))
	from, to := recordAt(intact, 4)
	brace := from + bytes.IndexByte(intact[from:to], '{')
	require.Greater(t, brace, from)
	for name, c := range map[string]struct {
		file       string
		damage     func(text []byte)
		searchable bool
	}{
		"nothing":                  {"1.blk", func([]byte) {}, true},
		"a letter":                 {"1.blk", func(text []byte) { text[brace+3] ^= 1 }, true},
		"the subject":              {"1.blk", func(text []byte) { text[from+22] ^= 1 }, true},
		"zeros":                    {"1.blk", func(text []byte) { clear(text[brace+2 : to-8]) }, true},
		"letters outside of ASCII": {"1.blk", func(text []byte) { copy(text[brace+2:], "\u00e9\u4e16") }, true},
		"the checksum":             {"1.blk", func(text []byte) { text[to-1] ^= 0x80 }, true},
		"a byte that is no text":   {"1.blk", func(text []byte) { text[brace+3] = 0xfe }, false},
		"a control character":      {"1.blk", func(text []byte) { text[brace+3] = 1 }, false},
		"no brace":                 {"1.blk", func(text []byte) { text[brace] = 0xff }, false},
		"its name":                 {"x.blk", func([]byte) {}, false},
		"compressed by the server": {"1.blk", func(text []byte) { copy(text, "cmp") }, false},
	} {
		text := bytes.Clone(intact)
		c.damage(text)
		assert.Equal(t, c.searchable, logfiles.IsSearchable("EVENTS", c.file, text), name)
	}
	assert.True(t, logfiles.IsSearchable("EVENTS", "1.blk", nil))
}

// TestLeftoversAreRemoved checks that the files of an interrupted replacement are removed, and no other.
func TestLeftoversAreRemoved(t *testing.T) {
	dir := writeFiles(t)
	for _, name := range []string{".1.blk.123", ".index.db.4", ".other", "2.blk.5"} {
		require.NoError(t, os.WriteFile(filePath(dir, name), []byte("ann"), 0o600))
	}
	require.NoError(t, logfiles.RemoveLeftovers(dir))
	for name, want := range map[string]bool{".1.blk.123": false, ".index.db.4": false, ".other": true, "2.blk.5": true, "1.blk": true, "index.db": true} {
		_, err := os.Stat(filePath(dir, name))
		assert.Equal(t, want, err == nil, name)
	}
}

// TestCopiesOfDamagedFilesAreBounded checks that the oldest copies make room for a new one, and that a file which does not fit is not copied.
func TestCopiesOfDamagedFilesAreBounded(t *testing.T) {
	dir := writeFiles(t)
	size := int64(len(readFile(t, filePath(dir, "1.blk"))))
	damage := eventlog.FileDamage{Stream: "EVENTS", File: "1.blk"}
	copies := func() int {
		list, err := filepath.Glob(filepath.Join(dir, logfiles.DamagedDir, "*", "EVENTS", "1.blk"))
		require.NoError(t, err)
		return len(list)
	}
	path, reason := logfiles.CopyDamaged(dir, damage, size-1)
	assert.Empty(t, path)
	assert.Contains(t, reason, "larger")
	assert.Zero(t, copies())
	for i, old := range []string{"20010101T000000.000Z", "20010102T000000.000Z"} {
		require.NoError(t, os.CopyFS(filepath.Join(dir, logfiles.DamagedDir, old, "EVENTS"), os.DirFS(filepath.Dir(filePath(dir, "")+"/1.blk"))))
		assert.Equal(t, i+1, copies())
	}
	path, reason = logfiles.CopyDamaged(dir, damage, 10*size)
	assert.Empty(t, reason)
	assert.Equal(t, readFile(t, filePath(dir, "1.blk")), readFile(t, path))
	assert.Equal(t, 3, copies())
	path, reason = logfiles.CopyDamaged(dir, damage, size)
	assert.Empty(t, reason)
	assert.FileExists(t, path)
	assert.Equal(t, 1, copies(), "only the new one fits")
	_, reason = logfiles.CopyDamaged(dir, eventlog.FileDamage{Stream: "EVENTS", File: "7.blk"}, size)
	assert.Contains(t, reason, "7.blk")
}

// TestUnchangedFilesAreNotReadAgain checks which files count as intact after an orderly stop: those with the size and time of then, if the server's index is
// that of then as well. The stamps are used once.
func TestUnchangedFilesAreNotReadAgain(t *testing.T) {
	written := writeFiles(t)
	touch := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filePath(dir, name), append(readFile(t, filePath(dir, name)), 0), 0o600))
		}
	}
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string)
		known  int // files that are not read: the stamps have the index as well
	}{
		"nothing has changed":  {func(*testing.T, string) {}, 2},
		"the index":            {touch("index.db"), 0},
		"the index is gone":    {func(t *testing.T, dir string) { require.NoError(t, os.Remove(filePath(dir, "index.db"))) }, 0},
		"there is another one": {func(t *testing.T, dir string) { require.NoError(t, os.WriteFile(filePath(dir, "2.blk"), nil, 0o600)) }, 0},
		"one is gone":          {func(t *testing.T, dir string) { require.NoError(t, os.Remove(filePath(dir, "1.blk"))) }, 0},
		"the stamps": {func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "stopped.json"), []byte("{"), 0o600))
		}, 0},
	} {
		dir := copyFiles(t, written)
		require.NoError(t, logfiles.WriteStamps(dir))
		c.change(t, dir)
		known, err := logfiles.TakeStamps(dir)
		require.NoError(t, err, name)
		assert.Len(t, known, c.known, name)
		known, err = logfiles.TakeStamps(dir)
		require.NoError(t, err, name)
		assert.Nil(t, known, name)
	}
	dir := copyFiles(t, written)
	require.NoError(t, logfiles.WriteStamps(dir))
	known, err := logfiles.TakeStamps(dir)
	require.NoError(t, err)
	path := filePath(dir, "1.blk")
	info, err := os.Stat(path)
	require.NoError(t, err)
	text := readFile(t, path)
	text[50] ^= 1
	require.NoError(t, os.WriteFile(path, text, 0o600))
	require.NoError(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
	found, err := logfiles.Check(t.Context(), dir, known, 0)
	require.NoError(t, err)
	assert.Empty(t, found, "it is not read")
	require.NoError(t, os.WriteFile(path, append(text, text...), 0o600))
	found, err = logfiles.Check(t.Context(), dir, known, 0)
	require.NoError(t, err)
	assert.Len(t, found, 1)
}

// TestNoFiles checks a directory that has no server yet.
func TestNoFiles(t *testing.T) {
	dir := t.TempDir()
	found, err := logfiles.Salvage(t.Context(), dir, nil, 1)
	require.NoError(t, err)
	assert.Empty(t, found)
	known, err := logfiles.TakeStamps(dir)
	require.NoError(t, err)
	assert.Nil(t, known)
	require.NoError(t, logfiles.RemoveLeftovers(dir))
	require.Error(t, logfiles.SyncDir(dir, "EVENTS"))
}
