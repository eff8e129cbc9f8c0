package sortedfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// read reads a file in all ways.
func read(t testing.TB, file []byte, keys []string) readings {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, file, 0o600))
	return readFile(t, path, keys)
}

// readFile reads the file at path in all ways.
func readFile(t testing.TB, path string, keys []string) (result readings) {
	r, err := Open(path)
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
	path := filepath.Join(t.TempDir(), "file")
	damage := func(what string, at int, change func(b []byte)) {
		changed := append([]byte{}, file...)
		change(changed)
		if string(changed) != string(file) {
			require.NoError(t, os.WriteFile(path, changed, 0o600))
			checkNoticed(t, intact, readFile(t, path, keys), what, at)
		}
	}
	for at := 0; at < len(file); at++ {
		if at == 500 {
			at = len(file) - 200 // the rest of the last value is like what is before
		}
		for bit := range 8 {
			if !testsize.Small() || bit == at%8 {
				damage("flipped bit", at*8+bit, func(b []byte) { b[at] ^= 1 << bit })
			}
		}
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
		changed := append([]byte{}, file...)
		changed[at]++
		require.NoError(t, os.WriteFile(path, changed, 0o600))
		require.ErrorIs(t, r.Verify(t.Context()), ErrDamaged, at)
		require.NoError(t, os.Truncate(path, int64(at)))
		require.ErrorIs(t, r.Verify(t.Context()), ErrDamaged, at)
		err = r.Get(keys[len(keys)-1:], func(int, string) error { return nil })
		require.Equal(t, int64(at) < r.footer.data, errors.Is(err, ErrDamaged), at)
		require.NoError(t, r.Close())
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

// FuzzOpen reads any bytes, also with the right checksums. Nothing may panic, or take more memory than a few times the size of the file, and what Verify
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
