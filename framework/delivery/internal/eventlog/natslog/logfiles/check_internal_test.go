package logfiles

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// testDir is the directory of a queue that a test writes.
type testDir struct {
	t   *testing.T
	dir string
}

func newTestDir(t *testing.T) testDir { return testDir{t, t.TempDir()} }

func (d testDir) path(stream, name string) string {
	return filepath.Join(d.dir, "jetstream", "$G", "streams", stream, "msgs", name)
}

func (d testDir) write(stream, name string, content []byte) {
	d.t.Helper()
	require.NoError(d.t, os.MkdirAll(filepath.Dir(d.path(stream, name)), 0o700))
	require.NoError(d.t, os.WriteFile(d.path(stream, name), content, 0o600))
}

// writeBlock writes a block. change may damage its text.
func (d testDir) writeBlock(stream string, number int, change func([]byte) []byte, records ...testRecord) {
	d.t.Helper()
	block := testDecoder(d.t, stream, number).encode(records...)
	if change != nil {
		block = change(block)
	}
	d.write(stream, fmt.Sprintf("%d.blk", number), block)
}

func (d testDir) check(known Stamps) []eventlog.FileDamage {
	d.t.Helper()
	found, err := Check(d.t.Context(), d.dir, known, 0)
	require.NoError(d.t, err)
	return found
}

func messages(seqs ...uint64) (list []testRecord) {
	for _, seq := range seqs {
		list = append(list, message(seq))
	}
	return list
}

// damage breaks the data of the n-th record of a block, counted from 0.
func damage(n int) func([]byte) []byte {
	return func(block []byte) []byte {
		at := 0
		for range n {
			at += lengthAt(block[at:])
		}
		block[at+lengthAt(block[at:])-sumSize-1] ^= 4
		return block
	}
}

