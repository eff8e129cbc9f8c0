package brazesandbox_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations/internal/brazesandbox"
)

// sdk sends what an SDK would send for a device, and returns the answer.
func (b braze) sdk(device, members string) string {
	b.Helper()
	return b.sdkWith("web-key", fmt.Sprintf(`{"api_key":"web-key","device_id":%q,"time":1795905177,"sdk_version":"6.13.0",%s}`, device, members))
}

func (b braze) sdkWith(key, body string) string {
	b.Helper()
	r, err := http.NewRequest("POST", b.url+"/api/v3/data/", strings.NewReader(body))
	require.NoError(b, err)
	r.Header.Set("X-Braze-Api-Key", key)
	r.Header.Set("Origin", "https://shop.example.com")
	status, text, header := b.send(r)
	assert.Equal(b, "*", header.Get("Access-Control-Allow-Origin"))
	return fmt.Sprint(status, " ", text)
}

// sdkEvent returns an event of an SDK; user may be "".
func sdkEvent(name, user, data string) string {
	e := fmt.Sprintf(`{"name":%q,"time":1795905177.059,"data":%s,"session_id":"s1"`, name, data)
	if user != "" {
		e += fmt.Sprintf(`,"user_id":%q`, user)
	}
	return e + "}"
}

// TestAnonymousUserOfAnSDKBecomesTheIdentifiedOne follows a visitor from the first page to the sign-in.
func TestAnonymousUserOfAnSDKBecomesTheIdentifiedOne(t *testing.T) {
	b := start(t, brazesandbox.Config{})
	answer := b.sdk("d1", `"respond_with":{"triggers":true,"config":{"config_time":0}},"events":[`+sdkEvent("ss", "", `{}`)+`,`+sdkEvent("ce", "", `{"n":"Page","p":{}}`)+`]`)
	assert.Contains(t, answer, `201 {"config":{`)
	assert.Contains(t, answer, `"triggers":[]`)
	assert.JSONEq(t, `[{"braze_id":"braze-000001","devices":["d1"],"events":["Page"]}]`, b.state("users"))

	b.call("POST", users, `{`+keys+`,"cohort_id":"before","cohort_changes":[{"user_ids":["u1"],"device_ids":["d1"]}]}`)
	assert.Equal(t, "201 {}", b.sdk("d1", `"respond_with":{"user_id":"u1","config":{"config_time":5}},"attributes":[{"user_id":"u1","email":"ann@example.com","custom":{"plan":"gold","gone":null}}],
		"events":[`+sdkEvent("p", "u1", `{"pid":"sku1","c":"EUR","p":"12.35","q":2,"pr":{}}`)+`]`))
	assert.JSONEq(t, `[{"external_id":"u1","braze_id":"braze-000001","devices":["d1"],"email":"ann@example.com","attributes":{"plan":"gold"},"events":["Page"],"purchases":["sku1"]}]`, b.state("users"))
	b.call("POST", users, `{`+keys+`,"cohort_id":"after","cohort_changes":[{"user_ids":["u1","u9"],"device_ids":["d1"]}]}`)
	assert.JSONEq(t, `{
		"before":{"name":"","members":{"user_ids":[],"device_ids":["d1"],"aliases":[]},"unknown":{"user_ids":["u1"],"device_ids":[],"aliases":[]}},
		"after":{"name":"","members":{"user_ids":["u1"],"device_ids":[],"aliases":[]},"unknown":{"user_ids":["u9"],"device_ids":["d1"],"aliases":[]}}}`, b.state("cohorts"))
}

// TestUsersOfOneDevice checks that a device's anonymous user is merged into a known user, and that later users do not get the data of
// earlier ones.
func TestUsersOfOneDevice(t *testing.T) {
	b := start(t, brazesandbox.Config{})
	b.rest("POST", "/users/track", `{"attributes":[{"external_id":"u1","plan":"gold"}]}`)
	b.sdk("d1", `"events":[`+sdkEvent("ce", "", `{"n":"Seen"}`)+`]`)
	b.sdk("d1", `"respond_with":{"user_id":"u1"}`)
	b.sdk("d1", `"respond_with":{"user_id":"u2"},"events":[`+sdkEvent("ce", "u1", `{"n":"Late"}`)+`,`+sdkEvent("ce", "u2", `{"n":"Next"}`)+`,`+sdkEvent("ce", "", `{"n":"Unnamed"}`)+`]`)
	assert.JSONEq(t, `[
		{"external_id":"u1","braze_id":"braze-000001","devices":["d1"],"attributes":{"plan":"gold"},"events":["Seen","Late"]},
		{"external_id":"u2","braze_id":"braze-000003","devices":["d1"],"events":["Next","Unnamed"]}]`, b.state("users"))
	assert.JSONEq(t, `[]`, b.state("warnings"))
}

