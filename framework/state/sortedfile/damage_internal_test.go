package sortedfile

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/testsize"
)

// smallFile returns a file with two blocks, and its keys.
func smallFile(t testing.TB) (file []byte, keys []string) {
	path := filepath.Join(t.TempDir(), "small")
	w, err := Create(path, []byte("meta"))
	require.NoError(t, err)
	for _, key := range []string{"a", "ab", "b\x00", "long" + strings.Repeat("x", 150), "zz"} {
		value := key
		if key == "zz" {
			value = strings.Repeat(key, blockSize/2-10) // a block of its own
		}
		require.NoError(t, w.Add(key, []byte(value)))
		keys = append(keys, key)
	}
	_, err = w.Finish()
	require.NoError(t, err)
	file, err = os.ReadFile(path)
	require.NoError(t, err)
	return file, keys
}

// readings is what the methods of a Reader return for a file.
type readings struct {
	info               Info
	meta, got, rows    string
	open, get, it, all error
}

// memoryFile is a file in memory.
type memoryFile struct{ io.ReaderAt }

func (f memoryFile) Size() (int64, error) { return f.ReaderAt.(*bytes.Reader).Size(), nil }
func (f memoryFile) Close() error         { return nil }

// read reads a file in all ways.
func read(t testing.TB, file []byte, keys []string) (result readings) {
	r, err := NewReader(memoryFile{bytes.NewReader(file)}, "file")
	if err != nil {
		result.open = err
		return result
	}
	defer func() { _ = r.Close() }()
	var got, rows strings.Builder
	result.info, result.meta = r.Info(), string(r.Meta())
	result.get = r.Get(keys, func(i int, value string) error {
		_, err := fmt.Fprintf(&got, "%d=%q ", i, value)
		return err
	})
	it := r.Iterate("")
	defer it.Close()
	for it.Next() {
		_, _ = fmt.Fprintf(&rows, "%q=%q ", it.Key(), it.Value())
	}
	result.got, result.rows, result.it, result.all = got.String(), rows.String(), it.Err(), r.Verify(t.Context())
	return result
}

// checkNoticed fails the test unless a damaged file is noticed by Open or Verify, and by what has returned other rows.
func checkNoticed(t *testing.T, intact, result readings, what string, args ...any) {
	for _, err := range []error{result.open, result.get, result.it, result.all} {
		require.True(t, err == nil || assert.ErrorIs(t, err, ErrDamaged), what, args)
	}
	if result.open != nil {
		return
	}
	require.Error(t, result.all, what, args)
	require.Equal(t, intact.info, result.info, what, args)
	require.Equal(t, intact.meta, result.meta, what, args)
	require.True(t, result.get != nil || result.got == intact.got, what, args)
	require.True(t, result.it != nil || result.rows == intact.rows, what, args)
}

func TestDamageIsNoticed(t *testing.T) {
	file, keys := smallFile(t)
	intact := read(t, file, keys)
	require.Equal(t, readings{info: intact.info, meta: "meta", got: intact.got, rows: intact.rows}, intact)
	damage := func(what string, at int, change func(b []byte)) {
		changed := append([]byte{}, file...)
		change(changed)
		if string(changed) != string(file) {
			checkNoticed(t, intact, read(t, changed, keys), what, at)
		}
	}
	for at := 0; at < len(file)*8; at += testsize.Of(1, 13) {
		damage("flipped bit", at, func(b []byte) { b[at/8] ^= 1 << (at % 8) })
	}
	for at := 0; at < len(file); at += 37 {
		for _, length := range []int{1, 16, 512, len(file)} {
			damage("zeroed", at, func(b []byte) { clear(b[at:min(at+length, len(b))]) })
		}
		checkNoticed(t, intact, read(t, file[:at], keys), "truncated", at)
		checkNoticed(t, intact, read(t, file[at+1:], keys), "start lost", at)
	}
	checkNoticed(t, intact, read(t, append(file[:len(file):len(file)], 0), keys), "longer")
}

