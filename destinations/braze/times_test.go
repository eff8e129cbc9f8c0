package braze_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// TestTimesAreSentOrRefused checks that a time in any format is sent as the same instant, or the event is refused with the field's
// name. It is never sent without its time.
func TestTimesAreSentOrRefused(t *testing.T) {
	for text, want := range map[string]string{
		`631152000000`: "1990-01-01T00:00:00.000Z", `"1767323045123456"`: "2026-01-02T03:04:05.123Z", `1767323045.5`: "2026-01-02T03:04:05.500Z",
		`"1990"`: "1990-01-01T00:00:00.000Z", `"19900415"`: "1990-04-15T00:00:00.000Z", `1.5`: "1970-01-01T00:00:01.500Z",
		`"Fri, 02 Jan 2026 03:04:05 EST"`: "2026-01-02T08:04:05.000Z", `"2026-01-02 03:04:05+00"`: "2026-01-02T03:04:05.000Z",
		`"Fri, 02 Jan 2026 03:04:05 CET"`: "", `99999999999999999999`: "", `"1.5"`: "", `"soon"`: "",
	} {
		sent := event.Value{}
		plan := newPlan(t, scripted(func(_ *http.Request, body []byte) (int, string) {
			read, err := event.ParseValue(body)
			require.NoError(t, err)
			sent = read
			return 201, `{"message":"success"}`
		}), "trackEvent", `{"external_id":{"@path":"$.userId"},"name":"A","time":{"@path":"$.when"}}`, nil)
		verdict := plan.RunBatch(t.Context(), parse(t, `{"type":"track","userId":"u","when":`+text+`}`))[0][0]
		if want == "" {
			assert.Equal(t, runtime.Refused, verdict.Outcome, text)
			assert.Contains(t, verdict.Reason, "Time should be a date", text)
			assert.Equal(t, event.Absent, sent.Kind(), text)
			continue
		}
		require.Equal(t, runtime.Delivered, verdict.Outcome, "%s: %s", text, verdict.Reason)
		assert.Equal(t, want, sent.At("/events/0/time").Str(), text)
	}
}
