package request_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/event"
)

// TestNames checks that names are validated in every language in which they can be read.
func TestNames(t *testing.T) {
	names := request.Names{request.Settings: {"accountRegion"}, request.Auth: {"accessToken"}, request.Payload: {"name", "items"}}
	for body, want := range map[string]string{
		`{"@expr": "settings.acountRegion == 'eu'"}`:                                                                `/body/@expr reads settings.acountRegion, which does not exist (did you mean "accountRegion"?)`,
		`{"@expr": "get(settings, 'acountRegion')"}`:                                                                `/body/@expr reads settings.acountRegion`,
		`{"@expr": "setings.accountRegion"}`:                                                                        `/body/@expr reads "setings", but the names here are auth, payload, settings (did you mean "settings"?)`,
		`{"@liquid": "{{ settings.acountRegion }}"}`:                                                                `/body/@liquid reads settings.acountRegion`,
		`{"@liquid": "{% if payload.nmae %}x{% endif %}"}`:                                                          `/body/@liquid reads payload.nmae`,
		`{"@liquid": "{{ payload.name | sha265 }}"}`:                                                                `/body/@liquid unknown filter "sha265", which has no effect (did you mean "sha256"?)`,
		`{"@arrayPath": [{"@if": {"exists": {"@path": "$.payload.itms"}, "then": "x"}}, {"a": {"@path": "$.id"}}]}`: `/body/@arrayPath/0/@if/exists/@path reads payload.itms`,
		`{"@transform": {"apply": {"a": {"@path": "$.payload.name"}}, "mapping": {"b": {"@path": "$.b"}}}}`:         `/body/@transform/mapping/b/@path reads "b", but the names here are a`,
		`{"@transform": {"apply": {"a": {"@path": "$.payload.nmae"}}, "mapping": {"b": {"@path": "$.a"}}}}`:         `/body/@transform/apply/a/@path reads payload.nmae`,
		`{"@transform": {"apply": {"a": 1}, "mapping": {"b": {"@expr": "aa + 1"}}}}`:                                `/body/@transform/mapping/b/@expr reads "aa"`,

		`{"@expr": "settings.accountRegion == 'eu' ? payload.name : auth.accessToken"}`:                      "",
		`{"@expr": "map(payload.items, .id + settings.accountRegion)"}`:                                      "",
		`{"@expr": "let r = settings.accountRegion; r + '-1'"}`:                                              "",
		`{"@liquid": "{% assign x = payload.name %}{{ x.first | upcase }}"}`:                                 "",
		`{"@arrayPath": ["$.payload.items", {"a": {"@path": "$.anything"}, "b": {"@liquid": "{{ id }}"}}]}`:  "",
		`{"@transform": {"apply": {"@path": "$.payload.items"}, "mapping": {"b": {"@path": "$.anything"}}}}`: "",
	} {
		_, err := request.Compile(event.NewObject([]event.Member{
			{Key: "url", Value: event.NewString("https://api.example.com")}, {Key: "body", Value: event.MustParse(body)},
		}), names)
		if want == "" {
			assert.NoError(t, err, body)
			continue
		}
		assert.ErrorContains(t, err, want, body)
	}
}

