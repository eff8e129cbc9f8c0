package natslog

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/compressed"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/natslog/logfiles"
	"github.com/landfall-dev/landfall/internal/testsize"
)

// pageOf returns a page with an event of each user, which have most of their text in common.
func pageOf(random *rand.Rand, users []string) []byte {
	var page []byte
	for _, user := range users {
		page = fmt.Appendf(page, `{"type":"track","event":"Order Completed","userId":%q,"messageId":"%x"}`+"\n", user, random.Uint64())
	}
	return page
}

// eraser returns what replaces the data of messages: each line with an erased user becomes an empty object.
func eraser(erased map[string]bool) func(stream, subject string, data []byte) []byte {
	return func(_, _ string, data []byte) []byte {
		lines, found := strings.Split(string(data), "\n"), false
		for i, line := range lines {
			for user := range erased {
				if strings.Contains(line, `"`+user+`"`) {
					lines[i], found = "{}"+strings.Repeat(" ", len(line)-2), true
				}
			}
		}
		if !found {
			return nil
		}
		return []byte(strings.Join(lines, "\n"))
	}
}

// storedContents returns what the blocks of a stream have, decompressed where it is compressed.
func storedContents(t *testing.T, dir, stream string) (contents string) {
	files, err := filepath.Glob(filepath.Join(dir, "jetstream", "$G", "streams", stream, "msgs", "*.blk"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, path := range files {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		contents += string(content)
		for _, part := range bytes.Split(content, []byte(compressedMark))[1:] {
			text, err := compressed.Text(nil, part, maxPayload)
			require.NoError(t, err)
			contents += string(text)
		}
	}
	return contents
}

// usersOfPage returns some of thirty users, several times.
func usersOfPage(random *rand.Rand) (users []string) {
	for range 30 + random.IntN(200) {
		users = append(users, fmt.Sprint("user-", random.IntN(30)))
	}
	return users
}

// TestErasedInCompressedMessages erases users in compressed messages, beside others that are not compressed. Then the files have nothing of them, and
// are as long as before; all other events are unchanged and have their places.
func TestErasedInCompressedMessages(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	dir := t.TempDir()
	log := openLog(t, Config{Dir: dir})
	require.NoError(t, log.Prepare(t.Context(), []eventlog.StreamConfig{{Name: "EVENTS", Subjects: []string{"ev.>"}, RefuseEarlier: true}}))
	erased := map[string]bool{"user-1": true, "user-7": true, "user-29": true}
	erase, plain, want := eraser(erased), 0, []string(nil)
	for i := range 8 {
		page := pageOf(random, append(usersOfPage(random), "user-7"))
		want = append(want, string(erase("", "", page)))
		plain += len(page)
		_, err := log.Append(t.Context(), "EVENTS", []eventlog.Write{{Subject: "ev.web.1", Data: page, Compress: i%4 > 0}})
		require.NoError(t, err)
	}
	require.Contains(t, storedContents(t, dir, "EVENTS"), `"user-1"`)
	before, err := log.Info(t.Context(), "EVENTS")
	require.NoError(t, err)
	assert.Less(t, int(before.Bytes), plain*9/10)

	require.NoError(t, log.Erase(t.Context(), erase))
	contents := storedContents(t, dir, "EVENTS")
	for user := range erased {
		require.NotContains(t, contents, `"`+user+`"`)
	}
	require.Equal(t, want, textsOfStream(t, log, "EVENTS"))
	after, err := log.Info(t.Context(), "EVENTS")
	require.NoError(t, err)
	require.Equal(t, before.Bytes, after.Bytes)
	log.Close()
	damage, err := logfiles.Check(t.Context(), dir, nil, 0)
	require.NoError(t, err)
	assert.Empty(t, damage)
}

// TestErasedAmongOthers erases any users in compressed data, one after the other: it keeps its length, and all other events are unchanged.
func TestErasedAmongOthers(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	var c compressor
	for range testsize.Of(40, 8) {
		want := pageOf(random, usersOfPage(random))
		stored := c.stored(&eventlog.Write{Data: want, Compress: true})
		require.Less(t, len(stored), len(want))
		for _, i := range random.Perm(30)[:1+random.IntN(30)] {
			r := dataRewriter{rewrite: eraser(map[string]bool{fmt.Sprint("user-", i): true})}
			if made := r.rewrite("", "", want); made != nil {
				want = made
				made = r.rewriteStored("", "", stored)
				require.Len(t, made, len(stored))
				stored = made
			}
			data, wasCompressed := originalData(nil, stored)
			require.True(t, wasCompressed)
			require.Equal(t, string(want), string(data))
		}
	}
}

// textsOfStream returns the data of the messages of a stream.
func textsOfStream(t *testing.T, log *Log, stream string) (list []string) {
	require.NoError(t, log.Scan(t.Context(), stream, eventlog.Query{}, func(m eventlog.Message) (bool, error) {
		list = append(list, string(m.Data))
		return true, nil
	}))
	return list
}

// TestCompressedMessagesWithoutSpace checks that an erasure fails if what replaces the events of a message does not fit in their place. It changes the other
// messages.
func TestCompressedMessagesWithoutSpace(t *testing.T) {
	log := openLog(t, Config{Dir: t.TempDir()})
	require.NoError(t, log.Prepare(t.Context(), []eventlog.StreamConfig{{Name: "EVENTS", Subjects: []string{"ev.>"}}}))
	page := bytes.Repeat([]byte(`{"userId":"u","type":"page","event":"Order Completed"}`+"\n"), 1000)
	for _, compress := range []bool{true, false} {
		_, err := log.Append(t.Context(), "EVENTS", []eventlog.Write{{Subject: "ev.web.1", Data: page, Compress: compress}})
		require.NoError(t, err)
	}
	random := make([]byte, len(page))
	_, _ = rand.NewChaCha8([32]byte{}).Read(random)
	random[0] = '{'
	erase := func(_, _ string, data []byte) []byte {
		if bytes.Equal(data, random) {
			return nil
		}
		return random
	}
	for range 2 {
		require.ErrorIs(t, log.Erase(t.Context(), erase), eventlog.ErrNoSpace)
		assert.Equal(t, []string{string(page), string(random)}, textsOfStream(t, log, "EVENTS"))
	}
}

// TestDamagedCompression checks that data which cannot be decompressed is returned as it is stored, and stays so when others are erased.
func TestDamagedCompression(t *testing.T) {
	whole := string(compressed.Append([]byte(compressedMark), bytes.Repeat([]byte("{}\n"), 1000)))
	huge := string(compressed.Append([]byte(compressedMark), make([]byte, maxPayload+1)))
	for _, stored := range []string{compressedMark, whole[:20], strings.Replace(whole, "{}", "\xff\xff", 1) + "x", huge, "{}", ""} {
		data, wasCompressed := originalData(nil, []byte(stored))
		if !wasCompressed {
			assert.Equal(t, stored, string(data))
		}
		r := dataRewriter{rewrite: func(_, _ string, data []byte) []byte { return nil }}
		assert.Nil(t, r.rewriteStored("", "", []byte(stored)))
	}
	_, wasCompressed := originalData(nil, []byte(huge))
	assert.False(t, wasCompressed, "no writer makes it")
	data, wasCompressed := originalData(nil, []byte(whole))
	assert.True(t, wasCompressed)
	assert.Len(t, data, 3000)
}

// TestCompressedCopiesAreDeleted checks that copies of damaged files are deleted if they have compressed data, which cannot be searched.
func TestCompressedCopiesAreDeleted(t *testing.T) {
	dir := t.TempDir()
	copies := filepath.Join(dir, logfiles.DamagedDir, "20260101T000000Z", "EVENTS")
	require.NoError(t, os.MkdirAll(copies, 0o700))
	for name, content := range map[string]string{"1.blk": "{}", "2.blk": "x" + compressedMark, "3.blk": "gone"} {
		require.NoError(t, os.WriteFile(filepath.Join(copies, name), []byte(content), 0o600))
	}
	deleted, err := Files(dir).EraseCopies(func(_ string, content []byte) bool { return string(content) == "gone" })
	require.NoError(t, err)
	assert.Equal(t, 2, deleted)
	assert.FileExists(t, filepath.Join(copies, "1.blk"))
}

// TestDamagedLastPage damages the newest message of a log after it was written, and after events in it were erased. Its spare bytes must not look like an
// interrupted write, which is not reported.
func TestDamagedLastPage(t *testing.T) {
	dir := t.TempDir()
	log := openLog(t, Config{Dir: dir})
	require.NoError(t, log.Prepare(t.Context(), []eventlog.StreamConfig{{Name: "EVENTS", Subjects: []string{"ev.>"}, RefuseEarlier: true}}))
	page := bytes.Repeat([]byte(`{"type":"track","userId":"stays"}`+"\n"+`{"type":"track","userId":"gone"}`+"\n"), 500)
	_, err := log.Append(t.Context(), "EVENTS", []eventlog.Write{{Subject: "ev.web.1", Data: page, Compress: true}})
	require.NoError(t, err)
	path := filepath.Join(dir, "jetstream", "$G", "streams", "EVENTS", "msgs", "1.blk")
	damaged := func() []eventlog.FileDamage {
		log.Close()
		intact, err := os.ReadFile(path)
		require.NoError(t, err)
		at := bytes.Index(intact, []byte(compressedMark)) + len(compressedMark) + 20
		require.Greater(t, at, 30)
		text := bytes.Clone(intact)
		text[at] ^= 1
		require.NoError(t, os.WriteFile(path, text, 0o600))
		found, err := logfiles.Check(t.Context(), dir, nil, 0)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, intact, 0o600))
		return found
	}
	for range 2 {
		found := damaged()
		require.Len(t, found, 1)
		assert.False(t, found[0].Torn)
		assert.Equal(t, []any{1, uint64(1), uint64(1)}, []any{found[0].Lost, found[0].First, found[0].Last})
		log = openLog(t, Config{Dir: dir})
		require.NoError(t, log.Erase(t.Context(), eraser(map[string]bool{"gone": true})))
		assert.NotContains(t, textsOfStream(t, log, "EVENTS")[0], "gone")
	}
}

