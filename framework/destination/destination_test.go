package destination_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

func TestMembershipOf(t *testing.T) {
	const audience = `"context":{"personas":{"computation_class":"audience","computation_key":"vip"}}`
	const journey = `"context":{"personas":{"computation_class":"journey_step","computation_key":"step"}}`
	cases := []struct {
		event, mode string
		want        destination.Membership
	}{
		{`{"type":"track","properties":{"vip":true},` + audience + `}`, "", destination.In},
		{`{"type":"track","properties":{"vip":false},` + audience + `}`, "", destination.Out},
		{`{"type":"track","properties":{"vip":"true"},` + audience + `}`, "", destination.Unknown},
		{`{"type":"identify","traits":{"vip":false},` + audience + `}`, "", destination.Out},
		{`{"type":"track","properties":{"vip":1},` + audience + `}`, "", destination.Unknown},
		{`{"type":"track","properties":{},` + audience + `}`, "", destination.Unknown},
		{`{"type":"page","properties":{"vip":true},` + audience + `}`, "", destination.Unknown},
		{`{"type":"track","properties":{},` + journey + `}`, "", destination.In},
		{`{"type":"track","properties":{"step":false},` + journey + `}`, "", destination.Out},
		{`{"type":"track","event":"new"}`, "add", destination.In},
		{`{"type":"track","event":"new"}`, "update", destination.Unknown},
		{`{"type":"track","event":"updated"}`, "update", destination.In},
		{`{"type":"track","event":"updated"}`, "add", destination.Unknown},
		{`{"type":"track","event":"updated"}`, "upsert", destination.In},
		{`{"type":"track","event":"deleted"}`, "delete", destination.Out},
		{`{"type":"track","event":"deleted"}`, "mirror", destination.Out},
		{`{"type":"track","event":"deleted"}`, "upsert", destination.Unknown},
		{`{"type":"track","event":"new"}`, "", destination.Unknown},
		{`{"type":"track","event":"new"}`, "upsert", destination.In},
		{`{"type":"track","event":"new"}`, "mirror", destination.In},
		{`{"type":"track","event":"updated"}`, "mirror", destination.In},
		{`{"type":"track","event":"deleted"}`, "add", destination.Unknown},
		{`{"type":"identify","event":"new"}`, "mirror", destination.Unknown},
	}
	for _, c := range cases {
		assert.Equal(t, c.want, destination.MembershipOf(event.MustParse(c.event), c.mode), "%s %s", c.event, c.mode)
	}
}

func TestMemoryMembers(t *testing.T) {
	ctx, m := context.Background(), destination.NewMemoryMembers()
	at := func(seconds int64) time.Time { return time.Unix(seconds, 0) }
	write := func(id string, member bool, seconds int64) {
		require.NoError(t, m.Record(ctx, destination.Audience{ID: "a", Name: "A"}, []destination.Change{{Identity: id, Member: member, At: at(seconds)}}))
	}
	write("u1", true, 10)
	write("u1", false, 5) // older: passed over
	write("u2", true, 10)
	write("u2", false, 10) // equal: the later one counts
	records, err := m.Lookup(ctx, "a", []string{"u2", "u1", "u3"})
	require.NoError(t, err)
	assert.Equal(t, []destination.Record{{Known: true, At: at(10)}, {Known: true, Member: true, At: at(10)}, {}}, records)
	sizes, err := m.Sizes(ctx)
	require.NoError(t, err)
	assert.Equal(t, []destination.AudienceSize{{Audience: destination.Audience{ID: "a", Name: "A"}, Members: 1}}, sizes)
	records, err = m.Lookup(ctx, "unknown", []string{"u1"})
	require.NoError(t, err)
	assert.Equal(t, []destination.Record{{}}, records)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestClient(t *testing.T) {
	cases := map[string]struct {
		status  int
		body    string
		message string // "" for no error
	}{
		"success":            {201, `{"message":"success"}`, ""},
		"no JSON is no body": {200, `ok`, ""},
		"a message":          {400, `{"message":"bad s3cret"}`, "bad [x]"},
		"an error":           {429, `{"error":"slow down"}`, "slow down"},
		"plain text":         {500, `down`, "down"},
		"nothing":            {503, ``, "Service Unavailable"},
		"a redirect":         {302, ``, "Found"},
		"very long":          {500, strings.Repeat("x", 1000), strings.Repeat("x", 300) + "…"},
	}
	for name, c := range cases {
		client := destination.NewClient(roundTripper(func(r *http.Request) (*http.Response, error) {
			assert.Equal(t, "application/json", r.Header.Get("Content-Type"))
			return &http.Response{StatusCode: c.status, Header: http.Header{"Retry-After": {"2"}}, Body: io.NopCloser(strings.NewReader(c.body))}, nil
		}), func(s string) string { return strings.ReplaceAll(s, "s3cret", "[x]") })
		response, err := client.Do(context.Background(), destination.Request{Method: "POST", URL: "https://x.example.com", Body: []byte("{}")})
		if c.message == "" {
			require.NoError(t, err, name)
			assert.Equal(t, c.status, response.Status)
			continue
		}
		e := fault.As(err)
		assert.Equal(t, c.message, e.Error(), name)
		assert.Equal(t, c.status, e.Status, name)
		assert.Equal(t, 2*time.Second, e.RetryAfter)
	}
	client := destination.NewClient(roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }), strings.Clone)
	_, err := client.Do(context.Background(), destination.Request{Method: "GET", URL: "https://x.example.com"})
	assert.True(t, fault.As(err).Retry)
}

func TestARefusalKeepsTheAnswer(t *testing.T) {
	client := destination.NewClient(roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 400, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"message":"no, s3cret","errors":[{"index":1}]}`))}, nil
	}), func(text string) string { return strings.ReplaceAll(text, "s3cret", "[hidden]") })
	_, err := client.Do(context.Background(), destination.Request{Method: "POST", URL: "https://x.org"})
	assert.EqualError(t, err, "no, [hidden]")
	var refusal *destination.Refusal
	require.ErrorAs(t, err, &refusal)
	assert.Equal(t, 400, refusal.Status)
	assert.Equal(t, int64(1), refusal.Body.Get("errors").Index(0).Get("index").Int())
	assert.EqualError(t, refusal, "the destination answered 400")
	assert.Equal(t, "a [hidden]", client.Redact("a s3cret"))
	assert.Equal(t, "as it is", destination.Client{}.Redact("as it is"))
}

func TestActionsGoByTheirAliases(t *testing.T) {
	const text = `
name: Acme
slug: acme
mode: cloud
authentication: {scheme: none}
presets: [{name: P, type: automatic, action: send2, subscribe: type = "track"}]
actions:
  send: {title: Send, aliases: [send2], fields: {}}
  other: {title: Other, aliases: [%s], fields: {}}
`
	d, err := destination.ParseDefinition("acme.yaml", []byte(fmt.Sprintf(text, "other2")))
	require.NoError(t, err)
	assert.Equal(t, "send", d.Action("send2").Key)
	assert.Equal(t, "other", d.Action("other").Key)
	assert.Nil(t, d.Action("send3"))
	_, err = destination.ParseDefinition("acme.yaml", []byte(fmt.Sprintf(text, "send")))
	assert.ErrorContains(t, err, `acme.yaml:9:10: /actions/other and send have the same key: "send"`)
}
