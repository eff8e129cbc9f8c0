package config_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime/config"
)

const webhookInstance = "\ndestinations: [{id: a, destination: webhook, subscriptions: []}]"

// TestEmptyKeysAndIDs checks that an empty key, or an id without a page, is a problem with its place.
func TestEmptyKeysAndIDs(t *testing.T) {
	const empty = " is empty: set a key, or leave writeKey out if the source receives no events over HTTP"
	for text, want := range map[string]string{
		`sources: [{id: web}]` + webhookInstance:                                                             "",
		`sources: [{id: web, writeKey: "${SECRET}"}]` + webhookInstance:                                      "",
		`sources: [{id: web, writeKey: ""}]` + webhookInstance:                                               "f:1:31: /sources/0/writeKey should not be empty",
		`sources: [{id: web, writeKey: "  "}]` + webhookInstance:                                             "f:1:31: /sources/0/writeKey" + empty,
		`sources: [{id: web, writeKey: "${NONE:-}"}]` + webhookInstance:                                      "f:1:31: /sources/0/writeKey" + empty,
		`sources: [{id: web, writeKey: "${NONE}"}]` + webhookInstance:                                        "f:1:31: /sources/0/writeKey needs the environment variable NONE, which is not set",
		`state: {url: ""}` + webhookInstance:                                                                 "f:1:14: /state/url should not be empty",
		`state: {url: "${NONE:-}"}` + webhookInstance:                                                        "f:1:14: /state/url is empty: set a URL, or leave state.url out for the state in the data directory",
		`state: {key: "${NONE:-}"}` + webhookInstance:                                                        "f:1:14: /state/key is empty: set a key, which landfall auth key makes, or leave state.key out",
		`state: {key: "file:blank"}` + webhookInstance:                                                       "f:1:14: /state/key is read from a file that is empty: write the value into it, or leave the setting out",
		`nats: {url: "${NONE:-}"}` + webhookInstance:                                                         "f:1:13: /nats/url is empty: set a URL, or leave nats out for a log on this machine",
		`nats: {url: " "}` + webhookInstance:                                                                 "f:1:13: /nats/url is empty: set a URL, or leave nats out for a log on this machine",
		`nats: {url: " ,"}` + webhookInstance:                                                                "f:1:13: /nats/url names no host: write nats://HOST:4222",
		`nats: {url: "nats://a", credentials: ""}` + webhookInstance:                                         "f:1:38: /nats/credentials should not be empty",
		`data: "  "` + webhookInstance:                                                                       "f:1:7: /data is blank: give a value, or leave it out",
		`ingest: {origins: ["", " "]}` + webhookInstance:                                                     "f:1:20: /ingest/origins/0 should not be empty\nf:1:24: /ingest/origins/1 is blank: give a value, or leave it out",
		`budgets: {"": {requestsPerSecond: 1}}` + webhookInstance:                                            "f:1:15: /budgets/ needs a name",
		`audienceSyncs: [{id: a, from: "${NONE:-}", query: q, every: 1h}]` + webhookInstance:                 "f:1:31: /audienceSyncs/0/from is empty: set the URL of a database",
		`tls: {acme: {domains: [a.b], email: ""}}` + webhookInstance:                                         "f:1:37: /tls/acme/email should not be empty",
		`destinations: [{id: a, destination: webhook, auth: {accessToken: "${NONE:-}"}, subscriptions: []}]`: "f:1:66: /destinations/0/auth/accessToken is empty: set a value, or leave it out",
		`destinations: [{id: " ", name: "", destination: webhook, settings: {a: " "}, subscriptions: []}]`:   "f:1:21: /destinations/0/id is blank: give a value, or leave it out",
		`state: {key: ""}` + webhookInstance:                                                                 "f:1:14: /state/key should not be empty",
		`destinations: [{id: "", destination: webhook, subscriptions: []}]`:                                  "f:1:21: /destinations/0/id should not be empty",
		`destinations: [{id: .., destination: webhook, subscriptions: []}]`:                                  `f:1:21: /destinations/0/id cannot be "..", which has no page in the console: add a letter or a digit`,
		`destinations: [{id: ".", destination: webhook, subscriptions: []}]`:                                 `f:1:21: /destinations/0/id cannot be ".", which has no page in the console: add a letter or a digit`,
		`destinations: [{id: ..., destination: webhook, subscriptions: []}]`:                                 "",
		`audienceSyncs: [{id: .., from: "sqlite:a", query: q, every: 1h}]` + webhookInstance:                 `f:1:22: /audienceSyncs/0/id cannot be "..", which has no page in the console: add a letter or a digit`,
	} {
		_, problems := config.Parse("f", []byte(text), env)
		assert.Equal(t, want, problems.Error(), text)
	}
}

