package incoming_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/incoming"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func parse(t *testing.T, text string) event.Event {
	e, err := event.Parse([]byte(text))
	require.NoError(t, err)
	return e
}

func TestComplete(t *testing.T) {
	const filled = `"messageId":"m","receivedAt":"2026-01-02T12:00:00.000Z"`
	for name, c := range map[string]struct{ event, want string }{
		"the body of a request to track": {
			`{"userId":"u","event":"A","messageId":"m"}`,
			`{"userId":"u","event":"A","messageId":"m","type":"track","timestamp":"2026-01-02T12:00:00.000Z","receivedAt":"2026-01-02T12:00:00.000Z"}`,
		},
		"ids are strings": {
			`{"type":"page","userId":7,"anonymousId":1.50,"timestamp":"2026-01-01T00:00:00Z",` + filled + `}`,
			`{"type":"page","userId":"7","anonymousId":"1.5","timestamp":"2026-01-01T00:00:00Z",` + filled + `}`,
		},
		"an event that has everything": {
			`{"type":"page","timestamp":"2026-01-01T00:00:00Z","originalTimestamp":"2026-01-01T01:00:00Z",` + filled + `}`,
			`{"type":"page","timestamp":"2026-01-01T00:00:00Z","originalTimestamp":"2026-01-01T01:00:00Z",` + filled + `}`,
		},
		"an event that arrives": {
			`{"type":"page","messageId":"m","timestamp":"2026-01-01T00:00:00Z"}`,
			`{"type":"page","messageId":"m","timestamp":"2026-01-01T00:00:00Z","originalTimestamp":"2026-01-01T00:00:00Z","receivedAt":"2026-01-02T12:00:00.000Z"}`,
		},
		"a write key is dropped": {
			`{"type":"page","writeKey":"secret","timestamp":"2026-01-01T00:00:00Z","originalTimestamp":"2026-01-01T01:00:00Z",` + filled + `}`,
			`{"type":"page","timestamp":"2026-01-01T00:00:00Z","originalTimestamp":"2026-01-01T01:00:00Z",` + filled + `}`,
		},
		"a messageId that is a number": {
			`{"type":"page","timestamp":"2026-01-01T00:00:00Z","messageId":7,"receivedAt":"2026-01-02T12:00:00.000Z"}`,
			`{"type":"page","timestamp":"2026-01-01T00:00:00Z","messageId":"7","receivedAt":"2026-01-02T12:00:00.000Z"}`,
		},
		"sentAt in place of a timestamp": {
			`{"type":"page","messageId":"m","sentAt":"2026-01-01T00:00:00Z"}`,
			`{"type":"page","messageId":"m","sentAt":"2026-01-01T00:00:00Z","timestamp":"2026-01-01T00:00:00.000Z","receivedAt":"2026-01-02T12:00:00.000Z"}`,
		},
		"the receipt in place of a timestamp": {
			`{"type":"page","messageId":"m","receivedAt":"2026-01-01 00:00:00+00"}`,
			`{"type":"page","messageId":"m","receivedAt":"2026-01-01T00:00:00.000Z","timestamp":"2026-01-01T00:00:00.000Z"}`,
		},
		"the receipt in place of sentAt by a clock that is wrong": {
			`{"type":"page","messageId":"m","timestamp":"soon","sentAt":"2026-01-01T00:00:11Z","receivedAt":"2026-01-01T00:00:00Z"}`,
			`{"type":"page","messageId":"m","timestamp":"2026-01-01T00:00:00.000Z","sentAt":"2026-01-01T00:00:11Z","receivedAt":"2026-01-01T00:00:00Z","originalTimestamp":"soon"}`,
		},
		"sentAt by a clock that is right": {
			`{"type":"page","messageId":"m","sentAt":"2026-01-01T00:00:09Z","receivedAt":"2026-01-01T00:00:10Z"}`,
			`{"type":"page","messageId":"m","sentAt":"2026-01-01T00:00:09Z","receivedAt":"2026-01-01T00:00:10Z","timestamp":"2026-01-01T00:00:09.000Z"}`,
		},
		"a sentAt in the future": {
			`{"type":"page","messageId":"m","sentAt":"2099-01-01T00:00:00Z"}`,
			`{"type":"page","messageId":"m","sentAt":"2099-01-01T00:00:00Z","timestamp":"2026-01-02T12:00:00.000Z","receivedAt":"2026-01-02T12:00:00.000Z"}`,
		},
		"a receipt that cannot be read": {
			`{"type":"page","messageId":"m","timestamp":"2026-01-01T00:00:00Z","receivedAt":"soon"}`,
			`{"type":"page","messageId":"m","timestamp":"2026-01-01T00:00:00Z","receivedAt":"2026-01-02T12:00:00.000Z"}`,
		},
		"another form of a time": {
			`{"type":"page","timestamp":1767323045123,` + filled + `}`,
			`{"type":"page","timestamp":"2026-01-02T03:04:05.123Z",` + filled + `,"originalTimestamp":1767323045123}`,
		},
		"the zero time means no time": {
			`{"type":"page","timestamp":"0001-01-01T00:00:00Z",` + filled + `}`,
			`{"type":"page","timestamp":"2026-01-02T12:00:00.000Z",` + filled + `,"originalTimestamp":"0001-01-01T00:00:00Z"}`,
		},
		"an empty text is no time": {
			`{"type":"page","timestamp":"",` + filled + `}`,
			`{"type":"page","timestamp":"2026-01-02T12:00:00.000Z",` + filled + `,"originalTimestamp":""}`,
		},
		"spaces are no time": {
			`{"type":"page","timestamp":" \t",` + filled + `}`,
			`{"type":"page","timestamp":"2026-01-02T12:00:00.000Z",` + filled + `,"originalTimestamp":" \t"}`,
		},
		"a time far in the future": {
			`{"type":"page","timestamp":"2099-01-01T00:00:00Z",` + filled + `}`,
			`{"type":"page","timestamp":"2026-01-02T12:00:00.000Z",` + filled + `,"originalTimestamp":"2099-01-01T00:00:00Z"}`,
		},
		"a time a little too far ahead": {
			`{"type":"page","timestamp":"2026-01-02T12:01:01Z",` + filled + `}`,
			`{"type":"page","timestamp":"2026-01-02T12:01:00.000Z",` + filled + `,"originalTimestamp":"2026-01-02T12:01:01Z"}`,
		},
		"a decimal comma": {
			`{"type":"page","timestamp":"2026-01-02T03:04:05,123Z",` + filled + `}`,
			`{"type":"page","timestamp":"2026-01-02T03:04:05.123Z",` + filled + `,"originalTimestamp":"2026-01-02T03:04:05,123Z"}`,
		},
		"an hour of one digit": {
			`{"type":"page","timestamp":"2026-01-02T3:04:05Z",` + filled + `}`,
			`{"type":"page","timestamp":"2026-01-02T03:04:05.000Z",` + filled + `,"originalTimestamp":"2026-01-02T3:04:05Z"}`,
		},
		"what cannot be read is no time": {
			`{"type":"page","timestamp":"soon",` + filled + `}`,
			`{"type":"page","timestamp":"2026-01-02T12:00:00.000Z",` + filled + `,"originalTimestamp":"soon"}`,
		},
		"an object is no time": {
			`{"type":"page","timestamp":{"a":1},` + filled + `}`,
			`{"type":"page","timestamp":"2026-01-02T12:00:00.000Z",` + filled + `,"originalTimestamp":{"a":1}}`,
		},
		"null is nothing": {
			`{"type":null,"event":"A","messageId":"m","timestamp":null,"receivedAt":null}`,
			`{"type":"track","event":"A","messageId":"m","timestamp":"2026-01-02T12:00:00.000Z","receivedAt":"2026-01-02T12:00:00.000Z"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := incoming.Complete(parse(t, c.event), noon, incoming.DefaultMaxFuture)
			assert.Equal(t, c.want, got.Raw())
			again := incoming.Complete(got, noon.Add(time.Hour), incoming.DefaultMaxFuture)
			assert.Equal(t, got.Raw(), again.Raw(), "an event that has everything is left as it is")
		})
	}
}

func TestCompleteDerivesTheMessageIDFromTheContent(t *testing.T) {
	id := func(text string, now time.Time) string {
		return incoming.Complete(parse(t, text), now, time.Minute).Value().Get("messageId").Str()
	}
	assert.Equal(t, id(`{"userId":"u","event":"A"}`, noon), id(`{"userId":"u","event":"A"}`, noon.Add(time.Hour)))
	assert.NotEqual(t, id(`{"userId":"u","event":"A"}`, noon), id(`{"userId":"u","event":"B"}`, noon))
}

// TestCompleteAgreesWithTheServer checks that Complete and the server give the same event, except for a generated messageId, for all
// combinations of members that the server accepts.
func TestCompleteAgreesWithTheServer(t *testing.T) {
	ids := []string{``, `,"messageId":"m"`, `,"messageId":7`, `,"messageId":""`, `,"messageId":null`, `,"messageId":true`, `,"messageId":{"a":1}`}
	times := []string{``, `"2026-01-02T11:00:00Z"`, `"2026-01-02T11:00:00.5+02:00"`, `1767323045123`, `"2026-01-02t03:04:05z"`, `"2026-01-02T03:04:05,5Z"`, `"2099-01-01T00:00:00Z"`,
		`"2026-01-02T12:01:30Z"`, `"soon"`, `" "`, `""`, `false`, `{"a":1}`, `null`, `"0001-01-01T00:00:00Z"`}
	sents := []string{``, `,"sentAt":"2026-01-02T12:00:00Z"`, `,"sentAt":"2026-01-02T11:59:55Z"`, `,"sentAt":null`, `,"sentAt":"0001-01-01T00:00:00Z"`}
	users := []string{`"userId":"u"`, `"userId":7`, `"anonymousId":1.50,"userId":""`, `"anonymousId":"a","userId":null,"writeKey":"secret"`, `"userId":"u","originalTimestamp":null,"integrations":null,"context":{"a":null}`,
		`"userId":" ","anonymousId":"a","properties":[],"integrations":[]`, `"userId":false,"anonymousId":"a"`}
	for _, user := range users {
		for _, id := range ids {
			for _, at := range times {
				for _, sent := range sents {
					text := `{"type":"track","event":"A",` + user + id + sent
					if at != "" {
						text += `,"timestamp":` + at
					}
					compareWithServer(t, text+`}`)
				}
			}
		}
	}
}

func compareWithServer(t *testing.T, text string) {
	e := parse(t, text)
	served, err := incoming.New(0).ForRequest(incoming.Request{Received: noon}).Normalize(e.Value())
	require.NoError(t, err)
	made, reason := incoming.CompleteWithReason(e, noon, incoming.DefaultMaxFuture)
	require.Equal(t, served.ReplacedReason, reason, text)
	completed := made.Value()
	for key, value := range served.Value.Members() {
		if key != "messageId" || e.Value().Get("messageId").Text() != "" {
			bothNothing := !value.Exists() && !completed.Get(key).Exists()
			require.True(t, bothNothing || event.Equal(value, completed.Get(key)), "%s: %s is %s and %s", text, key, value.JSON(), completed.Get(key).JSON())
		}
	}
	for key, value := range completed.Without("sentAt").Members() { // the server drops the zero time
		require.True(t, event.Equal(value, served.Value.Get(key)) || key == "messageId" || value.Kind() == event.Null, "%s: %s is %s", text, key, value.JSON())
	}
	require.True(t, strings.HasPrefix(completed.Get("messageId").Str(), "landfall-") || completed.Get("messageId").Str() == e.Value().Get("messageId").Text(), text)
}

// TestUnreadableEvents checks that an event from a file is refused for a damaged id, but not for what it lacks.
func TestUnreadableEvents(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                                       "",
		`{"userId":null}`:                          "",
		`{"userId":false,"anonymousId":7}`:         "",
		`{"userId":"u\ufffd"}`:                     "userId has a character that was lost in a conversion (U+FFFD), or is not valid UTF-8: send the event in UTF-8",
		`{"anonymousId":"\ud800"}`:                 "anonymousId has a character that was lost in a conversion (U+FFFD), or is not valid UTF-8: send the event in UTF-8",
		`{"userId":-1e999}`:                        "userId is a number beyond the range of numbers: send it as a string",
		`{"groupId":{"id":1}}`:                     "groupId should be a string but is an object",
		`{"batch":[{"type":"page"}],"sentAt":"x"}`: "it is a batch: give each event by itself",
		`{"type":"track","event":"A","batch":[1]}`: "",
		`{"batch":"7"}`:                            "",
	} {
		reason := ""
		if _, err := incoming.ParseLine([]byte(text)); err != nil {
			reason = err.Error()
		}
		assert.Equal(t, want, reason, text)
	}
}