// TestNamesBelow checks that the keys of objects below a name are validated as well.
func TestNamesBelow(t *testing.T) {
	names := request.Names{
		request.Payload: {"name", "any", "who", "open", "products"}, "payload.who": {"id", "home"}, "payload.who.home": {"city"},
		"payload.products[]": {"sku", "brand"}, "payload.products[].brand": {"id"},
	}
	for body, want := range map[string]string{
		`{"@path": "$.payload.who.uid"}`:                                         "/body/@path reads payload.who.uid, which does not exist",
		`{"@path": "$.payload.who.home.town"}`:                                   "/body/@path reads payload.who.home.town, which does not exist",
		`{"@expr": "lower(payload.who.idd)"}`:                                    `/body/@expr reads payload.who.idd, which does not exist (did you mean "id"?)`,
		`{"@expr": "map(payload.products, .skku)"}`:                              `/body/@expr reads payload.products[].skku, which does not exist (did you mean "sku"?)`,
		`{"@expr": "map(payload.products, .brand.idd)"}`:                         `/body/@expr reads payload.products[].brand.idd, which does not exist (did you mean "id"?)`,
		`{"@expr": "map(payload.who, .id)"}`:                                     `/body/@expr reads the items of payload.who, which is an object and not a list`,
		`{"@expr": "let p = payload.products; p[-1].skku"}`:                      `/body/@expr reads payload.products[].skku, which does not exist (did you mean "sku"?)`,
		`{"@expr": "payload.products[1].brand.idd"}`:                             `/body/@expr reads payload.products.1.brand.idd, which does not exist (did you mean "id"?)`,
		`{"@expr": "let w = payload.who; w.idd"}`:                                `/body/@expr reads payload.who.idd, which does not exist (did you mean "id"?)`,
		`{"@liquid": "{{ payload.products[1].skku }}"}`:                          `/body/@liquid reads payload.products.1.skku, which does not exist (did you mean "sku"?)`,
		`{"@liquid": "{{ payload.who.idd }}"}`:                                   `/body/@liquid reads payload.who.idd, which does not exist (did you mean "id"?)`,
		`{"@path": "$.payload.products.12.brand.idd"}`:                           "/body/@path reads payload.products.12.brand.idd, which does not exist",
		`{"@template": "{{payloads.0.who.uid}}"}`:                                "/body/@template reads payloads.0.who.uid, which does not exist",
		`{"@arrayPath": ["$.payload.products", {"s": {"@path": "$.sk"}}]}`:       `/body/@arrayPath/1/s/@path reads "sk", but the names here are brand, sku`,
		`{"@arrayPath": ["$.payload.products", {"s": {"@path": "$.brand.no"}}]}`: "/body/@arrayPath/1/s/@path reads brand.no, which does not exist",
		`{"@arrayPath": ["$.payloads", {"s": {"@path": "$.nmae"}}]}`:             `/body/@arrayPath/1/s/@path reads "nmae"`,
		`{"@arrayPath": ["$.payload.who", {"s": {"@path": "$.idd"}}]}`:           `/body/@arrayPath/1/s/@path reads "idd"`,

		`{"a": {"@path": "$.payload.who.home.city"}, "b": {"@path": "$.payload.any.x.y"}, "c": {"@path": "$.payload.open.x"}}`:                                                    "",
		`{"a": {"@path": "$.payload.products.length"}, "b": {"@path": "$.payload.products[1].brand.id"}, "c": {"@path": "$.payloads.1.name"}}`:                                    "",
		`{"a": {"@arrayPath": ["$.payload.products", {"s": {"@path": "$.sku"}, "b": {"@path": "$.brand.id"}}]}, "b": {"@arrayPath": ["$.payload.any", {"s": {"@path": "$.x"}}]}}`: "",
	} {
		_, err := request.Compile(event.NewObject([]event.Member{
			{Key: "url", Value: event.NewString("https://api.example.com")}, {Key: "batch", Value: event.NewObject(nil)}, {Key: "body", Value: event.MustParse(body)},
		}), names)
		if want == "" {
			assert.NoError(t, err, body)
		} else {
			assert.ErrorContains(t, err, want, body)
		}
	}
	_, err := request.Compile(event.MustParse(`{"steps":[{"name":"found","url":"https://api.example.com"},{"url":"https://api.example.com","body":{"@path":"$.answers.found.bdy.id"}}]}`), names)
	assert.ErrorContains(t, err, `/steps/1/body/@path reads answers.found.bdy, which does not exist (did you mean "body"?)`)
}

// TestSharedNames checks that payloads share a request only if all values that the request reads from payload are equal, or what it
// declares as alike.
func TestSharedNames(t *testing.T) {
	keyOf := func(r *request.Request, id int) string {
		key, err := r.SharedKey(event.MustParse(fmt.Sprintf(`{"payload":{"list":"l","id":%d}}`, id)))
		require.NoError(t, err)
		return key
	}
	for header, want := range map[string]bool{
		`{"@expr": "payload.list"}`:           true,
		`{"@expr": "payload[payload.which]"}`: false,
		`{"@liquid": "{{ payload.list }}"}`:   true,
		`{"@liquid": "{{ settings.list }}"}`:  true,
		`{"@liquid": "{{ payload.id }}"}`:     false,
	} {
		r, err := request.Compile(event.MustParse(`{"url": "https://api.example.com", "batch": {}, "headers": {"X-List": `+header+`}}`),
			request.Names{request.Settings: nil, request.Payload: nil})
		if assert.NoError(t, err, header) {
			assert.Equal(t, want, keyOf(r, 1) == keyOf(r, 2), header)
		}
	}
	r, err := request.Compile(event.MustParse(`{"url": "https://api.example.com", "batch": {"like": {"@expr": "payload.id > 1"}}, "headers": {"X-ID": {"@path": "$.payload.id"}}}`),
		request.Names{request.Settings: nil, request.Payload: nil})
	require.NoError(t, err)
	assert.Equal(t, keyOf(r, 2), keyOf(r, 3))
	assert.NotEqual(t, keyOf(r, 1), keyOf(r, 2))
}