func TestSDKEventsChangeAttributes(t *testing.T) {
	for _, c := range []struct{ name, events, attributes string }{
		{"set", `set {"key":"a","value":["x","y"]}`, `{"a":["x","y"]}`},
		{"add and remove", `set {"key":"a","value":["x"]}; add {"key":"a","value":"y"}; rem {"key":"a","value":"x"}`, `{"a":["y"]}`},
		{"add to nothing", `add {"key":"a","value":"y"}`, `{"a":["y"]}`},
		{"increment", `inc {"key":"n","value":2}; inc {"key":"n","value":-0.5}`, `{"n":1.5}`},
		{"merge", `ncam {"key":"o","value":{"a":1,"b":1}}; ncam {"key":"o","value":{"b":2}}`, `{"o":{"a":1,"b":2}}`},
		{"merge of a list", `ncam {"key":"o","value":[{"a":1}]}`, `{"o":[{"a":1}]}`},
		{"location", `lr {"latitude":52.5,"longitude":13.4}`, `{"current_location":{"latitude":52.5,"longitude":13.4}}`},
		{"custom location", `lcaa {"key":"home","latitude":1,"longitude":2}`, `{"home":{"latitude":1,"longitude":2}}`},
		{"custom location removed", `lcaa {"key":"home","latitude":1,"longitude":2}; lcar {"key":"home"}`, ``},
		{"subscription groups", `sgu {"group_id":"g1","status":"subscribed"}; sgu {"group_id":"g2","status":"subscribed"}; sgu {"group_id":"g1","status":"unsubscribed"}`,
			`{"subscription_groups":[{"subscription_group_id":"g2","subscription_state":"subscribed"},{"subscription_group_id":"g1","subscription_state":"unsubscribed"}]}`},
		{"alias", `uae {"a":"ann","l":"crm"}`, ``},
	} {
		b := start(t, brazesandbox.Config{})
		var events []string
		for _, e := range strings.Split(c.events, "; ") {
			name, data, _ := strings.Cut(e, " ")
			events = append(events, sdkEvent(name, "u1", data))
		}
		b.sdk("d1", `"events":[`+strings.Join(events, ",")+`]`)
		var attributes string
		if c.attributes != "" {
			attributes = `,"attributes":` + c.attributes
		}
		if c.name == "alias" {
			attributes = `,"user_aliases":[{"alias_name":"ann","alias_label":"crm"}]`
		}
		assert.JSONEq(t, `[{"external_id":"u1","braze_id":"braze-000001","devices":["d1"]`+attributes+`}]`, b.state("users"), c.name)
		assert.JSONEq(t, `[]`, b.state("warnings"), c.name)
	}
}

