package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime/config"
)

const oneInstance = "\ndestinations: [{id: a, destination: b, subscriptions: [{action: x}]}]\n"

func TestAdmin(t *testing.T) {
	for text, want := range map[string]string{
		"admin: {key: k}":                                                    "",
		`admin: {key: "${NOPE}"}`:                                            "f:1:14: /admin/key needs the environment variable NOPE, which is not set",
		`admin: {key: "${EMPTY:-}"}`:                                         "f:1:14: /admin/key is empty: set a key, or leave admin.key out if there is none",
		`admin: {key: " "}`:                                                  "f:1:14: /admin/key is empty: set a key, or leave admin.key out if there is none",
		`admin: {key: ""}`:                                                   "f:1:14: /admin/key should not be empty",
		"admin: {listen: 127.0.0.1:9000}":                                    "",
		"admin: {listen: localhost:9000}":                                    "",
		`admin: {listen: "[::1]:9000"}`:                                      "",
		"admin: {listen: unix:/run/l.sock}":                                  "",
		"admin: {listen: ingest, key: k}":                                    "",
		"admin: {listen: 0.0.0.0:9000, key: k}":                              "",
		"admin: {listen: ingest}":                                            "f:1:17: /admin/listen puts the console and the admin API on the port that accepts events, which requires admin.key: set one, or leave admin.listen out",
		"admin: {listen: 0.0.0.0:9000}":                                      "f:1:17: /admin/listen can be reached from other machines, which requires admin.key: set one, or listen on 127.0.0.1",
		`admin: {listen: ":9000"}`:                                           "f:1:17: /admin/listen can be reached from other machines, which requires admin.key: set one, or listen on 127.0.0.1",
		`admin: {listen: "[::]:9000"}`:                                       "f:1:17: /admin/listen can be reached from other machines, which requires admin.key: set one, or listen on 127.0.0.1",
		"admin: {listen: landfall.internal:9000}":                            "f:1:17: /admin/listen can be reached from other machines, which requires admin.key: set one, or listen on 127.0.0.1",
		`admin: {listen: "9000"}`:                                            "f:1:17: /admin/listen should be an address such as 127.0.0.1:8081, unix:PATH, or ingest",
		"admin: {listen: 'unix:'}":                                           "f:1:17: /admin/listen should name the socket, as unix:/run/landfall/admin.sock",
		"trustedProxies: [10.0.0.0/8, ::1]":                                  "",
		"tls: {cert: c, key: k}":                                             "",
		"tls: {acme: {domains: [events.example.com], email: a@example.com}}": "",
		"tls: {}": `f:1:6: /tls should have either cert and key, or acme`,
		"tls: {cert: c, acme: {domains: [a.example]}}":                         `f:1:6: /tls should have either cert and key, or acme`,
		"tls: {acme: {domains: ['*.example.com']}}":                            `f:1:24: /tls/acme/domains/0 should be a domain such as events.example.com, without a wildcard, but is "*.example.com"`,
		"tls: {acme: {domains: [localhost]}}":                                  `f:1:24: /tls/acme/domains/0 should be a domain such as events.example.com, without a wildcard, but is "localhost"`,
		"tls: {acme: {domains: [a.example], directory: 'http://ca'}}":          `f:1:47: /tls/acme/directory should be the https URL of an authority's directory`,
		"tls: {acme: {domains: [a.example]}}\nadmin: {listen: ingest, key: k}": "f:2:17: /admin/listen cannot be combined with tls, since local commands do not know the certificate: leave it out, and reach the console through an SSH tunnel",
		"tls: {cert: c}": `f:1:6: /tls should have the key "key"`,
		"tls: {cert: c, key: k}\nadmin: {listen: ingest, key: k}": "f:2:17: /admin/listen cannot be combined with tls, since local commands do not know the certificate: leave it out, and reach the console through an SSH tunnel",
		"proxyProtocol: true":                             "f:1:16: /proxyProtocol requires trustedProxies, the networks of the proxies that send the header",
		"proxyProtocol: true\ntrustedProxies: [10.0.0.1]": "",
		"trustedProxies: [10.0.0.0/8, proxy]":             "f:1:30: /trustedProxies/1 should be a network such as 10.0.0.0/8 or an address such as 10.0.0.7",
		"trustedProxies: [0.0.0.0/0]":                     "f:1:18: /trustedProxies/0 would trust every address, so that clients could fake theirs: give only the networks of your proxies",
	} {
		_, problems := config.Parse("f", []byte(text+oneInstance), env)
		got := ""
		if len(problems) > 0 {
			got = problems.Error()
		}
		assert.Equal(t, want, got, text)
	}
}

