package delivery

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// Reading ends, also where the last of what was there is deleted meanwhile.
func TestReadingWhatIsDeletedMeanwhileEnds(t *testing.T) {
	q, err := Open(t.Context(), Config{Dir: t.TempDir()})
	require.NoError(t, err)
	defer q.Close()
	for i := range 1000 {
		require.NoError(t, q.dead.publish(t.Context(), []record{{fmt.Sprintf("dead.i.0.%d", i), []byte(`{}`)}}))
	}
	stream, err := q.js.Stream(t.Context(), deadStream)
	require.NoError(t, err)
	n := 0
	require.NoError(t, q.each(t.Context(), deadStream, "dead.>", time.Time{}, func(jetstream.Msg) (bool, error) {
		if n++; n == 1 {
			return true, stream.Purge(t.Context(), jetstream.WithPurgeKeep(1))
		}
		return true, nil
	}))
	require.Less(t, n, 1000)
}

// A book that nobody owns is begun once: who comes second does not move what the first has begun.
func TestABookIsBegunOnce(t *testing.T) {
	q, err := Open(t.Context(), Config{Dir: t.TempDir()})
	require.NoError(t, err)
	defer q.Close()
	first, second := newRoster(q), newRoster(q)
	_, err = first.write(t.Context(), "", bookSubject("i", 0), 0, book{Low: 5})
	require.NoError(t, err)
	_, err = second.write(t.Context(), "", bookSubject("i", 0), 0, book{Low: 9})
	require.ErrorIs(t, err, errStolen)
	m, err := q.streams[booksStream].GetLastMsgForSubject(t.Context(), bookSubject("i", 0))
	require.NoError(t, err)
	require.EqualValues(t, 5, readBook(m.Data).Low)
}

// Of letters that are only counted and asked for, neither events nor requests stay in memory: there may be many.
func TestChoosingLettersHoldsLittle(t *testing.T) {
	q, err := Open(t.Context(), Config{Dir: t.TempDir()})
	require.NoError(t, err)
	defer q.Close()
	require.NoError(t, q.dead.publish(t.Context(), []record{{"dead.i.0.1-0-x", []byte(`{"id":"1-0-x","instance":"i","event":{"a":1},"request":{"method":"POST","url":"u"}}`)}}))
	_, dead, _, err := q.choose(t.Context(), Filter{})
	require.NoError(t, err)
	list := dead[place{"i", 0}]
	require.Len(t, list, 1)
	require.Nil(t, list[0].Event)
	require.Nil(t, list[0].Request)
}
