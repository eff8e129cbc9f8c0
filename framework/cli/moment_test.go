package cli

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestReadMoment checks that flags such as --since accept an age or a time in every format of events, in any time zone of the
// machine.
func TestReadMoment(t *testing.T) {
	for text, want := range map[string]time.Time{
		"":                          {},
		"2026-01-02":                time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC),
		"2026-01-02T15:04:05":       time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC),
		"2026-01-02t15:04:05+02:00": time.Date(2026, 1, 2, 13, 4, 5, 0, time.UTC),
		"1767366245":                time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC),
	} {
		got, err := parseMoment("--since", text)
		require.NoError(t, err, text)
		assert.True(t, want.Equal(got), "%s: %s", text, got)
	}
	got, err := parseMoment("--since", "2h")
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now().Add(-2*time.Hour), got, time.Minute)
	for _, text := range []string{"yesterday", "24", "90", "1440", "86400"} { // the numbers would be times long before all events
		_, err = parseMoment("--since", text)
		assert.ErrorContains(t, err, "--since should be a date such as", text)
	}
}
