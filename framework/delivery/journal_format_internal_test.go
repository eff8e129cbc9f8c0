package delivery

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/compressed"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/internal/testsize"
)

// TestLargeRequestsAreSplit checks requests of more bytes than the log accepts in a message.
func TestLargeRequestsAreSplit(t *testing.T) {
	records := []record{{"ev.a.1", bytes.Repeat([]byte("x"), 50)}, {"ev.a.2", nil}, {"ev.b.1", []byte(`{"a": "b c"}`)}, {"ev.c.1", bytes.Repeat([]byte("y"), 90)}}
	for limit := range 300 {
		var all []record
		rest := records
		for len(rest) > 0 {
			data, n := encodeGroup(nil, rest, limit)
			require.Positive(t, n)
			require.True(t, n == 1 || len(data) <= limit)
			all, rest = append(all, decodeGroup(data)...), rest[n:]
		}
		require.Len(t, all, len(records))
		for i, r := range records {
			require.Equal(t, r.subject, all[i].subject)
			require.Equal(t, string(r.line), string(all[i].line))
		}
	}
}

// TestErasedInTheJournal erases events in the message of a group, as it is written now and as earlier versions have written it.
func TestErasedInTheJournal(t *testing.T) {
	r := EraseRequest{Match: func(v event.Value) bool { return v.Get("userId").Str() == "gone" }, HasUser: func(string) bool { return false }}
	gone, stays := eventOf("gone", 1), eventOf("stays", 1)
	text, _ := encodeGroup(nil, []record{{"ev.web.1", stays.Raw}, {"ev.web.2", gone.Raw}, {"ev.web.1", stays.Raw}}, 1<<20)
	for subject, data := range map[string][]byte{journalSubject: text, compressedSubject: compressed.Append(nil, text)} {
		made := r.rewriteMessage(journalStream, subject, data)
		require.Len(t, made, len(data))
		read, err := groupText(subject, made)
		require.NoError(t, err)
		list := decodeGroup(read)
		require.Len(t, list, 3)
		assert.Equal(t, "ev.web.2", list[1].subject)
		assert.True(t, isErasedLine(list[1].line))
		assert.Equal(t, string(stays.Raw), string(list[2].line))
		assert.Nil(t, r.rewriteMessage(journalStream, subject, made))
		assert.False(t, r.left)
	}
	assert.True(t, r.isInCopy(journalStream, nil), "it cannot be searched")
	assert.False(t, r.isInCopy(eventsStream, nil))
}

// groupsToErase is a log whose only message to overwrite is a group of the journal.
type groupsToErase struct {
	eventlog.Log
	group []byte
}

func (l *groupsToErase) Erase(_ context.Context, rewrite func(stream, subject string, data []byte) []byte) error {
	rewrite(journalStream, compressedSubject, l.group)
	return nil
}

// TestErasedEventsThatDoNotFit checks that an erasure fails if what replaces an event does not fit in its place in the journal.
func TestErasedEventsThatDoNotFit(t *testing.T) {
	text := strings.Repeat(`{"userId":"u","type":"page"}`+" ev.web.1\n", 1000)
	group := compressed.Append(nil, []byte(text))
	group = group[:4+binary.LittleEndian.Uint32(group)] // without its spare bytes
	q, err := Open(t.Context(), Config{Partitions: 1}.On(&groupsToErase{memlog.New(memlog.Options{}).Connect(), group}))
	require.NoError(t, err)
	defer q.Close()
	random := rand.New(rand.NewPCG(5, 6))
	r := EraseRequest{Match: func(event.Value) bool { return true }}
	require.NoError(t, q.eraseFiles(t.Context(), &r))
	r.Match = func(event.Value) bool { return random.IntN(10) == 0 } // each of them interrupts what the others have in common
	require.ErrorIs(t, q.eraseFiles(t.Context(), &r), errStillJournaled)
}

// TestErasedAmongRandomEvents erases events in groups of events whose texts are random, or those of other events. A group always has space for what
// replaces them.
func TestErasedAmongRandomEvents(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	r := EraseRequest{Match: func(v event.Value) bool { return v.Get("userId").Str() == "gone" }, HasUser: func(string) bool { return false }}
	for range testsize.Of(1000, 100) {
		var records []record
		texts := []string{""}
		for range 1 + random.IntN(30) {
			text := texts[random.IntN(len(texts))]
			if random.IntN(2) == 0 {
				text = ""
				for range random.IntN(40) {
					text += strconv.FormatUint(random.Uint64(), 36)
				}
				texts = append(texts, text)
			}
			user := []string{"gone", "a", "b"}[random.IntN(3)]
			records = append(records, record{"ev.web.1", fmt.Appendf(nil, `{"userId":"%s","x":"%s","type":"page","messageId":"%x"}`, user, text, random.Uint64())})
		}
		group, _ := encodeGroup(nil, records, 1<<20)
		data := compressed.Append(nil, group)
		if made := r.rewriteMessage(journalStream, compressedSubject, data); made != nil {
			read, err := groupText(compressedSubject, made)
			require.NoError(t, err)
			require.NotContains(t, string(read), "gone")
			require.Len(t, decodeGroup(read), len(records))
		}
		require.False(t, r.left)
	}
}

// TestCompressedGroups checks that a group of events that cannot be compressed fits in a message, and that a damaged group is an error.
func TestCompressedGroups(t *testing.T) {
	incompressible := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(incompressible)
	limit := int64(len(incompressible) + 1<<10)
	assert.Equal(t, len(incompressible), maxGroupText(limit))
	assert.LessOrEqual(t, int64(len(compressed.Append(nil, incompressible))), limit)
	for _, damaged := range [][]byte{nil, {5, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f}} {
		_, err := groupText(compressedSubject, damaged)
		require.ErrorIs(t, err, errGroupDamaged, "%v", damaged)
	}
	r := EraseRequest{}
	assert.Nil(t, r.rewriteMessage(journalStream, compressedSubject, []byte{1}))
}
