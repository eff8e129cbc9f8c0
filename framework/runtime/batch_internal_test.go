package runtime

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
)

// TestBatchKeysAfterOthers checks that a payload has the same batch key, whichever payload was before.
func TestBatchKeysAfterOthers(t *testing.T) {
	type payload struct {
		value, list event.Value
		key         string
	}
	var payloads []payload
	values := []string{`"a"`, `"a\",\"b"`, `"a\\"`, `"a\\\\"`, `"\""`, `"\\\""`, `1`, `null`}
	for _, list := range []event.Value{event.MustParse(`["x"]`), event.MustParse(`["x","y"]`), event.MustParse(`["x","z","y"]`), event.MustParse(`[]`)} {
		for _, x := range values {
			for _, y := range values {
				p := payload{value: event.MustParse(`{"x":` + x + `,"y":` + y + `,"z":"b"}`), list: list}
				p.key = new(Subscription).batchKey(p.value, list)
				payloads = append(payloads, p)
			}
		}
	}
	used := &Subscription{}
	for _, before := range payloads {
		for _, p := range payloads {
			used.batchKey(before.value, before.list)
			if key := used.batchKey(p.value, p.list); key != p.key {
				require.Equal(t, p.key, key, "%s after %s", p.value.JSON(), before.value.JSON())
			}
		}
	}
}