func TestDamageAfterOpenIsNoticed(t *testing.T) {
	file, keys := smallFile(t)
	path := filepath.Join(t.TempDir(), "file")
	for at := range file {
		if at%100 != 0 && at < len(file)-150 {
			continue
		}
		require.NoError(t, os.WriteFile(path, file, 0o600))
		r, err := Open(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, append(file[:len(file):len(file)], 0), 0o600))
		require.ErrorContains(t, r.Verify(t.Context()), "footer", at)
		changed := append([]byte{}, file...)
		changed[at]++
		require.NoError(t, os.WriteFile(path, changed, 0o600))
		require.ErrorIs(t, r.Verify(t.Context()), ErrDamaged, at)
		require.NoError(t, os.Truncate(path, int64(at)))
		require.ErrorIs(t, r.Verify(t.Context()), ErrDamaged, at)
		err = r.Get(keys[len(keys)-1:], func(int, string) error { return nil })
		if int64(at) < r.footer.data {
			require.ErrorContains(t, err, "file is damaged: it ends early", at)
		} else {
			require.NoError(t, err)
		}
		require.NoError(t, r.Close())
	}
}

func TestVerifyNoticesAnotherFile(t *testing.T) {
	file, _ := smallFile(t)
	other := filepath.Join(t.TempDir(), "other")
	w, err := Create(other, nil)
	require.NoError(t, err)
	_, err = w.Finish()
	require.NoError(t, err)
	r, err := Open(other)
	require.NoError(t, err)
	require.NoError(t, r.Verify(t.Context()))
	require.NoError(t, os.WriteFile(other, file, 0o600))
	require.ErrorContains(t, r.Verify(t.Context()), "other is damaged: it has changed since it was opened")
	require.NoError(t, r.Close())
	require.ErrorIs(t, r.Verify(t.Context()), fs.ErrClosed)
}

func TestVerifyComparesTheFilterWithTheKeys(t *testing.T) {
	file, keys := smallFile(t)
	f := parseFooter(file[len(file)-int(binary.LittleEndian.Uint32(file[len(file)-tailSize:])) : len(file)-tailSize])
	clear(file[f.data+f.index:][:lineSize])
	seal(file)
	result := read(t, file, keys)
	require.NoError(t, result.open)
	require.ErrorContains(t, result.all, "its filter lacks a key of block 1")
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	file, _ := smallFile(t)
	r, err := NewReader(memoryFile{bytes.NewReader(file)}, "file")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, r.Verify(ctx), context.Canceled)
}

func TestImpossibleRowsAreRefused(t *testing.T) {
	for _, rows := range []string{
		"\x00", "\x00\x01", "\x00\x01\x00", "\x00\x01\x02ab", "\x00\xff\xff", "\x00\x80\x80\x04a", "\x00\x01\x80\x80\xc0\x00", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01\x01a",
		"\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01a", "\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7fa",
	} {
		_, ok := readHeader([]byte(rows), 0)
		assert.False(t, ok, "%q", rows)
		c := cursor{rows: []byte(rows)}
		_, _, valid := c.seek("x")
		assert.False(t, valid, "%q", rows)
	}
	h, ok := readHeader([]byte("\x80\x80\x40\x81\x00\x00a"), 0)
	assert.True(t, ok)
	assert.Equal(t, rowHeader{shared: MaxKey, key: 6, value: 7, end: 7}, h)
}

func TestPartsFitTheFilter(t *testing.T) {
	x := index{}
	stored := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, 0), 2)
	require.NoError(t, x.fillParts(stored, &footer{blocks: 3, parts: 1, filter: 2 * lineSize}, "file"))
	assert.Equal(t, []part{{0, 0}, {3, 2}}, x.parts)
	for _, f := range []footer{{blocks: 3, parts: 1, filter: lineSize}, {blocks: 3, parts: 1, filter: 3 * lineSize}, {blocks: 3}, {filter: lineSize}} {
		require.ErrorIs(t, x.fillParts(stored, &f, "file"), ErrDamaged, "%+v", f)
	}
	for second, sound := range map[uint32]bool{0: false, 1: true, 2: true, 3: false, math.MaxUint32: false} {
		two := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(stored[:8:8], second), 1)
		err := x.fillParts(two, &footer{blocks: 3, parts: 2, filter: 3 * lineSize}, "file")
		require.Equal(t, !sound, errors.Is(err, ErrDamaged), second)
	}
}

