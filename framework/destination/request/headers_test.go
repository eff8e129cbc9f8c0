package request_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/event"
)

// TestHeadersThatDifferInCase checks that the values of one header are always sent in the same order.
func TestHeadersThatDifferInCase(t *testing.T) {
	r, err := request.Compile(event.MustParse(`{"url": "https://api.example.com", "headers": {"x-a": ["3", "4"], "X-A": "1", "X-a": "2"}}`), request.Names{request.Payload: nil})
	require.NoError(t, err)
	for range 50 {
		b, err := r.Build(event.MustParse(`{"payload": {}}`))
		require.NoError(t, err)
		require.Equal(t, []string{"1", "2", "3", "4"}, b.Header["X-A"])
	}
}
