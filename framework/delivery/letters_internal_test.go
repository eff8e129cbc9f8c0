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
