package destinations_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// badInput is a subscription of a destination, and what invalid input to it gives. Reasons are parts of what the verdict says.
type badInput struct {
	slug, settings, subscription string
	event                        string          // of the user USER with the address MAIL and the phone number TEL
	unidentified                 string          // the reason if nothing identifies the user; "" if the remote needs no identifier
	mail, phone                  string          // the reason if the address or the number is invalid; "" if the remote takes it, or it is hashed
	wrong, wrongSays             string          // settings that are wrong, and a part of the mistake
	expired                      string          // the response if the token has expired; by default with status 401
	partial, partialSays         string          // a response that refuses the second of three events, and the reason; "" if the remote has none
	others                       runtime.Outcome // what happens to the other two, if they are not delivered
}

// newPlan returns a plan with a token, a memory for audiences, and a remote.
func newPlan(entry destination.Entry, settings, subscription string, remote http.RoundTripper) (*runtime.Plan, error) {
	instance, err := event.ParseString(`{"id":"a","destination":"` + entry.Definition.Slug + `","settings":` + settings + `,"subscriptions":[` + subscription + `]}`)
	if err != nil {
		return nil, err
	}
	return runtime.New(entry.Plugin, entry.Definition, config.InstanceOf(instance), runtime.Host{
		Transport: remote, State: destination.NewMemoryState(), Members: destination.NewMemoryMembers(),
		Env:   func(string) (string, bool) { return "partner-key", true },
		Token: func(context.Context, string, string) (string, error) { return "token", nil },
	})
}

// person returns the event of user n. mail and phone replace the valid ones.
func (c badInput) person(n int, mail, phone string) string {
	user := fmt.Sprintf("user%05d", n)
	if mail == "" {
		mail = user + "@example.com"
	}
	if phone == "" {
		phone = fmt.Sprintf("+4915112%06d", n)
	}
	return strings.NewReplacer("USER", user, "MAIL", mail, "TEL", phone).Replace(c.event)
}

// people returns the events of n users, from user 0.
func (c badInput) people(n int) []string {
	events := make([]string, n)
	for i := range events {
		events[i] = c.person(i, "", "")
	}
	return events
}

var identifyingMembers = regexp.MustCompile(`"[A-Za-z_]+":"(USER|MAIL|TEL)",?`)

// withoutIdentifiers returns the event without what identifies its user.
func (c badInput) withoutIdentifiers() string {
	return strings.ReplaceAll(identifyingMembers.ReplaceAllString(c.event, ""), ",}", "}")
}

const (
	orderOf    = `{"type":"track","event":"Ordered","messageId":"m-USER","userId":"USER","timestamp":"2026-01-02T03:04:05Z","properties":{"email":"MAIL","phone":"TEL","total":1},"context":{"traits":{"email":"MAIL","phone":"TEL"}}}`
	identifyOf = `{"type":"identify","messageId":"m-USER","userId":"USER","timestamp":"2026-01-02T03:04:05Z","traits":{"email":"MAIL","phone":"TEL"}}`
	entryOf    = `{"type":"track","event":"Audience Entered","messageId":"m-USER","userId":"USER","timestamp":"2026-01-02T03:04:05Z","properties":{"audience_key":"vip","vip":true,"email":"MAIL","phone":"TEL"},
		"context":{"traits":{"email":"MAIL","phone":"TEL"},"personas":{"computation_class":"audience","computation_id":"aud_1","computation_key":"vip","external_audience_id":"12","audience_settings":{"advertiserId":"7"}}}}`
	notAnAddress = "should be an email address"
)

