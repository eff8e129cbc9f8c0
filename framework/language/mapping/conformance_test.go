package mapping_test

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// TestConformance compares every mapping with the result of the reference runtime.
func TestConformance(t *testing.T) {
	file, err := os.Open("../../../fixtures/conformance/mapping.ndjson")
	require.NoError(t, err)
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c struct {
			Name           string
			Mapping, Event event.Value
			Expect         struct {
				Payload event.Value
				Error   bool
			}
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &c))
		t.Run(c.Name, func(t *testing.T) {
			m, err := mapping.Compile(c.Mapping)
			if c.Expect.Error {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			payload, err := m.Resolve(c.Event)
			require.NoError(t, err)
			if !event.Equal(c.Expect.Payload, payload) {
				t.Errorf("mapping %s\nevent   %s\nwant    %s\ngot     %s", c.Mapping.JSON(), c.Event.JSON(), c.Expect.Payload.JSON(), payload.JSON())
			}
		})
	}
	require.NoError(t, lines.Err())
}