// TestUnreadableAdminKey checks that a key that cannot be read does not count as no key.
func TestUnreadableAdminKey(t *testing.T) {
	for _, text := range []string{`admin: {key: "${NOPE}"}` + oneInstance, "admin: {key: 5}" + oneInstance, "admin: {key: k}\n", `admin: {key: "file:none"}` + oneInstance} {
		c, problems := config.Parse("f", []byte(text), env)
		require.NotEmpty(t, problems, text)
		assert.True(t, c.Server.HasAdminKey, text)
	}
	c, problems := config.Parse("f", []byte("admin: {key: ' k '}\ntrustedProxies: [10.1.2.3/8]"+oneInstance), env)
	require.Empty(t, problems)
	assert.Equal(t, "k", c.Server.AdminKey)
	assert.Equal(t, "[10.0.0.0/8]", fmt.Sprint(c.Server.TrustedProxies))
}

func TestPublicURLIsTheURLOfAServer(t *testing.T) {
	for _, text := range []string{"events.example", "//events.example", "https://events.example:x", "https://%zz", "ftp://events.example", "https://", "https://u:p@events.example", "https://events.example?a=1", "https://events.example/#a"} {
		_, problems := config.Parse("landfall.yaml", []byte("ingest: {publicURL: \""+text+"\"}\ndestinations: [{id: a, destination: webhook}]\n"), config.Env{})
		assert.Contains(t, problems.Error(), "/ingest/publicURL", text)
	}
}

func TestACMEIsRead(t *testing.T) {
	const text = "tls: {acme: {domains: [a.example, b.example], email: ops@example.com, directory: 'https://ca.example/dir', roots: roots.pem}}"
	cfg, problems := config.Parse("f", []byte(text+"\ndestinations: [{id: a, destination: webhook, subscriptions: []}]\n"), config.Env{})
	require.Empty(t, problems)
	assert.Equal(t, config.ACME{Domains: []string{"a.example", "b.example"}, Email: "ops@example.com", Directory: "https://ca.example/dir", Roots: "roots.pem"}, cfg.Server.ACME)
	assert.True(t, cfg.Server.HasTLS())
}

func TestDomainsOfCertificates(t *testing.T) {
	long := strings.Repeat("a", 63)
	for domain, ok := range map[string]bool{
		"a.example": true, "x-1.a.example": true, long + ".example": true, "example": false, "a..example": false, ".example": false, "a.example.": false, "-a.example": false, "a-.example": false,
		"a_b.example": false, "*.example": false, long + "a.example": false, strings.Repeat("abcdefghi.", 25) + "abc": true, strings.Repeat("abcdefghi.", 25) + "abcd": false,
	} {
		_, problems := config.Parse("f", []byte("tls: {acme: {domains: ['"+domain+"']}}\ndestinations: [{id: a, destination: webhook, subscriptions: []}]\n"), config.Env{})
		assert.Equal(t, ok, len(problems) == 0, "%s: %v", domain, problems)
	}
}

// TestSourcesThatEraseNeedAKey checks that a config refuses a source that could not request an erasure.
func TestSourcesThatEraseNeedAKey(t *testing.T) {
	_, problems := config.Parse("landfall.yaml", []byte("sources: [{id: web, writeKey: k, erases: true}]\ndestinations: [{id: a, destination: webhook, subscriptions: []}]"), config.Env{})
	require.Len(t, problems, 1)
	assert.Equal(t, "/sources/0/erases", problems[0].Pointer)
	assert.Contains(t, problems[0].Message, "landfall auth key")
}