// TestInvalidObjectsOfAnSDK checks the warning of each kind of invalid object; the valid object beside it is stored.
func TestInvalidObjectsOfAnSDK(t *testing.T) {
	event := func(name, data string) string { return `"events":[` + sdkEvent(name, "u1", data) + `]` }
	attribute := func(members string) string { return `"attributes":[{"user_id":"u1",` + members + `}]` }
	for _, c := range []struct{ members, warning string }{
		{`"events":[5]`, "user_id has to be a text"},
		{`"events":[{"name":"ce","time":1,"user_id":7}]`, "user_id has to be a text"},
		{`"events":[{"name":7}]`, "field of the wrong type"},
		{`"events":[{"name":"ce","data":{"n":"x"},"session_id":"s"}]`, "time has to be"},
		{`"events":[{"name":"ce","time":1,"data":{"n":"x"}}]`, "session_id is missing"},
		{event("zz", `{}`), `"zz" is unknown`},
		{event("ce", `{"n":5}`), "field of the wrong type"},
		{event("ce", `{"n":""}`), "no name"},
		{event("ce", `{"n":"x","p":{"text":"`+strings.Repeat("x", 100_000)+`"}}`), "too large"},
		{event("p", `{"pid":"","c":"EUR","p":"1.00","q":1}`), "needs an id"},
		{event("p", `{"pid":"`+strings.Repeat("x", 256)+`","c":"EUR","p":"1.00","q":1}`), "at most 255"},
		{event("p", `{"pid":"a","c":"E","p":"1.00","q":1}`), "ISO 4217"},
		{event("p", `{"pid":"a","c":"EUR","p":"much","q":1}`), "price"},
		{event("p", `{"pid":"a","c":"EUR","p":1,"q":1}`), "wrong type"},
		{event("p", `{"pid":"a","c":"EUR","p":"1.00","q":101}`), "1 to 100"},
		{event("sgu", `{"group_id":"g","status":"maybe"}`), "subscribed or unsubscribed"},
		{event("uae", `{"a":"ann"}`), "a name and a label"},
		{event("lr", `{"latitude":91,"longitude":0}`), "latitude"},
		{event("lr", `{"latitude":-91,"longitude":0}`), "latitude"},
		{event("lr", `{"latitude":90,"longitude":181}`), "longitude"},
		{event("lr", `{"latitude":-90,"longitude":-181}`), "longitude"},
		{event("lr", `{"longitude":1}`), "latitude"},
		{event("lcaa", `{"key":"home","latitude":1}`), "longitude"},
		{event("set", `{"value":1}`), "needs a key"},
		{event("inc", `{"key":"n","value":"many"}`), "only numbers"},
		{attribute(`"email":5`), "email has to be a text"},
		{attribute(`"gender":"x"`), "gender has to be"},
		{attribute(`"dob":"1990-13-1"`), "dob has to be"},
		{attribute(`"push_subscribe":true`), "push_subscribe has to be"},
		{attribute(`"custom":[]`), "custom has to be an object"},
		{`"attributes":[{"user_id":"blocked"}]`, "blocked"},
	} {
		b := start(t, brazesandbox.Config{BlockedUsers: []string{"blocked"}})
		assert.Equal(t, "201 {}", b.sdk("d1", c.members), c.warning)
		warnings := b.state("warnings")
		assert.Contains(t, warnings, strings.ReplaceAll(c.warning, `"`, `\"`), c.members)
		assert.Contains(t, warnings, "of device d1: ")
		assert.NotContains(t, b.state("users"), "attributes")
	}
	b := start(t, brazesandbox.Config{})
	b.sdk("d1", `"events":[`+sdkEvent("zz", "u1", `{}`)+`,`+sdkEvent("ce", "u1", `{"n":"Good"}`)+`]`)
	assert.Contains(t, b.state("users"), `"events":["Good"]`)
}

func TestRefusedRequestsOfAnSDK(t *testing.T) {
	b := start(t, brazesandbox.Config{SDKKeys: []string{"web-key"}, BlockedUsers: []string{"blocked"}})
	assert.Equal(t, `201 {"error":"blacklisted"}`, b.sdk("d1", `"respond_with":{"user_id":"blocked"}`))
	assert.Equal(t, `201 {"error":"no_device_identifier"}`, b.sdkWith("web-key", `{"api_key":"web-key"}`))
	assert.Equal(t, `201 {"error":"invalid_api_key"}`, b.sdkWith("other", `{"api_key":"other","device_id":"d"}`))
	assert.Equal(t, `201 {"error":"invalid_api_key"}`, b.sdkWith("", `{"api_key":"web-key","device_id":"d"}`))
	assert.Equal(t, `400 {"message":"The request body must be a JSON object"}`, b.sdkWith("web-key", `[]`))
	assert.Empty(t, b.state("users"))
	r, err := http.NewRequest("OPTIONS", b.url+"/api/v3/data/", nil)
	require.NoError(t, err)
	r.Header.Set("Access-Control-Request-Headers", "content-type,x-braze-api-key")
	status, _, header := b.send(r)
	assert.Equal(t, 204, status)
	assert.Equal(t, "content-type,x-braze-api-key", header.Get("Access-Control-Allow-Headers"))
}

// TestUsersAreAssumedUntilAnAPIKnowsThem checks that a cohort alone has all its users, and that a refused request of an SDK changes nothing.
func TestUsersAreAssumedUntilAnAPIKnowsThem(t *testing.T) {
	b := start(t, brazesandbox.Config{SDKKeys: []string{"web-key"}})
	b.call("POST", users, `{`+keys+`,"cohort_id":"c","cohort_changes":[{"user_ids":["u1"]}]}`)
	b.sdkWith("other", `{"api_key":"other","device_id":"d"}`)
	assert.NotContains(t, b.state("cohorts"), "unknown")
	b.sdk("d1", `"respond_with":{"user_id":"u2"}`)
	assert.Contains(t, b.state("cohorts"), `"unknown":{"user_ids":["u1"]`)
}