// TestLostSequences checks which sequences are reported as lost, which is known from the records beside the damage, in the block or the one before.
func TestLostSequences(t *testing.T) {
	cut := func(block []byte) []byte { return block[:len(block)-1] }
	withoutSeq := func(next func([]byte) []byte) func([]byte) []byte {
		return func(block []byte) []byte { block[11] |= 0x10; return next(block) }
	}
	lost := func(file string, places int, first, last uint64) []eventlog.FileDamage {
		return []eventlog.FileDamage{{Stream: "EVENTS", File: file, Lost: places, First: first, Last: last}}
	}
	for name, c := range map[string]struct {
		write func(d testDir)
		want  []eventlog.FileDamage
	}{
		"intact": {func(d testDir) {
			d.writeBlock("EVENTS", 9, nil, messages(1, 2)...)
			d.writeBlock("EVENTS", 10, nil, messages(3, 4)...)
		}, nil},
		"the first of a later block": {func(d testDir) {
			d.writeBlock("EVENTS", 9, nil, messages(1, 2)...)
			d.writeBlock("EVENTS", 10, damage(0), messages(3, 4)...)
		}, lost("10.blk", 1, 3, 3)},
		"unknown, between two blocks": {func(d testDir) {
			d.writeBlock("EVENTS", 9, nil, messages(1, 2)...)
			d.writeBlock("EVENTS", 10, withoutSeq(damage(0)), messages(3, 6)...)
		}, lost("10.blk", 1, 3, 5)},
		"the last of an older block": {func(d testDir) {
			d.writeBlock("EVENTS", 9, cut, messages(1, 2)...)
			d.writeBlock("EVENTS", 10, nil, messages(3, 4)...)
		}, lost("9.blk", 1, 2, 2)},
		"the end of the newest block": {func(d testDir) {
			d.writeBlock("EVENTS", 9, nil, messages(1, 2)...)
			d.writeBlock("EVENTS", 10, cut, messages(3, 4)...)
		}, []eventlog.FileDamage{{Stream: "EVENTS", File: "10.blk", Torn: true}}},
		"unknown, at the start": {func(d testDir) { d.writeBlock("EVENTS", 1, withoutSeq(damage(0)), messages(1, 4)...) },
			[]eventlog.FileDamage{{Stream: "EVENTS", File: "1.blk", Lost: 1, First: 0, Last: 3}}},
		"all":            {func(d testDir) { d.writeBlock("EVENTS", 1, damage(0), messages(7)...) }, lost("1.blk", 1, 7, 7)},
		"unknown, alone": {func(d testDir) { d.writeBlock("EVENTS", 1, withoutSeq(damage(0)), messages(7)...) }, lost("1.blk", 1, 0, 0)},
		"two places": {func(d testDir) {
			d.writeBlock("EVENTS", 1, func(b []byte) []byte { return damage(2)(damage(5)(b)) }, messages(4, 5, 6, 7, 8, 9, 10)...)
		}, lost("1.blk", 2, 6, 9)},
		"a tombstone": {func(d testDir) {
			d.writeBlock("EVENTS", 1, func(b []byte) []byte { b[len(b)-80] ^= 4; return b }, append(messages(1, 2), testRecord{seq: 1 | tombstoneBit}, message(3))...)
		}, lost("1.blk", 1, 0, 0)},
		"repaired and lost": {func(d testDir) {
			d.writeBlock("EVENTS", 1, func(b []byte) []byte { b[20] = 3; return damage(1)(b) }, messages(1, 2, 3)...)
		}, []eventlog.FileDamage{{Stream: "EVENTS", File: "1.blk", Lost: 1, Repaired: 1, First: 2, Last: 2}}},
		"torn and repaired": {func(d testDir) {
			d.writeBlock("EVENTS", 1, func(b []byte) []byte { b[20] = 3; return cut(b) }, messages(1, 2)...)
		},
			[]eventlog.FileDamage{{Stream: "EVENTS", File: "1.blk", Repaired: 1}}},
		"two streams": {func(d testDir) {
			d.writeBlock("BOOKS", 1, damage(0), testRecord{seq: 5, subject: "book.main.0", data: "{}"}, testRecord{seq: 6, subject: "book.main.0", data: "{}"})
			d.writeBlock("EVENTS", 1, damage(0), messages(9)...)
		}, []eventlog.FileDamage{{Stream: "BOOKS", File: "1.blk", Lost: 1, First: 5, Last: 5}, {Stream: "EVENTS", File: "1.blk", Lost: 1, First: 9, Last: 9}}},
		"a compressed block is not read": {func(d testDir) {
			d.writeBlock("EVENTS", 1, nil, messages(1, 2)...)
			d.write("EVENTS", "2.blk", []byte("cmp compressed"))
			d.writeBlock("EVENTS", 3, damage(0), messages(20, 21)...)
		}, lost("3.blk", 1, 20, 20)},
		"other files": {func(d testDir) {
			d.write("EVENTS", "index.db", []byte("damaged"))
			d.write("EVENTS", "x.blk", []byte("damaged"))
			d.write("EVENTS", "1.blk.tmp", []byte("damaged"))
			d.write("EVENTS", "1", []byte("damaged"))
			require.NoError(d.t, os.WriteFile(filepath.Join(d.dir, "jetstream", "$G", "streams", "file"), nil, 0o600))
			require.NoError(d.t, os.Mkdir(filepath.Join(d.dir, "jetstream", "$G", "streams", "NEW"), 0o700))
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := newTestDir(t)
			c.write(d)
			assert.Equal(t, c.want, d.check(nil))
		})
	}
}

// TestKnownBlocksSayNothingAboutOthers checks that the sequences of blocks that are not read are not guessed from those before them.
func TestKnownBlocksSayNothingAboutOthers(t *testing.T) {
	d := newTestDir(t)
	d.writeBlock("EVENTS", 1, nil, messages(1, 2)...)
	d.writeBlock("EVENTS", 2, nil, messages(3, 4)...)
	d.writeBlock("EVENTS", 3, damage(1), messages(5, 6, 7)...)
	require.NoError(t, WriteStamps(d.dir))
	d.write("EVENTS", "index.db", []byte("index"))
	require.NoError(t, WriteStamps(d.dir))
	known, err := TakeStamps(d.dir)
	require.NoError(t, err)
	delete(known, "EVENTS/1.blk")
	delete(known, "EVENTS/3.blk")
	d.writeBlock("EVENTS", 3, damage(0), messages(8, 9)...)
	assert.Equal(t, []eventlog.FileDamage{{Stream: "EVENTS", File: "3.blk", Lost: 1, First: 8, Last: 8}}, d.check(known))
	assert.Equal(t, []eventlog.FileDamage{{Stream: "EVENTS", File: "3.blk", Lost: 1, First: 5, Last: 8}}, d.check(nil))
}

