package fieldschema_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

// TestForSyncModeMatchesConditionsOnThePayload checks that fields for a mode accept the same payloads as fields that read the mode from the
// payload.
func TestForSyncModeMatchesConditionsOnThePayload(t *testing.T) {
	conditions := []string{
		`{"type":"syncMode","operator":"is","value":"add"}`, `{"type":"syncMode","operator":"is_not","value":"add"}`,
		`{"type":"syncMode","operator":"is"}`, `{"fieldKey":"b","operator":"is","value":"x"}`, `{"fieldKey":"b","operator":"is_not"}`,
	}
	for _, match := range []string{"all", "any"} {
		for _, first := range conditions {
			for _, second := range append(conditions, "") {
				list := first
				if second != "" {
					list += "," + second
				}
				required := fmt.Sprintf(`{"match":%q,"conditions":[%s]}`, match, list)
				fields, err := fieldschema.ParseFields(event.MustParse(fmt.Sprintf(`{"__segment_internal_sync_mode":{"type":"string"},"b":{"type":"string"},"a":{"type":"string","required":%s}}`, required)))
				require.NoError(t, err)
				whole, err := fieldschema.Compile(fields)
				require.NoError(t, err)
				for _, mode := range []string{"", "add", "update"} {
					for _, b := range []string{"", "x", "y"} {
						open, err := fieldschema.Compile(fields.ForSyncMode(mode))
						require.NoError(t, err)
						_, want := whole.Process(event.MustParse(fmt.Sprintf(`{"b":%q,"__segment_internal_sync_mode":%q}`, b, mode)))
						_, got := open.Process(event.MustParse(fmt.Sprintf(`{"b":%q}`, b)))
						require.Equal(t, want == nil, got == nil, "%s with mode %q and b %q", required, mode, b)
					}
				}
			}
		}
	}
	nested, err := fieldschema.ParseFields(event.MustParse(`{"o":{"type":"object","properties":{"a":{"type":"string","required":{"conditions":[{"type":"syncMode","operator":"is","value":"add"}]}}}}}`))
	require.NoError(t, err)
	for mode, ok := range map[string]bool{"add": false, "update": true} {
		s, err := fieldschema.Compile(nested.ForSyncMode(mode))
		require.NoError(t, err)
		_, err = s.Process(event.MustParse(`{"o":{"z":1}}`))
		_ = assert.Equal(t, ok, err == nil, mode)
	}
}
