package fieldschema_test

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

// TestConformance compares processed payloads with the results of the reference runtime.
func TestConformance(t *testing.T) {
	file, err := os.Open("../../../fixtures/conformance/fields.ndjson")
	require.NoError(t, err)
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c struct {
			Name            string
			Fields, Payload event.Value
			Expect          struct {
				Payload event.Value
				Valid   *bool
			}
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &c))
		t.Run(c.Name, func(t *testing.T) {
			fields, err := fieldschema.ParseFields(c.Fields)
			require.NoError(t, err)
			s, err := fieldschema.Compile(fields)
			require.NoError(t, err)
			got, err := s.Process(c.Payload)
			if c.Expect.Valid != nil && !*c.Expect.Valid {
				require.Error(t, err, "fields %s payload %s gave %s", c.Fields.JSON(), c.Payload.JSON(), got.JSON())
				return
			}
			require.NoError(t, err)
			require.True(t, event.Equal(c.Expect.Payload, got), "fields %s\npayload %s\nwant %s\ngot %s", c.Fields.JSON(), c.Payload.JSON(), c.Expect.Payload.JSON(), got.JSON())
		})
	}
	require.NoError(t, lines.Err())
}