// TestCopiesWithDamagedMarks checks that a copy of a file whose only compressed message has a damaged mark is deleted by an erasure, as the user may be in it.
func TestCopiesWithDamagedMarks(t *testing.T) {
	dir := t.TempDir()
	log := openLog(t, Config{Dir: dir})
	require.NoError(t, log.Prepare(t.Context(), []eventlog.StreamConfig{{Name: "EVENTS", Subjects: []string{"ev.>"}, RefuseEarlier: true}}))
	page := bytes.Repeat([]byte(`{"type":"track","userId":"someone"}`+"\n"), 500)
	for _, w := range []eventlog.Write{{Subject: "ev.web.1", Data: []byte(`{"userId":"plain"}`)}, {Subject: "ev.web.1", Data: page, Compress: true}} {
		_, err := log.Append(t.Context(), "EVENTS", []eventlog.Write{w})
		require.NoError(t, err)
	}
	log.Close()
	intact, err := os.ReadFile(filepath.Join(dir, "jetstream", "$G", "streams", "EVENTS", "msgs", "1.blk"))
	require.NoError(t, err)
	mark, plain := bytes.Index(intact, []byte(compressedMark)), bytes.Index(intact, []byte("plain"))
	copies := filepath.Join(dir, logfiles.DamagedDir, "20260101T000000Z", "EVENTS")
	for name, damage := range map[string]func(content []byte) []byte{
		"brace":   func(content []byte) []byte { content[mark] ^= 0x80; return content },
		"byte":    func(content []byte) []byte { content[mark+1] ^= 0x80; return content },
		"format":  func(content []byte) []byte { content[mark+3] ^= 1; return content },
		"zeros":   func(content []byte) []byte { clear(content[mark : mark+len(compressedMark)]); return content },
		"cut off": func(content []byte) []byte { return append(content[:mark:mark], content[mark+len(compressedMark):]...) },
	} {
		require.NoError(t, os.MkdirAll(copies, 0o700))
		damaged := damage(bytes.Clone(intact))
		damaged[plain] ^= 1
		require.NoError(t, os.WriteFile(filepath.Join(copies, "1.blk"), damaged, 0o600))
		require.NotContains(t, string(damaged), compressedMark)
		deleted, err := Files(dir).EraseCopies(func(string, []byte) bool { return false })
		require.NoError(t, err)
		assert.Equal(t, 1, deleted, name)
	}
}
