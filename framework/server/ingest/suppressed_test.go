package ingest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/server/ingest"
)

// TestNothingIsKeptOfSuppressedUsers checks that Reject does not receive the events of suppressed users, whatever is wrong with them.
func TestNothingIsKeptOfSuppressedUsers(t *testing.T) {
	var kept []string
	h := handler(&sink{}, func(c *ingest.Config) {
		c.MaxEvent = 200
		c.Suppressed = func(v event.Value) bool { return v.Get("userId").Str() == "gone" }
		c.Reject = func(_ string, v event.Value, _ string) { kept = append(kept, v.Get("userId").Str()) }
	})
	long := strings.Repeat("x", 30_000)
	var events []string
	for _, user := range []string{"gone", "here"} {
		events = append(events,
			`{"type":"nothing","userId":"`+user+`"}`,
			`{"type":"delete","userId":"`+user+`"}`,
			`{"type":"track","event":"`+long+`","userId":"`+user+`"}`,
			`{"type":"track","event":"A","userId":"`+user+`"}`)
	}
	w := post(h, "/v1/batch", `{"batch":[`+strings.Join(events, ",")+`]}`)
	require.Equal(t, 200, w.Code, w.Body.String())
	var reply struct{ Rejected []ingest.Rejected }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &reply))
	causes := map[int]fault.Cause{}
	for _, r := range reply.Rejected {
		causes[r.Index] = r.Cause
	}
	assert.Equal(t, map[int]fault.Cause{0: "", 1: "", 2: fault.CauseSuppressed, 3: fault.CauseSuppressed, 4: "", 5: "", 6: ""}, causes)
	assert.Equal(t, []string{"here", "here", "here"}, kept)
}
