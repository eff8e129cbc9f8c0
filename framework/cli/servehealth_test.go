package cli

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
)

// TestAPausedInstanceIsShownAndResumed checks that a very long Retry-After pauses the instance for delivery.maxPause at most, that
// status, readiness and log show it, and that landfall resume ends it.
func TestAPausedInstanceIsShownAndResumed(t *testing.T) {
	sandbox := newBrazeSandbox(t)
	s := newServed(t, replaceOnce(t, serveConfig, "linger: 50ms", "linger: 50ms, maxPause: 20m"), "--sandbox-url", sandbox.URL)
	s.start()
	injectFaults(t, sandbox.URL, `{"path":"`+users+`","status":429,"headers":{"Retry-After":"999999999999"},"times":1}`)
	s.post(entered("u1", "vip"))
	require.Eventually(t, func() bool { list, ok := s.status(); return ok && list[0].Paused }, time.Minute, 20*time.Millisecond)

	var status delivery.Status
	require.NoError(t, json.Unmarshal([]byte(s.cli("status", "--json")), &status))
	assert.InDelta(t, 20*time.Minute, time.Until(status.Until), float64(time.Minute))
	assert.True(t, status.Delivering, "it is the remote's business")
	require.Len(t, status.Findings, 1)
	assert.Equal(t, delivery.CodePaused, status.Findings[0].Code)
	assert.Contains(t, s.cli("status"), "the remote asks to wait until ")
	assert.Contains(t, s.cli("status"), "landfall resume braze-main ends that")
	code, text := s.probe("/readyz")
	assert.Equal(t, http.StatusOK, code)
	assert.True(t, strings.HasPrefix(text, "ready\n"), text)
	assert.Contains(t, text, "braze-main: the remote asks to wait until ")
	var health delivery.Health
	_, text = s.probe("/readyz?format=json")
	require.NoError(t, json.Unmarshal([]byte(text), &health))
	assert.Equal(t, status.Findings, health.Findings, "readiness and status agree")
	assert.True(t, strings.HasPrefix(s.cli("health"), "ready\nbraze-main: the remote asks to wait until "))
	var shown delivery.Health
	require.NoError(t, json.Unmarshal([]byte(s.cli("health", "--json")), &shown))
	assert.Equal(t, health, shown)
	s.logs("the remote asks to wait, so the instance pauses")

	assert.Equal(t, "braze-main: resumed\n", s.cli("resume", "braze-main"))
	s.logs("an operator has ended the pauses of an instance")
	assert.Equal(t, int64(1), s.waitSettled(1)["delivered"])
	_, text = s.probe("/readyz")
	assert.Equal(t, "ready\n", text)
	assert.Equal(t, "braze-main: no change: it is not paused, and no retry waits\n", s.cli("resume", "braze-main"))
	assert.JSONEq(t, `{"resumed":"braze-main","waited":false}`, s.cli("resume", "braze-main", "--json"))
}

// TestServeLogsItsLimits checks that the server logs its limits when it starts.
func TestServeLogsItsLimits(t *testing.T) {
	config := replaceOnce(t, serveConfig, "linger: 50ms", "linger: 50ms, maxBytes: 7000000, letters: {retention: 5h, maxBytes: 6000000}, parked: {maxBytes: 4000000}, maxPause: 3m")
	s := newServed(t, config, "--sandbox")
	s.start()
	s.logs(`msg="limits of accepted events" maxBytes=7000000 retention=168h0m0s minFreeBytes=`)
	s.logs(`msg="limits of dead letters and parked events" lettersRetention=5h0m0s lettersMaxBytes=6000000 parkedMaxBytes=4000000`)
	s.logs(`msg="limits of delivery" parallel=8 maxPause=3m0s retryFor=4h0m0s`)
}