func TestNewerVersionIsRefused(t *testing.T) {
	file, _ := smallFile(t)
	tail := file[len(file)-tailSize:]
	set := func(stored uint32) {
		length := binary.LittleEndian.Uint32(tail)
		binary.LittleEndian.PutUint32(tail[8:], stored)
		binary.LittleEndian.PutUint32(tail[4:], footerChecksum(file[len(file)-int(length):len(file)-tailSize+4], stored))
	}
	set(version + 1)
	err := read(t, file, nil).open
	require.ErrorIs(t, err, ErrDamaged)
	require.EqualError(t, err, "file was written by a newer program, in version 2 of the format: use that program or a newer one")
	set(0)
	require.ErrorContains(t, read(t, file, nil).open, "unknown version")
	set(version)
	require.NoError(t, read(t, file, nil).open)
}

func TestImpossibleSizesAreRefusedBeforeTheyCostMemory(t *testing.T) {
	intact, keys := smallFile(t)
	length := int(binary.LittleEndian.Uint32(intact[len(intact)-tailSize:]))
	start, fields := len(intact)-length, map[string][2]int{"rows": {0, 8}, "data": {8, 8}, "blocks": {16, 4}, "parts": {20, 4}, "index": {24, 8}}
	f := parseFooter(intact[start : len(intact)-tailSize])
	for i := range f.blocks + f.parts {
		at := int(f.data) - start + i*indexRecord
		fields[fmt.Sprint("first number of record ", i)] = [2]int{at, 4}
		fields[fmt.Sprint("second number of record ", i)] = [2]int{at + 4, 4}
	}
	for name, field := range fields {
		for _, value := range []uint64{0, 1, 3, 5, 1 << 20, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 40, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
			changed := append([]byte{}, intact...)
			var text [8]byte
			binary.LittleEndian.PutUint64(text[:], value)
			copy(changed[start+field[0]:][:field[1]], text[:])
			if string(changed) == string(intact) {
				continue
			}
			seal(changed)
			before := allocated()
			result := read(t, changed, keys)
			require.Less(t, allocated()-before, uint64(1<<20), "%s %d", name, value)
			require.True(t, errors.Is(result.open, ErrDamaged) || errors.Is(result.all, ErrDamaged), "%s %d", name, value)
		}
	}
}

// allocated returns how many bytes the process has allocated so far.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// seal gives the parts of a file the checksums that they should have, as far as its footer and index can be read.
func seal(file []byte) {
	if len(file) < minFooter {
		return
	}
	length := int(binary.LittleEndian.Uint32(file[len(file)-tailSize:]))
	if length < minFooter || length > len(file) {
		return
	}
	start := len(file) - length
	f := parseFooter(file[start : len(file)-tailSize])
	copy(file[len(file)-len(magic):], magic)
	if f.data >= 0 && f.index >= 0 && f.data <= int64(start) && f.index <= int64(start)-f.data {
		index := file[f.data : f.data+f.index]
		binary.LittleEndian.PutUint32(file[start+32:], checksum(index))
		binary.LittleEndian.PutUint32(file[start+36:], checksum(file[f.data+f.index:start]))
		sealBlocks(file[:f.data], index, f.blocks)
	}
	tail := file[len(file)-tailSize:]
	binary.LittleEndian.PutUint32(tail[4:], footerChecksum(file[start:len(file)-tailSize+4], binary.LittleEndian.Uint32(tail[8:])))
}

// sealBlocks gives blocks the checksums that they should have.
func sealBlocks(data, index []byte, blocks int) {
	for number := range min(blocks, len(index)/indexRecord) {
		size := int(binary.LittleEndian.Uint32(index[number*indexRecord+4:]))
		if size < checksumSize || size > len(data) {
			return
		}
		rows := data[:size-checksumSize]
		binary.LittleEndian.PutUint32(data[len(rows):], blockChecksum(rows, number))
		data = data[size:]
	}
}

// FuzzOpen reads any bytes, also with the right checksums. Nothing may panic, all errors are of damage, and what Verify
// accepts is consistent.
func FuzzOpen(f *testing.F) {
	file, keys := smallFile(f)
	f.Add(file, true)
	f.Add(file[len(file)-minFooter:], false)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, file []byte, sealed bool) {
		if sealed {
			seal(file)
		}
		result := read(t, file, keys)
		for _, err := range []error{result.open, result.get, result.it, result.all} {
			require.True(t, err == nil || assert.ErrorIs(t, err, ErrDamaged))
		}
		if result.open == nil && result.all == nil {
			require.NoError(t, result.it)
			require.NoError(t, result.get)
			require.EqualValues(t, result.info.Rows, strings.Count(result.rows, "=\""))
		}
	})
}