// TestChecksThatEnd checks that a check ends with its context, also between two blocks, and that what cannot be read is not called intact.
func TestChecksThatEnd(t *testing.T) {
	d := newTestDir(t)
	d.writeBlock("EVENTS", 1, damage(0), messages(1, 2)...)
	d.writeBlock("EVENTS", 2, nil, messages(3)...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	found, err := Check(ctx, d.dir, nil, 0)
	require.ErrorIs(t, err, context.Canceled)
	assert.Empty(t, found)
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	found, err = Check(ctx, d.dir, nil, time.Hour)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.LessOrEqual(t, len(found), 1)

	require.NoError(t, os.Mkdir(d.path("EVENTS", "3.blk"), 0o700))
	found, err = Check(t.Context(), d.dir, nil, 0)
	require.Error(t, err)
	assert.Len(t, found, 1, "what was found before")
	for name, d := range unreadable(t) {
		_, err = Check(t.Context(), d.dir, nil, 0)
		require.Error(t, err, name)
		_, err = Salvage(t.Context(), d.dir, nil, 1<<20)
		require.Error(t, err, name)
		_, _, err = Search(t.Context(), d.dir, nil)
		require.Error(t, err, name)
		require.Error(t, Erase(t.Context(), d.dir, nil, nil), name)
		require.Error(t, WriteStamps(d.dir), name)
	}
}

// unreadable returns directories of which a folder cannot be read: a file is in its place.
func unreadable(t *testing.T) map[string]testDir {
	streams, blocks := newTestDir(t), newTestDir(t)
	require.NoError(t, os.MkdirAll(filepath.Join(streams.dir, "jetstream", "$G"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(streams.dir, streamsDir), nil, 0o600))
	require.NoError(t, os.MkdirAll(filepath.Join(blocks.dir, streamsDir, "EVENTS"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(blocks.dir, streamsDir, "EVENTS", "msgs"), nil, 0o600))
	return map[string]testDir{"streams": streams, "blocks": blocks}
}

// indexOf returns an index of the stream EVENTS as far as it is read: its head, numbers, and what follows.
func indexOf(t *testing.T, head []byte, last uint64, rest int) []byte {
	t.Helper()
	buf := binary.AppendUvarint(head, 300)                // messages
	buf = binary.AppendUvarint(buf, 1<<40)                // bytes
	buf = binary.AppendUvarint(buf, 2)                    // first sequence
	buf = binary.AppendVarint(buf, time.Now().UnixNano()) // first time
	buf = append(binary.AppendUvarint(buf, last), make([]byte, rest)...)
	return withSum(t, buf)
}

func withSum(t *testing.T, buf []byte) []byte {
	t.Helper()
	sum, err := newSum("EVENTS")
	require.NoError(t, err)
	_, _ = sum.Write(buf)
	return sum.Sum(buf)
}

// TestLastSequenceOfAnIndex checks that the last sequence is read from an intact index, and from no other.
func TestLastSequenceOfAnIndex(t *testing.T) {
	d := newTestDir(t)
	s := stream{name: "EVENTS", dir: filepath.Dir(d.path("EVENTS", indexFile))}
	assert.Zero(t, lastInIndex(s), "there is none")
	intact := indexOf(t, []byte{11, 4}, 70_000, 20)
	damaged := indexOf(t, []byte{11, 4}, 70_000, 20)
	damaged[20] ^= 1
	for name, c := range map[string]struct {
		index []byte
		want  uint64
	}{
		"intact":           {intact, 70_000},
		"another sequence": {indexOf(t, []byte{11, 1}, 5, 20), 5},
		"another format":   {indexOf(t, []byte{12, 4}, 70_000, 20), 0},
		"a damaged byte":   {damaged, 0},
		"the smallest":     {withSum(t, append([]byte{11, 4, 1, 2, 1, 3, 9}, make([]byte, 17)...)), 9},
		"too small":        {withSum(t, append([]byte{11, 4, 1, 2, 1, 3, 9}, make([]byte, 16)...)), 0},
		"no number":        {withSum(t, append([]byte{11, 4, 1, 2, 1, 3}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)), 0},
		"no time":          {withSum(t, append([]byte{11, 4, 1, 2, 1}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)), 0},
		"empty":            {nil, 0},
		"that of another":  {indexOf(t, []byte{11, 4}, 70_000, 20)[1:], 0},
	} {
		d.write("EVENTS", "index.db", c.index)
		assert.Equal(t, c.want, lastInIndex(s), name)
	}
}

// TestSyncedDirectories checks that the directory of a stream, whose blocks are below it, is made durable.
func TestSyncedDirectories(t *testing.T) {
	d := newTestDir(t)
	d.writeBlock("EVENTS", 1, nil, messages(1)...)
	require.NoError(t, SyncDir(d.dir, "EVENTS"))
	require.ErrorIs(t, SyncDir(d.dir, "OTHER"), os.ErrNotExist)
}
