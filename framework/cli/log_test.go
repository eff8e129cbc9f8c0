package cli

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLogsInJSONHaveDurationsWithUnits(t *testing.T) {
	var b bytes.Buffer
	newLog(streams{err: &b}, true).With("lease", 45*time.Second).WithGroup("limits").Info("limits of delivery", "retryFor", 4*time.Hour, "parallel", 8)
	var line struct {
		Msg, Lease string
		Limits     struct {
			RetryFor string
			Parallel int
		}
	}
	require.NoError(t, json.Unmarshal(b.Bytes(), &line), b.String())
	assert.Equal(t, "45s", line.Lease)
	assert.Equal(t, "4h0m0s", line.Limits.RetryFor)
	assert.Equal(t, 8, line.Limits.Parallel)
	assert.Equal(t, "limits of delivery", line.Msg)
}