// TestControlCharactersAreProblems checks that texts which can never match because of a control character are problems, also those of variables,
// and that queries and credentials may have several lines.
func TestControlCharactersAreProblems(t *testing.T) {
	const nul, line = " contains the control character U+0000, which cannot be used here: remove it", " contains a line break, which cannot be used here: write it on one line"
	values := config.Env{Lookup: func(name string) (string, bool) {
		return map[string]string{"NUL": "a\x00", "LINES": "a\nb"}[name], true
	}}
	for text, want := range map[string]string{
		`sources: [{id: "web\0"}]` + webhookInstance:                                                        "f:1:16: /sources/0/id" + nul,
		`sources: [{id: web, writeKey: "k\u0085"}]` + webhookInstance:                                       "f:1:31: /sources/0/writeKey contains the control character U+0085, which cannot be used here: remove it",
		`sources: [{id: web, writeKey: "${NUL}"}]` + webhookInstance:                                        "f:1:31: /sources/0/writeKey" + nul,
		`sources: [{id: web, writeKey: "${LINES}"}]` + webhookInstance:                                      "f:1:31: /sources/0/writeKey" + line,
		`state: {url: "postgres://a\0/b"}` + webhookInstance:                                                "f:1:14: /state/url" + nul,
		`data: "d\x7f"` + webhookInstance:                                                                   "f:1:7: /data contains the control character U+007F, which cannot be used here: remove it",
		`definitions: "d\n"` + webhookInstance:                                                              "f:1:14: /definitions" + line,
		`tls: {cert: "a\0", key: b}` + webhookInstance:                                                      "f:1:13: /tls/cert" + nul,
		`destinations: [{id: "a\tb", destination: webhook, subscriptions: []}]`:                             "f:1:21: /destinations/0/id contains the control character U+0009, which cannot be used here: remove it",
		`destinations: [{id: a, destination: webhook, auth: {accessToken: "${NUL}"}, subscriptions: []}]`:   "f:1:66: /destinations/0/auth/accessToken" + nul,
		`destinations: [{id: a, destination: webhook, auth: {accessToken: "${LINES}"}, subscriptions: []}]`: "",
		`audienceSyncs: [{id: a, from: "sqlite:a", query: "SELECT 1\n\t, 2", every: 1h}]` + webhookInstance: "",
		`audienceSyncs: [{id: a, from: "sqlite:a", query: "SELECT 1\0", every: 1h}]` + webhookInstance:      "f:1:50: /audienceSyncs/0/query" + nul,
	} {
		_, problems := config.Parse("f", []byte(text), values)
		assert.Equal(t, want, problems.Error(), text)
	}
}

// TestTextsWithoutEffect checks the warnings for variables that are not replaced, and for origins that no page has.
func TestTextsWithoutEffect(t *testing.T) {
	c, problems := config.Parse("f", []byte(`data: "${DATA}/a"
definitions: "$${DATA}"
ingest: {origins: [https://a.b, "*", "null", a.b, "https://*.a.b", https://a.b/c, "capacitor://localhost"]}
state: {key: "${SECRET}"}
destinations: [{id: a, destination: webhook, settings: {a: "${SECRET}", b: "${SECRET", c: ["x ${A B}"], d: "$${A B} $$ {}", e: "$$${SECRET}"}, subscriptions: [{action: send, mapping: {a: "${b} {{${c c}}}"}}]}]
`), env)
	require.Empty(t, problems)
	const braces = " contains ${ without the name of a variable, which stays as it is: write ${NAME} or ${NAME:-default}, or $${ for the text"
	const advice = ", which is the origin of no page: write a scheme and a host, such as https://www.example.com, or * for all"
	assert.Equal(t, strings.Join([]string{
		"f:1:7: /data contains ${DATA}, which is not replaced here: write the value itself",
		`f:3:46: /ingest/origins/3 is "a.b"` + advice,
		`f:3:51: /ingest/origins/4 is "https://*.a.b"` + advice,
		`f:3:68: /ingest/origins/5 is "https://a.b/c"` + advice,
		"f:5:76: /destinations/0/settings/b" + braces,
		"f:5:92: /destinations/0/settings/c/0" + braces,
	}, "\n"), c.Warnings().Error())
}

// TestNumbersInOtherNotations checks the warnings for numbers that YAML reads differently from JSON. Those of instances are warnings of plans.
func TestNumbersInOtherNotations(t *testing.T) {
	c, problems := config.Parse("f", []byte(`sources: [{id: 010, writeKey: 0x1F, eventsPerSecond: 1_000}]
delivery: {parallel: 010, maxBytes: 2_000_000, partitions: 16}
budgets: {b: {requestsPerSecond: 0o20}}
audienceSyncs: [{id: 07, from: "sqlite:a", query: q, every: 1h, maxRemove: 0x10}]
destinations:
  - id: 0b1
    destination: webhook
    limits: {requestsPerSecond: +5, background: .5}
    settings: {size: 010}
    audiences: {k: {settings: {size: 010}}}
    subscriptions: [{action: send, sampleRate: 1e-1, mapping: {a: 010}, hooks: {onMappingSave: {a: 010}}}]
`), env)
	require.Empty(t, problems)
	var found []string
	for _, w := range c.Warnings() {
		place, _, _ := strings.Cut(w.String(), ": write the number")
		found = append(found, place)
	}
	assert.Equal(t, []string{
		"f:1:54: /sources/0/eventsPerSecond is written 1_000 but read as the number 1000",
		"f:2:22: /delivery/parallel is written 010 but read as the number 8",
		"f:2:37: /delivery/maxBytes is written 2_000_000 but read as the number 2000000",
		"f:3:34: /budgets/b/requestsPerSecond is written 0o20 but read as the number 16",
		"f:4:76: /audienceSyncs/0/maxRemove is written 0x10 but read as the number 16",
		"f:8:33: /destinations/0/limits/requestsPerSecond is written +5 but read as the number 5",
		"f:8:49: /destinations/0/limits/background is written .5 but read as the number 0.5",
	}, found)
}
