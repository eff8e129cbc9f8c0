package fault_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/fault"
)

func TestDurationsHaveOneUnit(t *testing.T) {
	for d, want := range map[time.Duration][2]string{
		-time.Second:                   {"0 ms", "-1s"},
		999 * time.Millisecond:         {"999 ms", "999ms"},
		119 * time.Second:              {"119 s", "1m59s"},
		2 * time.Minute:                {"2 min", "2m"},
		2*time.Minute + 10*time.Second: {"2 min", "2m10s"},
		119 * time.Minute:              {"119 min", "1h59m"},
		2 * time.Hour:                  {"2 h", "2h"},
		47*time.Hour + 59*time.Minute:  {"47 h", "47h59m"},
		48 * time.Hour:                 {"2 days", "48h (2 days)"},
		720 * time.Hour:                {"30 days", "720h (30 days)"},
		720*time.Hour + 30*time.Second: {"30 days", "720h0m30s (30 days)"},
		10 * 365 * 24 * time.Hour:      {"3650 days", "87600h (3650 days)"},
		10 * time.Minute:               {"10 min", "10m"},
		100 * time.Hour:                {"4 days", "100h (4 days)"},
	} {
		assert.Equal(t, want, [2]string{fault.Duration(d), fault.WrittenDuration(d)}, d.String())
	}
}
