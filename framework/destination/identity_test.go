package destination_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
)

func audienceFields() destination.AudienceFields {
	return destination.AudienceFields{
		Action: "sync", ID: "id", Key: "key", Name: "name", Properties: "properties", Time: "time",
		Kinds: []destination.IdentityKind{{Field: "user_id"}, {Field: "alias", Name: "alias_name", Label: "alias_label"}},
	}
}

func TestAudiencesOfFields(t *testing.T) {
	a := audienceFields().Audiences()
	assert.Equal(t, []string{"user_id", "alias_name", "alias_label"}, a.Identifiers)
	for _, c := range []struct {
		row      map[string]string
		identity string
	}{
		{map[string]string{"user_id": "u:1", "alias_name": "n", "alias_label": "l"}, "user_id:u:1"},
		{map[string]string{"alias_name": "a:n", "alias_label": "l:1"}, "alias:l%3A1:a:n"},
		{map[string]string{"alias_name": "n"}, ""},
		{map[string]string{"alias_label": "l"}, ""},
		{map[string]string{"user_id": " \t", "alias_name": "n", "alias_label": "l"}, "alias:l:n"},
		{map[string]string{"alias_name": "\u00a0", "alias_label": "l"}, ""},
		{map[string]string{"alias_name": "n", "alias_label": " "}, ""},
		{nil, ""},
	} {
		identity, ok := a.Identity(func(name string) string { return c.row[name] })
		assert.Equal(t, c.identity, identity)
		assert.Equal(t, c.identity != "", ok)
	}
	_, ok := a.Identity(func(string) string { return strings.Repeat("x", destination.MaxIdentity) })
	assert.False(t, ok, "too long")

	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	payload, err := a.Payload(destination.Audience{ID: "7", Name: "vip"}, destination.Change{Identity: "alias:l%3A1:a:n", At: at})
	require.NoError(t, err)
	assert.JSONEq(t, `{"id":"7","key":"vip","name":"vip","properties":{"vip":false},"time":"2026-01-02T02:04:05Z","alias":{"alias_name":"a:n","alias_label":"l:1"}}`, string(payload.AppendJSON(nil)))
	for _, wrong := range []string{"", "user_id", "user_id:", "device:d1", "alias:x", "alias:%zz:x", "alias:l:"} {
		_, err := a.Payload(destination.Audience{}, destination.Change{Identity: wrong})
		assert.ErrorContains(t, err, "is not an identity", wrong)
	}
}

// TestChangesOfPayloads checks what a payload says about an audience: its properties go before the event.
func TestChangesOfPayloads(t *testing.T) {
	a := audienceFields().Audiences()
	at := time.Date(2026, 1, 2, 2, 4, 5, 0, time.UTC)
	for text, want := range map[string]destination.Change{
		`{"id":"7","key":"vip","properties":{"vip":true},"time":"2026-01-02T03:04:05+01:00","user_id":"u1"}`: {Identity: "user_id:u1", Member: true, At: at},
		`{"id":"7","key":"vip","properties":{"vip":false},"user_id":"u1"}`:                                   {Identity: "user_id:u1"},
		`{"id":"7","key":"vip","properties":{"other":false},"alias":{"alias_name":"n","alias_label":"l"}}`:   {Identity: "alias:l:n", Member: true},
		`{"id":"7","key":"vip","properties":{"vip":"perhaps"},"alias":{"alias_name":"n"},"user_id":"u1"}`:    {Identity: "user_id:u1", Member: true},
	} {
		audience, change, ok := a.Read(event.MustParse(text), func() destination.Membership { return destination.In })
		assert.True(t, ok, text)
		assert.Equal(t, destination.Audience{ID: "7", Name: "vip"}, audience, text)
		assert.True(t, want.At.Equal(change.At), text)
		want.At = change.At
		assert.Equal(t, want, change, text)
	}
	for _, text := range []string{`{"key":"vip","user_id":"u1"}`, `{"id":"7","key":"vip"}`, `{"id":"7","alias":{"alias_name":"n"}}`} {
		_, _, ok := a.Read(event.MustParse(text), func() destination.Membership { return destination.Out })
		assert.False(t, ok, text)
	}
}

// What Identity.String writes is what a payload is made of again, for any names and labels.
func FuzzIdentity(f *testing.F) {
	f.Add("u1", "")
	f.Add("a:b%3A", "e:mail %")
	f.Fuzz(func(t *testing.T, name, label string) {
		if name == "" {
			t.Skip()
		}
		id, field := destination.Identity{Kind: "user_id", Name: name}, "user_id"
		if label != "" {
			id, field = destination.Identity{Kind: "alias", Name: name, Label: label}, "alias"
		}
		payload, err := audienceFields().Audiences().Payload(destination.Audience{}, destination.Change{Identity: id.String()})
		require.NoError(t, err)
		got := payload.Get(field)
		if label == "" {
			assert.Equal(t, event.NewString(name).Str(), got.Str())
			return
		}
		assert.Equal(t, []string{event.NewString(name).Str(), event.NewString(label).Str()}, []string{got.Get("alias_name").Str(), got.Get("alias_label").Str()})
	})
}
