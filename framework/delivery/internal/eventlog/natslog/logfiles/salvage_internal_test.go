package logfiles

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

func (d testDir) read(stream, name string) []byte {
	d.t.Helper()
	content, err := os.ReadFile(d.path(stream, name))
	require.NoError(d.t, err)
	return content
}

// files returns the names of a stream's files.
func (d testDir) files(stream string) (names []string) {
	d.t.Helper()
	entries, err := os.ReadDir(filepath.Dir(d.path(stream, "x")))
	require.NoError(d.t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (d testDir) salvage(known Stamps) []eventlog.FileDamage {
	d.t.Helper()
	found, err := Salvage(d.t.Context(), d.dir, known, 1<<20)
	require.NoError(d.t, err)
	return found
}

// TestReservedSequences checks that after a repair the server reads all blocks, as it finds no index, and a block that says which sequences were
// used, if the last ones are lost.
func TestReservedSequences(t *testing.T) {
	for name, c := range map[string]struct {
		stream  string
		write   func(d testDir)
		index   bool     // stays
		files   []string // blocks
		reserve uint64
		at      int64
	}{
		"intact": {"EVENTS", func(d testDir) { d.writeBlock("EVENTS", 1, nil, messages(1, 2)...) }, true, []string{"1.blk"}, 0, 0},
		"an interrupted write": {"EVENTS", func(d testDir) {
			d.writeBlock("EVENTS", 1, func(b []byte) []byte { return b[:len(b)-1] }, messages(1, 2)...)
		}, true, []string{"1.blk"}, 0, 0},
		"between others": {"EVENTS", func(d testDir) { d.writeBlock("EVENTS", 1, damage(0), messages(1, 20)...) }, false, []string{"1.blk"}, 0, 0},
		"the last": {"EVENTS", func(d testDir) {
			d.writeBlock("EVENTS", 7, nil, messages(1, 2)...)
			d.writeBlock("EVENTS", 10, damage(1), messages(3, 4)...)
		}, false, []string{"10.blk", "11.blk", "7.blk"}, 15, 3},
		"the last, which the index does not know": {"EVENTS", func(d testDir) { d.writeBlock("EVENTS", 1, damage(1), messages(30, 31)...) }, false, []string{"1.blk", "2.blk"}, 31, 30},
		"the last that the index knows":           {"EVENTS", func(d testDir) { d.writeBlock("EVENTS", 1, damage(0), messages(14, 15)...) }, false, []string{"1.blk"}, 0, 0},
		"a missing block": {"EVENTS", func(d testDir) {
			d.writeBlock("EVENTS", 1, nil, messages(1, 2)...)
			d.writeBlock("EVENTS", 3, nil, messages(5, 20)...)
		}, false, []string{"1.blk", "3.blk"}, 0, 0},
		"a missing block before the last": {"EVENTS", func(d testDir) {
			d.writeBlock("EVENTS", 1, nil, messages(1, 2)...)
			d.writeBlock("EVENTS", 3, nil, append([]testRecord{{seq: 1 | tombstoneBit}}, messages(5, 6)...)...)
			d.writeBlock("EVENTS", 4, nil, messages(7)...)
		}, false, []string{"1.blk", "3.blk", "4.blk", "5.blk"}, 15, 7},
		"the first blocks were trimmed": {"EVENTS", func(d testDir) { d.writeBlock("EVENTS", 7, nil, messages(50, 51)...) }, true, []string{"7.blk"}, 0, 0},
		"others were deleted": {"DEAD", func(d testDir) {
			d.writeBlock("DEAD", 1, nil, testRecord{seq: 1, subject: "dead.a"})
			d.writeBlock("DEAD", 3, nil, testRecord{seq: 5, subject: "dead.a"})
		}, true, []string{"1.blk", "3.blk"}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := newTestDir(t)
			c.write(d)
			d.write(c.stream, "index.db", indexOf(t, []byte{11, 4}, 15, 20))
			d.salvage(nil)
			files := d.files(c.stream)
			assert.Equal(t, c.index, slices.Contains(files, "index.db"))
			assert.Equal(t, c.files, slices.DeleteFunc(files, func(name string) bool { return name == "index.db" }))
			if c.reserve == 0 {
				return
			}
			s, err := openStreams(d.dir)
			require.NoError(t, err)
			last := s[0].blocks[len(s[0].blocks)-1]
			raw := d.read(c.stream, filepath.Base(last.path))
			r := testDecoder(t, c.stream, last.number).decodeRecord(raw, len(raw))
			require.NotNil(t, r)
			assert.Equal(t, record{seq: c.reserve, time: c.at, tombstone: true, raw: raw}, *r)
		})
	}
	d := newTestDir(t)
	d.writeBlock("EVENTS", 1, damage(0), messages(8)...)
	d.salvage(nil)
	r := testDecoder(t, "EVENTS", 2).decodeRecord(d.read("EVENTS", "2.blk"), headSize+sumSize)
	require.NotNil(t, r)
	assert.EqualValues(t, 8, r.seq)
	assert.WithinDuration(t, time.Now(), time.Unix(0, r.time), time.Minute, "no message says when")
}

// TestRepairedBlocks checks what a damaged block has after the repair, and that the others are not written.
func TestRepairedBlocks(t *testing.T) {
	d := newTestDir(t)
	d.writeBlock("EVENTS", 1, nil, messages(1, 2)...)
	d.writeBlock("EVENTS", 2, func(b []byte) []byte { return damage(1)(b) }, messages(3, 4, 5)...)
	d.writeBlock("EVENTS", 3, func(b []byte) []byte { return b[:len(b)-1] }, messages(6, 7)...)
	book := func(seq uint64) testRecord { return testRecord{seq: seq, subject: "book.main.0", data: "{}"} }
	deleted := testRecord{seq: 1 | tombstoneBit}
	d.writeBlock("BOOKS", 1, damage(1), book(1), book(2), deleted, book(3), testRecord{seq: 2 | tombstoneBit})
	letter := func(seq uint64) testRecord { return testRecord{seq: seq, subject: "dead.main.0", data: "{}"} }
	d.writeBlock("DEAD", 1, damage(1), letter(1), letter(2), deleted, letter(3))
	first, third := d.read("EVENTS", "1.blk"), d.read("EVENTS", "3.blk")
	found := d.salvage(nil)
	require.Len(t, found, 4)
	for i, copied := range []bool{true, true, true, false} {
		assert.Equal(t, copied, found[i].CopyPath != "", found[i])
		assert.Empty(t, found[i].NoCopyReason)
	}
	assert.Equal(t, first, d.read("EVENTS", "1.blk"))
	assert.Equal(t, testDecoder(t, "EVENTS", 2).encode(messages(3, 5)...), d.read("EVENTS", "2.blk"))
	assert.Equal(t, third, d.read("EVENTS", "3.blk"), "the server cuts it")
	assert.Equal(t, testDecoder(t, "BOOKS", 1).encode(book(1), book(3), testRecord{seq: 2 | tombstoneBit}), d.read("BOOKS", "1.blk"), "the value that the lost one has replaced is there again")
	assert.Equal(t, testDecoder(t, "DEAD", 1).encode(letter(1), deleted, letter(3)), d.read("DEAD", "1.blk"), "deleted letters stay deleted")
	assert.Empty(t, slices.DeleteFunc(d.salvage(nil), func(f eventlog.FileDamage) bool { return f.Torn }))
}

// TestSalvageThatFails checks that a repair says what it could not do, and what it has done before.
func TestSalvageThatFails(t *testing.T) {
	d := newTestDir(t)
	d.writeBlock("EVENTS", 1, damage(0), messages(1, 2)...)
	d.writeBlock("PARK", 1, damage(0), testRecord{seq: 1, subject: "park.main.0", data: "{}"}, testRecord{seq: 2, subject: "park.main.0", data: "{}"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Salvage(ctx, d.dir, nil, 1<<20)
	require.ErrorIs(t, err, context.Canceled)
	assert.ErrorContains(t, err, "salvaging EVENTS: ")
	require.NoError(t, os.MkdirAll(d.path("PARK", "index.db/x"), 0o700)) // cannot be deleted
	found, err := Salvage(t.Context(), d.dir, nil, 1<<20)
	require.ErrorContains(t, err, "salvaging PARK: ")
	assert.Len(t, found, 2)
	require.NoError(t, os.RemoveAll(d.path("PARK", "index.db")))

	d.writeBlock("DEAD", 1, damage(0), testRecord{seq: 1, subject: "dead.x"}, testRecord{seq: 2, subject: "dead.x"})
	d.write("DEAD", "index.db", []byte("index"))
	require.NoError(t, os.MkdirAll(d.path("DEAD", "2.blk/x"), 0o700)) // cannot be read
	found, err = Salvage(t.Context(), d.dir, nil, 1<<20)
	require.ErrorContains(t, err, "2.blk")
	assert.Len(t, found, 1)
	assert.FileExists(t, d.path("DEAD", "index.db"), "it is not known which sequences follow")
}

// TestCopiesOfOneRepair checks that the copies of one repair take no more than their limit either, and that the file is repaired nevertheless.
func TestCopiesOfOneRepair(t *testing.T) {
	d := newTestDir(t)
	d.writeBlock("EVENTS", 1, damage(0), messages(1, 2)...)
	d.writeBlock("EVENTS", 2, damage(0), messages(3, 4)...)
	size := int64(len(d.read("EVENTS", "1.blk")))
	old := filepath.Join(d.dir, DamagedDir, "20010101T000000.000Z", "EVENTS", "9.blk")
	require.NoError(t, os.MkdirAll(filepath.Dir(old), 0o700))
	require.NoError(t, os.WriteFile(old, []byte("old"), 0o600))
	found, err := Salvage(t.Context(), d.dir, nil, 2*size-1)
	require.NoError(t, err)
	require.Len(t, found, 2)
	assert.FileExists(t, found[0].CopyPath)
	assert.Empty(t, found[1].CopyPath)
	assert.Contains(t, found[1].NoCopyReason, "the copies would take more than")
	assert.NoFileExists(t, old, "older ones go first")
	assert.Empty(t, d.check(nil))

	repaired, earlier := int64(len(d.read("EVENTS", "1.blk"))), filepath.Join(d.dir, DamagedDir, "20020101T000000.000Z")
	require.NoError(t, os.Rename(filepath.Dir(filepath.Dir(found[0].CopyPath)), earlier))
	path, reason := CopyDamaged(d.dir, eventlog.FileDamage{Stream: "EVENTS", File: "1.blk"}, size+repaired)
	assert.Empty(t, reason)
	assert.DirExists(t, earlier, "both fit")
	require.NoError(t, os.RemoveAll(filepath.Dir(filepath.Dir(path))))
	path, reason = CopyDamaged(d.dir, eventlog.FileDamage{Stream: "EVENTS", File: "1.blk"}, size+repaired-1)
	assert.Empty(t, reason)
	assert.FileExists(t, path)
	assert.NoDirExists(t, earlier)
	copied, err := os.Stat(path)
	require.NoError(t, err)
	assert.EqualValues(t, 0o600, copied.Mode().Perm())
	assert.Equal(t, filepath.Join("EVENTS", "1.blk"), path[len(filepath.Dir(filepath.Dir(path)))+1:])

	require.NoError(t, os.RemoveAll(filepath.Join(d.dir, DamagedDir)))
	require.NoError(t, os.WriteFile(filepath.Join(d.dir, DamagedDir), nil, 0o600)) // in the way
	path, reason = CopyDamaged(d.dir, eventlog.FileDamage{Stream: "EVENTS", File: "1.blk"}, 1<<20)
	assert.Empty(t, path)
	assert.Contains(t, reason, "not a directory")
	require.NoError(t, os.Remove(filepath.Join(d.dir, DamagedDir)))
	require.NoError(t, os.Mkdir(d.path("EVENTS", "3.blk"), 0o700))
	path, reason = CopyDamaged(d.dir, eventlog.FileDamage{Stream: "EVENTS", File: "3.blk"}, 1<<20)
	assert.Empty(t, path)
	assert.Contains(t, reason, "3.blk")
	assert.Error(t, copyFile(d.path("EVENTS", "1.blk"), d.path("EVENTS", "3.blk")), "a folder is in the way")
}

// spaces is a Rewrite that overwrites the data of a message of ann.
func spaces(_, _ string, data []byte) []byte {
	if !bytes.Contains(data, []byte("ann")) {
		return nil
	}
	return []byte("{" + strings.Repeat(" ", len(data)-2) + "}")
}

// TestRewrittenRecords checks which data is offered to be rewritten, with which subject: that of messages and erased ones, without headers.
func TestRewrittenRecords(t *testing.T) {
	d := newTestDir(t)
	d.writeBlock("EVENTS", 1, nil, testRecord{seq: 1, subject: "ev.web.0", headers: testHeaders, data: `{"a":1}`}, testRecord{seq: 2, subject: "ev.web.1", data: `{"b":2}`},
		testRecord{seq: 3, subject: "ctl.x"}, testRecord{seq: 4 | erasedBit, data: "random"}, testRecord{seq: 1 | tombstoneBit}, testRecord{seq: 5, subject: "ev.x", headers: testHeaders})
	var seen []string
	clean, found, err := Search(t.Context(), d.dir, func(stream, subject string, data []byte) []byte {
		seen = append(seen, stream+" "+subject+" "+string(data))
		return []byte("longer than any of them")
	})
	require.NoError(t, err)
	assert.False(t, found)
	assert.Len(t, clean, 1)
	assert.Equal(t, []string{`EVENTS ev.web.0 {"a":1}`, `EVENTS ev.web.1 {"b":2}`, "EVENTS ctl.x ", "EVENTS  random", "EVENTS ev.x "}, seen)
}

// TestErasedBlocks checks that a rewritten block is intact, that the server trusts its index as before, and which files are not touched.
func TestErasedBlocks(t *testing.T) {
	write := func(t *testing.T) testDir {
		d := newTestDir(t)
		d.writeBlock("EVENTS", 1, nil, message(1), testRecord{seq: 2, subject: "ev.web.0", data: `{"userId":"bob"}`})
		d.writeBlock("EVENTS", 2, nil, testRecord{seq: 3, subject: "ev.web.0", headers: testHeaders, data: `{"userId":"ann"}`})
		d.writeBlock("EVENTS", 3, nil, testRecord{seq: 4, subject: "ev.web.0", data: `{"userId":"bob"}`})
		return d
	}
	blank := "{" + strings.Repeat(" ", 14) + "}"
	indexFor := func(t *testing.T, block []byte) []byte {
		return withSum(t, append(bytes.Repeat([]byte{11}, 40), sumAtEnd(block)...))
	}
	for newest, changed := range map[string]bool{"1.blk": true, "2.blk": true, "3.blk": false} {
		d := write(t)
		before, third := indexFor(t, d.read("EVENTS", newest)), d.read("EVENTS", "3.blk")
		d.write("EVENTS", "index.db", before)
		clean, found, err := Search(t.Context(), d.dir, spaces)
		require.NoError(t, err)
		assert.True(t, found)
		require.Len(t, clean, 1)
		require.NoError(t, Erase(t.Context(), d.dir, clean, spaces))
		assert.Equal(t, testDecoder(t, "EVENTS", 1).encode(testRecord{seq: 1, subject: "ev.web.0", data: blank}, testRecord{seq: 2, subject: "ev.web.0", data: `{"userId":"bob"}`}), d.read("EVENTS", "1.blk"))
		assert.Equal(t, testDecoder(t, "EVENTS", 2).encode(testRecord{seq: 3, subject: "ev.web.0", headers: testHeaders, data: blank}), d.read("EVENTS", "2.blk"))
		assert.Equal(t, third, d.read("EVENTS", "3.blk"))
		assert.Equal(t, indexFor(t, d.read("EVENTS", newest)), d.read("EVENTS", "index.db"), newest)
		if newest == "1.blk" {
			changed = false // its last record stays
		}
		assert.Equal(t, changed, !bytes.Equal(before, d.read("EVENTS", "index.db")), newest)
	}
	for name, index := range map[string][]byte{"small": make([]byte, 2*sumSize-1), "of another block": indexFor(t, []byte("another block")), "the smallest": make([]byte, 2*sumSize)} {
		d := write(t)
		d.write("EVENTS", "index.db", index)
		require.NoError(t, Erase(t.Context(), d.dir, nil, spaces), name)
		assert.Equal(t, index, d.read("EVENTS", "index.db"), name)
	}
	d := write(t)
	require.NoError(t, os.Mkdir(d.path("EVENTS", "index.db"), 0o700))
	err := Erase(t.Context(), d.dir, nil, spaces)
	assert.ErrorContains(t, err, "EVENTS/1.blk: ", "the server would read the wrong index")

	d = write(t)
	d.write("EVENTS", "2.blk", []byte("cmp compressed"))
	clean, found, err := Search(t.Context(), d.dir, func(string, string, []byte) []byte { return nil })
	require.NoError(t, err)
	assert.True(t, found, "it may have something")
	assert.Len(t, clean, 2)
	assert.ErrorContains(t, Erase(t.Context(), d.dir, nil, spaces), "EVENTS/2.blk: it is compressed")
	calls := 0
	ctx, cancel := context.WithCancel(t.Context())
	_, _, err = Search(ctx, d.dir, func(string, string, []byte) []byte { calls++; cancel(); return nil })
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, 2, calls, "of one block")
}

// TestTrimmedBlocks checks that a block which the server deletes in the meantime has nothing to be found.
func TestTrimmedBlocks(t *testing.T) {
	d := newTestDir(t)
	d.writeBlock("EVENTS", 1, nil, messages(1)...)
	d.writeBlock("EVENTS", 2, damage(0), messages(2)...)
	clean, found, err := Search(t.Context(), d.dir, func(string, string, []byte) []byte { _ = os.Remove(d.path("EVENTS", "2.blk")); return nil })
	require.NoError(t, err)
	assert.False(t, found)
	assert.Len(t, clean, 1)
	d.writeBlock("EVENTS", 2, nil, messages(2)...)
	require.NoError(t, os.Symlink("none", d.path("EVENTS", "3.blk"))) // is listed but not there
	streams, err := openStreams(d.dir)
	require.NoError(t, err)
	require.NoError(t, os.Remove(d.path("EVENTS", "1.blk")))
	read := 0
	require.NoError(t, scanStream(t.Context(), streams[0], nil, func(scannedBlock) error { read++; return nil }))
	assert.Equal(t, 1, read)
	require.NoError(t, os.Symlink("4.blk", d.path("EVENTS", "4.blk")))
	_, err = openStreams(d.dir)
	assert.Error(t, err, "it cannot be read, but it is there")
}

// TestStampsOfStreams checks that a changed index concerns the blocks of its stream only, and that stamps which cannot be read or deleted
// are not used.
func TestStampsOfStreams(t *testing.T) {
	d := newTestDir(t)
	for _, stream := range []string{"EVENTS", "PARK", "DEAD"} {
		d.writeBlock(stream, 1, nil, testRecord{seq: 1, subject: "probe.x"})
		d.writeBlock(stream, 2, nil, testRecord{seq: 2, subject: "probe.x"})
		d.write(stream, "index.db", []byte("index"))
	}
	require.NoError(t, os.Remove(d.path("DEAD", "index.db")))
	require.NoError(t, WriteStamps(d.dir))
	d.write("PARK", "index.db", []byte("another index"))
	d.write("DEAD", "index.db", []byte("index"))
	known, err := TakeStamps(d.dir)
	require.NoError(t, err)
	var names []string
	for name := range known {
		names = append(names, name)
	}
	assert.ElementsMatch(t, []string{"EVENTS/1.blk", "EVENTS/2.blk", "EVENTS/index.db"}, names)
	assert.NoFileExists(t, filepath.Join(d.dir, "stopped.json"))

	require.NoError(t, os.Mkdir(filepath.Join(d.dir, "stopped.json"), 0o700))
	_, err = TakeStamps(d.dir)
	require.Error(t, err)
	for name, d := range unreadable(t) {
		require.NoError(t, os.WriteFile(filepath.Join(d.dir, "stopped.json"), []byte("{}"), 0o600))
		_, err = TakeStamps(d.dir)
		require.Error(t, err, name)
	}
}

// TestLeftoversThatStay checks that a leftover which cannot be deleted, and may have data that was erased, is an error.
func TestLeftoversThatStay(t *testing.T) {
	d := newTestDir(t)
	d.write("EVENTS", ".2.blk.5", []byte("ann"))
	require.NoError(t, os.MkdirAll(d.path("EVENTS", ".1.blk.5/x"), 0o700))
	require.ErrorContains(t, RemoveLeftovers(d.dir), ".1.blk.5")
	assert.NoFileExists(t, d.path("EVENTS", ".2.blk.5"), "the others are deleted")
}
