package schemas_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/schemas"
)

func TestCheck(t *testing.T) {
	cases := []struct {
		kind schemas.Kind
		text string
		want []string
	}{
		{schemas.Config, `{"destinations":[{"id":"a","destination":"b","subscriptions":[{"action":"x","subscribe":"q"}]}]}`, nil},
		{schemas.Config, `{"destinations":[{"id":"a","destination":"b","subscriptions":[{"partnerAction":"x","destinationId":"from an export","mapping":{}}]}]}`, nil},
		{schemas.Config, `{"destinations":[{"id":"a","destination":"b","enabled":"no","subscriptions":[{"action":"x","enabled":"On"}]}]}`, []string{
			"/destinations/0/enabled should be a boolean but is a string: write false instead of no, without quotes",
			"/destinations/0/subscriptions/0/enabled should be a boolean but is a string: write true instead of On, without quotes",
		}},
		{schemas.Config, `[]`, []string{" should be an object but is an array"}},
		{schemas.Config, `{"destinations":[]}`, []string{"/destinations should not be empty"}},
		{schemas.Config, `{"destinatoins":[]}`, []string{` should have the key "destinations"`, `/destinatoins is not a known key (did you mean "destinations"?)`}},
		{schemas.Config, `{"destinations":[{"id":5,"destination":"b","subscribtions":[]}]}`, []string{
			`/destinations/0 should have the key "subscriptions"`,
			`/destinations/0/id should be a string but is a number`,
			`/destinations/0/subscribtions is not a known key (did you mean "subscriptions"?)`,
		}},
		{schemas.Config, `{"destinations":[{"id":"a","destination":"b","subscriptions":[{"syncMode":"all","action":"x"},{}]}]}`, []string{
			`/destinations/0/subscriptions/0/syncMode should be add, update, upsert, delete or mirror but is "all"`,
			`/destinations/0/subscriptions/1 should have one of the keys "action", "partnerAction"`,
		}},
		{schemas.Destination, `{"name":"A","slug":"A b","mode":"cloud","authentication":{"scheme":"custom","fields":{"k":{"label":"K","type":"strng"}}},"actions":{"a":{"title":"A","fields":{}}}}`, []string{
			`/authentication/fields/k/type should be string, text, number, integer, datetime, boolean, password or object but is "strng" (did you mean "string"?)`,
			`/slug should be lower-case letters and digits, with single hyphens between them, such as my-destination, but is "A b"`,
		}},
		{schemas.Destination, `{"name":"A","slug":"a","mode":"cloud","authentication":{"scheme":"none"},"actions":{"a":{"title":"A","fields":{"f":{"label":"F","type":"string","required":{"match":"all","conditions":[{"fieldKey":"x","operator":"is","value":1}]}}}}}}`, nil},
		{schemas.Fixture, `{"name":"n","mapping":{},"event":{},"expect":{"payload":{}}}`, nil},
		{schemas.Fixture, `{"name":"n","expect":{"paylaod":1}}`, []string{
			` should have one of the keys "mapping", "subscribe", "fields", "destination"`,
			`/expect/paylaod is not a known key (did you mean "payload"?)`,
		}},
		{schemas.Fixture, `{"name":"n","mapping":{},"expect":{}}`, []string{
			`/expect should not be empty: the keys here are payload, error, subscribed, valid, requests, results, payloads`,
		}},
		{schemas.Fixture, `{"name":"n","mapping":{},"responses":[{"status":200,"json":{}}],"expect":{"payload":1}}`, []string{
			`/responses/0/json is not a known key: the keys here are status, headers, body`,
		}},
		{schemas.Mapping, `{"a":{"@path":"$.x"},"b":{"@if":{"exists":{"@path":"x"},"then":[{"@case":{"operator":"up"}}]}}}`, nil},
		{schemas.Mapping, `{"a":{"@case":{"operator":"up"}}}`, []string{`/a/@case/operator should be lower or upper but is "up"`}},
	}
	for _, c := range cases {
		var got []string
		for _, p := range schemas.Check(c.kind, event.MustParse(c.text)) {
			got = append(got, p.Pointer+" "+p.Message)
		}
		assert.Equal(t, c.want, got, c.text)
	}
}

func TestEverySchemaHasATitleAndDescribesItsKeys(t *testing.T) {
	for _, kind := range schemas.Kinds() {
		v := event.MustParse(string(schemas.Text(kind)))
		assert.NotEmpty(t, v.Get("title").Str(), kind)
		for key, property := range v.Get("properties").Members() {
			if property.Get("$ref").Kind() == event.Absent {
				assert.NotEmpty(t, property.Get("description").Str(), "%s: %s", kind, key)
			}
		}
	}
}
