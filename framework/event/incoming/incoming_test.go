package incoming_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/incoming"
	"github.com/landfall-dev/landfall/framework/fault"
)

func TestNormalize(t *testing.T) {
	for name, c := range map[string]struct {
		request     incoming.Request
		event, want string
	}{
		"everything is kept, the write key is not": {
			incoming.Request{},
			`{"type":"track","event":"A","userId":"u","anonymousId":"a","messageId":"m","writeKey":"secret","timestamp":"2026-01-02T11:00:00Z","extra":{"a":[1]},"properties":{"b":2}}`,
			`{"type":"track","messageId":"m","userId":"u","anonymousId":"a","event":"A","extra":{"a":[1]},"properties":{"b":2},` +
				`"timestamp":"2026-01-02T11:00:00Z","originalTimestamp":"2026-01-02T11:00:00Z","receivedAt":"2026-01-02T12:00:00.000Z"}`,
		},
		"ids are texts, and the request has the type": {
			incoming.Request{Kind: "group"},
			`{"messageId":7,"userId":8,"anonymousId":9,"groupId":10}`,
			`{"type":"group","messageId":"7","userId":"8","anonymousId":"9","groupId":10,"timestamp":"2026-01-02T12:00:00.000Z","receivedAt":"2026-01-02T12:00:00.000Z"}`,
		},
		"context and integrations of the batch hold unless the event has its own": {
			incoming.Request{Batch: event.MustParse(`{"context":{"ip":"1.2.3.4","library":{"name":"js"}},"integrations":{"All":true,"x":true},"sentAt":"2026-01-02T12:00:00Z"}`)},
			`{"type":"page","messageId":"m","userId":"u","context":{"ip":"5.6.7.8","locale":"de"},"integrations":{"x":false}}`,
			`{"type":"page","messageId":"m","userId":"u","context":{"library":{"name":"js"},"ip":"5.6.7.8","locale":"de"},"integrations":{"All":true,"x":false},` +
				`"timestamp":"2026-01-02T12:00:00.000Z","sentAt":"2026-01-02T12:00:00Z","receivedAt":"2026-01-02T12:00:00.000Z"}`,
		},
		"an event of a batch without either": {
			incoming.Request{Batch: event.MustParse(`{"context":{"ip":"1.2.3.4"}}`)},
			`{"type":"page","messageId":"m","userId":"u","context":null}`,
			`{"type":"page","messageId":"m","userId":"u","context":{"ip":"1.2.3.4"},"timestamp":"2026-01-02T12:00:00.000Z","receivedAt":"2026-01-02T12:00:00.000Z"}`,
		},
		"null is nothing, in the batch and in the event": {
			incoming.Request{Batch: event.MustParse(`{"context":{"a":null,"b":1,"c":null},"integrations":null}`)},
			`{"type":"page","messageId":"m","userId":"u","context":{"a":null,"b":null,"c":2},"integrations":null,"properties":null}`,
			`{"type":"page","messageId":"m","userId":"u","properties":null,"context":{"b":1,"a":null,"c":2},"integrations":null,` +
				`"timestamp":"2026-01-02T12:00:00.000Z","receivedAt":"2026-01-02T12:00:00.000Z"}`,
		},
		"empty arrays in place of objects, and ids of white space": {
			incoming.Request{},
			`{"type":"page","messageId":"m","userId":false,"anonymousId":"a","properties":[],"traits":{"list":[]},"context":[],"integrations":[],"other":[]}`,
			`{"type":"page","messageId":"m","userId":"","anonymousId":"a","properties":{},"traits":{"list":[]},"other":[],"context":{},"integrations":{},` +
				`"timestamp":"2026-01-02T12:00:00.000Z","receivedAt":"2026-01-02T12:00:00.000Z"}`,
		},
		"recorded after it was sent, by a clock that is an hour ahead": {
			incoming.Request{},
			`{"type":"page","messageId":"m","userId":"u","sentAt":"2026-01-02T13:00:00Z","timestamp":"2026-01-02T13:00:30Z"}`,
			`{"type":"page","messageId":"m","userId":"u","timestamp":"2026-01-02T12:00:00.000Z","originalTimestamp":"2026-01-02T13:00:30Z",` +
				`"sentAt":"2026-01-02T13:00:00Z","receivedAt":"2026-01-02T12:00:00.000Z"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.request.Received = noon
			got, err := incoming.New(0).ForRequest(c.request).Normalize(event.MustParse(c.event))
			require.NoError(t, err)
			assert.Equal(t, c.want, got.Value.JSON())
		})
	}
}

func TestNormalizeRefuses(t *testing.T) {
	const noUser = "userId or anonymousId should be a string: one of them is needed"
	for text, want := range map[string]string{
		`7`:                             "an event should be an object but is a number",
		`[]`:                            "an event should be an object but is an array",
		`{"userId":"u"}`:                "type should be track, identify, page, screen, group or alias but is missing",
		`{"type":"trak","userId":"u"}`:  `type should be track, identify, page, screen, group or alias but is "trak"`,
		`{"type":7,"userId":"u"}`:       "type should be track, identify, page, screen, group or alias but is a number",
		`{"type":null,"userId":"u"}`:    "type should be track, identify, page, screen, group or alias but is missing",
		`{"type":"track","userId":"u"}`: "event should be the name of the event, for a track",
		`{"type":"track","event":"","userId":"u"}`:                           "event should be the name of the event, for a track",
		`{"type":"track","event":7,"userId":"u"}`:                            "event should be the name of the event, for a track",
		`{"type":"group","userId":"u"}`:                                      "groupId should be a string, for a group",
		`{"type":"alias","userId":"u"}`:                                      "previousId and userId should be strings, for an alias",
		`{"type":"alias","previousId":"u"}`:                                  "previousId and userId should be strings, for an alias",
		`{"type":"page"}`:                                                    noUser,
		`{"type":"page","userId":""}`:                                        noUser,
		`{"type":"page","userId":" \t","anonymousId":"\u00a0"}`:              noUser,
		`{"type":"page","userId":1e400}`:                                     "userId is a number beyond the range of numbers: send it as a string",
		`{"type":"group","userId":"u","groupId":" "}`:                        "groupId should be a string, for a group",
		`{"type":"page","userId":["u"],"anonymousId":"a"}`:                   "userId should be a string but is an array",
		`{"type":"page","userId":true,"anonymousId":"a"}`:                    "userId should be a string but is a boolean",
		`{"type":"page","userId":false}`:                                     noUser,
		`{"type":"page","userId":["u"]}`:                                     noUser,
		`{"type":"page","userId":"M\ufffdller"}`:                             "userId has a character that was lost in a conversion (U+FFFD), or is not valid UTF-8: send the event in UTF-8",
		`{"type":"page","userId":"u\ud800"}`:                                 "userId has a character that was lost in a conversion (U+FFFD), or is not valid UTF-8: send the event in UTF-8",
		"{\"type\":\"page\",\"userId\":\"u\",\"anonymousId\":\"M\xfcller\"}": "anonymousId has a character that was lost in a conversion (U+FFFD), or is not valid UTF-8: send the event in UTF-8",
		`{"type":"page","userId":"u","context":7}`:                           "context should be an object but is a number",
		`{"type":"page","userId":"u","traits":""}`:                           "traits should be an object but is a string",
		`{"type":"delete","userId":"u"}`:                                     "the source does not accept deletions: set deletes: true in its config",
	} {
		_, err := incoming.New(0).ForRequest(incoming.Request{Received: noon}).Normalize(event.MustParse(text))
		var refused *incoming.RefusedError
		require.ErrorAs(t, err, &refused, text)
		assert.Equal(t, want, refused.Reason, text)
		assert.Equal(t, fault.CauseInvalidEvent, refused.Cause, text)
	}
}

func TestSuppressedUsersAreRefusedExceptForDeletions(t *testing.T) {
	request := incoming.New(0).ForRequest(incoming.Request{
		Received: noon, AllowDeletes: true, Suppressed: func(v event.Value) bool { return v.Get("userId").Str() == "7" },
	})
	_, err := request.Normalize(event.MustParse(`{"type":"page","userId":7}`))
	var refused *incoming.RefusedError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, fault.CauseSuppressed, refused.Cause)
	_, err = request.Normalize(event.MustParse(`{"type":"page","userId":8}`))
	assert.NoError(t, err)
	_, err = request.Normalize(event.MustParse(`{"type":"delete","userId":7}`))
	assert.NoError(t, err)
}

func TestEachEventWithoutAMessageIDGetsOneOfItsOwn(t *testing.T) {
	request := incoming.New(0).ForRequest(incoming.Request{Received: noon})
	ids := map[string]bool{}
	for _, text := range []string{`{"type":"page","userId":"u"}`, `{"type":"page","userId":"u"}`, `{"type":"page","userId":"u","messageId":""}`} {
		got, err := request.Normalize(event.MustParse(text))
		require.NoError(t, err)
		id := got.Value.Get("messageId").Str()
		assert.True(t, strings.HasPrefix(id, "landfall-"), id)
		ids[id] = true
	}
	assert.Len(t, ids, 3)
}

// TestWhyATimeIsReplaced checks what the sender learns about its times.
func TestWhyATimeIsReplaced(t *testing.T) {
	for name, c := range map[string]struct{ batch, times, timestamp, reason string }{
		"nothing is wrong":               {"", `"timestamp":"2026-01-02T11:00:00Z"`, "", ""},
		"not a time":                     {"", `"timestamp":"soon"`, "2026-01-02T12:00:00.000Z", "timestamp: "},
		"not a time, but sent at one":    {"", `"timestamp":"soon","sentAt":"2026-01-02T11:59:59Z"`, "2026-01-02T11:59:59.000Z", "timestamp: "},
		"the future":                     {"", `"timestamp":"2026-01-02T13:00:00Z"`, "2026-01-02T12:01:00.000Z", "timestamp: it is 60 min after its receipt"},
		"sentAt is not a time":           {"", `"timestamp":"2026-01-02T11:00:00Z","sentAt":"now"`, "", "sentAt: "},
		"sentAt of the batch is no time": {"now", `"timestamp":"2026-01-02T11:00:00Z"`, "", "sentAt: "},
		"the batch has another one":      {"2026-01-02T12:00:00Z", `"timestamp":"2026-01-02T11:00:00Z","sentAt":"now"`, "", `sentAt: "now" is not a time`},
		"both are not times":             {"", `"timestamp":"soon","sentAt":"now"`, "2026-01-02T12:00:00.000Z", `timestamp: "soon" is not a time: "soon" cannot be read as a date; sentAt: "now" is not a time`},
		"the future, and sentAt":         {"now", `"timestamp":"2099-01-02T13:00:00Z"`, "2026-01-02T12:00:00.000Z", `timestamp: it is 26663 days after its receipt, which is more than ingest.maxFuture (1m) allows; sentAt: "now" is not a time`},
		"its own is read":                {"now", `"timestamp":"2026-01-02T11:00:00Z","sentAt":"2026-01-02T12:00:00Z"`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			request := incoming.Request{Received: noon}
			if c.batch != "" {
				request.Batch = event.MustParse(`{"sentAt":"` + c.batch + `"}`)
			}
			got, err := incoming.New(time.Minute).ForRequest(request).Normalize(event.MustParse(`{"type":"page","userId":"u",` + c.times + `}`))
			require.NoError(t, err)
			assert.Equal(t, c.timestamp, got.Timestamp)
			assert.True(t, strings.HasPrefix(got.ReplacedReason, c.reason) && (c.reason == "") == (got.ReplacedReason == ""), got.ReplacedReason)
		})
	}
}

// TestRefusalOfCompletedEvents checks that an event from a file is refused as one of a request is, unless what it lacks was completed.
func TestRefusalOfCompletedEvents(t *testing.T) {
	for text, want := range map[string]string{
		`{"event":"A","userId":7}`:                      "",
		`{"type":"page","anonymousId":"a"}`:             "",
		`{"event":"A"}`:                                 "userId or anonymousId should be a string: one of them is needed",
		`{"event":"A","userId":"u","integrations":[1]}`: "integrations should be an object but is an array",
		`{"event":"A","userId":"u","integrations":[]}`:  "",
		`{"event":"A","userId":" "}`:                    "userId or anonymousId should be a string: one of them is needed",
		`{"type":"nope","userId":"u"}`:                  `type should be track, identify, page, screen, group or alias but is "nope"`,
		`{"userId":"u"}`:                                "type should be track, identify, page, screen, group or alias but is missing",
	} {
		e, err := event.Parse([]byte(text))
		require.NoError(t, err)
		assert.Equal(t, want, incoming.Refusal(incoming.Complete(e, time.Now(), 0)), text)
	}
}
