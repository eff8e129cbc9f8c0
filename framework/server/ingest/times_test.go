package ingest_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/server/ingest"
)

func TestTimesOfEvents(t *testing.T) {
	for name, c := range map[string]struct{ members, want, says string }{
		"small letters":        {`"timestamp":"2026-01-02t11:59:00z"`, "2026-01-02T11:59:00.000Z", ""},
		"PostgreSQL":           {`"timestamp":"2026-01-02 11:59:00.123456+00"`, "2026-01-02T11:59:00.123456Z", ""},
		"Go":                   {`"timestamp":"2026-01-02 12:59:00 +0100 CET m=+0.1"`, "2026-01-02T11:59:00.000Z", ""},
		"ICU":                  {`"timestamp":"Jan 2, 2026, 11:59:00\u202fAM"`, "2026-01-02T11:59:00.000Z", ""},
		"milliseconds":         {`"timestamp":1767355140000`, "2026-01-02T11:59:00.000Z", ""},
		"RFC 3339 stays":       {`"timestamp":"2026-01-02T12:59:00+01:00"`, "2026-01-02T12:59:00+01:00", ""},
		"none":                 {`"x":1`, "2026-01-02T12:00:00.000Z", ""},
		"null":                 {`"timestamp":null`, "2026-01-02T12:00:00.000Z", ""},
		"none, but sent":       {`"sentAt":"2026-01-02T11:59:55Z"`, "2026-01-02T11:59:55.000Z", ""},
		"cannot be read":       {`"timestamp":"soon"`, "2026-01-02T12:00:00.000Z", `"soon" is not a time`},
		"unknown zone":         {`"timestamp":"2026-01-02 11:59:00 CET"`, "2026-01-02T12:00:00.000Z", "CET"},
		"Go's zero":            {`"timestamp":"0001-01-01T00:00:00Z"`, "2026-01-02T12:00:00.000Z", "zero time"},
		"far in the future":    {`"timestamp":"2099-01-01T00:00:00Z"`, "2026-01-02T12:00:00.000Z", "ingest.maxFuture"},
		"future, though sent":  {`"timestamp":"2099-01-01T00:00:00Z","sentAt":"2026-01-02T12:00:00Z"`, "2026-01-02T12:00:00.000Z", "ingest.maxFuture"},
		"within the tolerance": {`"timestamp":"2026-01-02T12:00:59Z"`, "2026-01-02T12:00:59Z", ""},
		"beyond the tolerance": {`"timestamp":"2026-01-02T12:01:01Z"`, "2026-01-02T12:01:00.000Z", "61 s after its receipt, which is more than ingest.maxFuture (1m) allows"},
		"a wrong time zone":    {`"timestamp":"2026-01-02T17:00:00Z"`, "2026-01-02T12:01:00.000Z", "5 h after"},
		"sent 14 days ago":     {`"timestamp":"2026-01-02T12:00:00Z","sentAt":"2025-12-19T12:00:00Z"`, "2026-01-02T12:00:00Z", ""},
		"sent 14 days ahead":   {`"timestamp":"2026-01-16T11:59:00Z","sentAt":"2026-01-16T12:00:00Z"`, "2026-01-02T11:59:00.000Z", ""},
		"sentAt in ms":         {`"timestamp":1767358740000,"sentAt":1767358800000`, "2026-01-02T11:59:00.000Z", ""},
		"sentAt unreadable":    {`"timestamp":"2026-01-02T11:00:00Z","sentAt":"later"`, "2026-01-02T11:00:00Z", "sentAt"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &sink{}
			w := post(handler(s), "/v1/batch", `{"batch":[{"type":"track","userId":"u","event":"A","messageId":"m",`+c.members+`}]}`)
			require.Equal(t, 200, w.Code, w.Body)
			taken := s.events[0].Value
			assert.Equal(t, c.want, taken.Get("timestamp").Str())
			sent := event.MustParse("{" + c.members + "}")
			assert.True(t, event.Equal(sent.Get("timestamp"), taken.Get("originalTimestamp")), taken.JSON())
			if c.says == "" {
				assert.JSONEq(t, `{"success":true}`, w.Body.String())
				return
			}
			var answer struct{ ReplacedTimes []ingest.ReplacedTime }
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
			require.Len(t, answer.ReplacedTimes, 1)
			assert.Equal(t, "m", answer.ReplacedTimes[0].MessageID)
			assert.Contains(t, answer.ReplacedTimes[0].Reason, c.says)
		})
	}
}

func TestMaxFutureIsConfigurable(t *testing.T) {
	s := &sink{}
	h := handler(s, func(c *ingest.Config) { c.MaxFuture = time.Hour })
	post(h, "/v1/page", `{"userId":"u","timestamp":"2026-01-02T12:59:00Z"}`)
	post(h, "/v1/page", `{"userId":"u","timestamp":"2026-01-02T13:01:00Z"}`)
	assert.Equal(t, "2026-01-02T12:59:00Z", s.events[0].Value.Get("timestamp").Str())
	assert.Equal(t, "2026-01-02T13:00:00.000Z", s.events[1].Value.Get("timestamp").Str())
}

// An entry whose request stalls for 20 s does not supersede the exit that its client recorded 5 s later.
func TestStalledRequestIsNotClockSkew(t *testing.T) {
	for _, id := range []string{"userId", "anonymousId"} {
		now := noon
		s := &sink{}
		h := handler(s, func(c *ingest.Config) { c.Now = func() time.Time { return now } })
		send := func(recorded, received time.Time) string {
			now = received
			at := recorded.Format(time.RFC3339)
			post(h, "/v1/track", fmt.Sprintf(`{%q:"u","event":"A","timestamp":%q,"sentAt":%q}`, id, at, at))
			return s.events[len(s.events)-1].Value.Get("timestamp").Str()
		}
		exit := send(noon.Add(5*time.Second), noon.Add(5*time.Second))
		entry := send(noon, noon.Add(20*time.Second))
		assert.Equal(t, "2026-01-02T12:00:05Z", exit)
		assert.Equal(t, "2026-01-02T12:00:00Z", entry)
	}
}

// The response lists a limited number of replaced times.
func TestReplacedTimesAreLimited(t *testing.T) {
	s := &sink{}
	body := `{"batch":[`
	for i := range 1500 {
		if i > 0 {
			body += ","
		}
		body += `{"type":"page","userId":"u","timestamp":"soon"}`
	}
	w := post(handler(s), "/v1/batch", body+"]}")
	require.Equal(t, 200, w.Code)
	var answer struct{ ReplacedTimes []ingest.ReplacedTime }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
	assert.Len(t, s.events, 1500)
	assert.Len(t, answer.ReplacedTimes, 1000)
}