// badInputCases has a case for each destination.
func badInputCases() []badInput {
	track := func(rest string) string { return `{"subscribe":"type = \"track\"",` + rest + `}` }
	people := func(rest string) string { return `{"subscribe":"type = \"identify\"",` + rest + `}` }
	return []badInput{
		{
			slug: "amplitude", settings: `{"apiKey":"k","secretKey":"s"}`, subscription: track(`"action":"logEventV2"`), event: orderOf,
			unidentified: "user_id", wrong: `{"apiKey":"k","secretKey":"s","endpoint":"moon"}`, wrongSays: "Endpoint Region should be",
		},
		{
			slug: "braze", settings: `{"endpoint":"https://rest.iad-01.braze.com","api_key":"k","app_id":"a"}`, subscription: people(`"action":"updateUserProfile"`), event: identifyOf,
			unidentified: "no identifier", wrong: `{"endpoint":"ftp://x","api_key":"k"}`, wrongSays: "REST Endpoint should be",
			partial: `201 {"message":"success","errors":[{"type":"no such user","input_array":"attributes","index":1}]}`, partialSays: "no such user",
		},
		{
			slug: "braze-cohorts", settings: `{"endpoint":"https://rest.iad-01.braze.com","client_secret":"s"}`, subscription: track(`"action":"syncAudiences","mapping":{"personas_audience_key":"vip"}`), event: entryOf,
			unidentified: "no identifier", wrong: `{"endpoint":"x","client_secret":"s"}`, wrongSays: "REST Endpoint should be",
		},
		{
			slug: "criteo-audiences", settings: `{"client_id":"c","client_secret":"s","advertiser_id":"9"}`, subscription: track(`"action":"addUserToAudience"`), event: entryOf,
			unidentified: "no identifier", wrong: `{"client_id":"c","client_secret":"s"}`, wrongSays: "Advertiser ID is required",
		},
		{
			slug: "customerio", settings: `{"siteId":"s","apiKey":"k"}`, subscription: people(`"action":"createUpdatePerson"`), event: identifyOf,
			unidentified: "identifiers", wrong: `{"siteId":"s","apiKey":"k","accountRegion":"XX"}`, wrongSays: "Account Region should be",
			partial: `207 {"errors":[{"batch_index":1,"reason":"invalid","field":"id","message":"no such person"}]}`, partialSays: "no such person",
		},
		{
			slug: "facebook-conversions-api", settings: `{"pixelId":"1","accessToken":"t"}`,
			subscription: track(`"action":"purchase2","syncMode":"add","mapping":{"action_source":"physical_store","currency":"USD","value":1,"user_data":{"email":{"@path":"$.properties.email"}}}`), event: orderOf,
			unidentified: "user_data", wrong: `{"accessToken":"t"}`, wrongSays: "Pixel ID is required",
		},
		{
			slug: "facebook-custom-audiences", settings: `{"retlAdAccountId":"1"}`, subscription: track(`"action":"sync"`), event: entryOf,
			unidentified: "External ID is required", wrong: `{}`, wrongSays: "Advertiser Account ID is required",
		},
		{
			slug: "google-analytics-4", settings: `{"measurementId":"G-1","apiSecret":"s"}`, subscription: track(`"action":"customEvent"`), event: orderOf,
			unidentified: "Client ID is required", wrong: `{"measurementId":"G-1"}`, wrongSays: "API Secret is required",
		},
		{
			slug: "hubspot", settings: `{}`, subscription: people(`"action":"upsertContact"`), event: identifyOf,
			unidentified: "Email Address is required", mail: notAnAddress, wrong: `{"portal":"1"}`, wrongSays: "/settings/portal",
		},
		{
			slug: "intercom", settings: `{}`, subscription: people(`"action":"identifyContact","mapping":{"role":"user"}`), event: identifyOf,
			mail: notAnAddress, wrong: `{"account":"1"}`, wrongSays: "/settings/account",
		},
		{
			slug: "iterable", settings: `{"apiKey":"k"}`, subscription: people(`"action":"updateUser"`), event: identifyOf,
			unidentified: "required", mail: notAnAddress, wrong: `{"apiKey":"k","dataCenterLocation":"moon"}`, wrongSays: "should be",
			partial: `200 {"successCount":2,"failCount":1,"invalidEmails":["user00002@example.com"]}`, partialSays: "user00002@example.com",
		},
		{
			slug: "iterable-lists", settings: `{"apiKey":"k"}`, subscription: track(`"action":"syncAudience"`), event: entryOf,
			unidentified: "no identifier", wrong: `{}`, wrongSays: "API Key is required",
			partial: `200 {"successCount":2,"failCount":1,"invalidEmails":["user00002@example.com"]}`, partialSays: "user00002@example.com",
		},
		{
			slug: "klaviyo", settings: `{"api_key":"k"}`, subscription: track(`"action":"trackEvent","mapping":{"profile":{"email":{"@path":"$.properties.email"},"phone_number":{"@path":"$.properties.phone"}}}`), event: orderOf,
			unidentified: "required", mail: notAnAddress, phone: "Phone Number", wrong: `{"apiKey":"k"}`, wrongSays: "API Key",
			partial: `400 {"errors":[{"status":400,"detail":"no such metric","source":{"pointer":"/data/attributes/events-bulk-create/data/1/attributes"}}]}`, partialSays: "no such metric", others: runtime.Retry,
		},
		{
			slug: "linkedin-audiences", settings: `{"ad_account_id":"1","send_email":true,"send_google_advertising_id":true}`, subscription: track(`"action":"updateAudience"`), event: entryOf,
			unidentified: "no identifier", wrong: `{"ad_account_id":"1","send_email":"perhaps"}`, wrongSays: "Send Email should be",
			partial: `200 {"elements":[{"id":4,"status":201},{"status":400,"message":"no such user"},{"status":201}]}`, partialSays: "no such user",
		},
		{
			slug: "linkedin-conversions", settings: `{}`, subscription: track(`"action":"streamConversion","mapping":{"email":{"@path":"$.context.traits.email"},"conversionHappenedAt":"2035-01-02T03:04:05Z","onMappingSave":{"inputs":{"adAccountId":"urn:li:sponsoredAccount:1"},"outputs":{"id":"7"}}}`), event: orderOf,
			unidentified: "is required", wrong: `{"account":"1"}`, wrongSays: "/settings/account",
			partial: `207 {"elements":[{"status":201},{"status":400,"error":{"message":"no such rule"}},{"status":201}]}`, partialSays: "no such rule",
		},
		{
			slug: "marketo-static-lists", settings: `{"client_id":"c","client_secret":"s","api_endpoint":"https://m.example/rest","folder_name":"F"}`, subscription: track(`"action":"addToList"`), event: entryOf,
			unidentified: "Lead Fields has no value", wrong: `{"client_id":"c","client_secret":"s","folder_name":"F"}`, wrongSays: "REST Endpoint is required", expired: `200 {"success":false,"errors":[{"code":"602","message":"the token has expired"}]}`,
		},
		{
			slug: "mixpanel", settings: `{"projectToken":"p","apiSecret":"s"}`, subscription: track(`"action":"trackEvent"`), event: orderOf,
			wrong: `{"projectToken":"p","apiSecret":"s","apiRegion":"XX"}`, wrongSays: "should be",
			partial:     `400 {"code":400,"error":"some data points in the request failed validation","failed_records":[{"index":1,"insert_id":"x","field":"properties.time","message":"no such time"}],"num_records_imported":2,"status":"Bad Request"}`,
			partialSays: "no such time",
		},
		{
			slug: "moengage", settings: `{"api_id":"a","api_key":"k","region":"DC_01"}`, subscription: track(`"action":"trackEvent"`), event: orderOf,
			unidentified: "user_id", wrong: `{"api_id":"a","api_key":"k","region":"DC_09"}`, wrongSays: "Region should be",
		},
		{
			slug: "sendgrid", settings: `{"sendGridApiKey":"k","endpoint":"https://api.sendgrid.com"}`, subscription: people(`"action":"updateUserProfile"`), event: identifyOf,
			unidentified: "is required", wrong: `{"sendGridApiKey":"k","endpoint":"https://example.com"}`, wrongSays: "Region should be",
		},
		{
			slug: "slack", settings: `{}`, subscription: track(`"action":"postToChannel","mapping":{"url":"https://hooks.slack.com/services/T/B/X","text":{"@template":"{{userId}} ordered"}}`), event: orderOf,
			wrong: `{"url":"x"}`, wrongSays: "/settings/url",
		},
		{
			slug: "snap-conversions-api", settings: `{"pixel_id":"1"}`, subscription: track(`"action":"reportConversionEvent","mapping":{"event_name":"PURCHASE","action_source":"website"}`), event: orderOf,
			unidentified: "is required", wrong: `{"pixel":"1"}`, wrongSays: "/settings/pixel",
		},
		{
			slug: "tiktok-audiences", settings: `{}`, subscription: track(`"action":"addToAudience"`), event: entryOf,
			unidentified: "no identifier", wrong: `{"advertiser_ids":{"a":1}}`, wrongSays: "TikTok Advertiser IDs 1 should be",
			expired: `200 {"code":40105,"message":"the token has expired"}`,
		},
		{
			slug: "tiktok-conversions", settings: `{"accessToken":"t","pixelCode":"P"}`, subscription: track(`"action":"reportWebEvent","mapping":{"contents":[]}`), event: orderOf,
			wrong: `{"accessToken":"t"}`, wrongSays: "Pixel Code is required", expired: `200 {"code":40105,"message":"the token has expired"}`,
		},
		{
			slug: "webhook", settings: `{}`, subscription: track(`"action":"send","mapping":{"url":"https://hook.example.com/x"}`), event: orderOf,
			wrong: `{"sharedSecret":{}}`, wrongSays: "should be",
		},
	}
}
