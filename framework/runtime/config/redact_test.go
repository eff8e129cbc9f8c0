package config_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// TestSecretsOfAConfigAreRedacted checks which texts of a config are hidden on the review page.
func TestSecretsOfAConfigAreRedacted(t *testing.T) {
	root := event.MustParse(`{"sources":[{"id":"web","writeKey":"write-1"},{"id":"app","writeKey":"${WRITE_KEY}"}],"state":{"url":"postgres://u:pw@h/d","key":"file:/run/key"},"admin":{"key":"admin-1"},
		"nats":{"url":"nats://pw@h","options":{"user":"nats-user","token":"nats-token"}},
		"destinations":[{"id":"public-id","settings":{"client_secret":"secret-1","region":"eu","nested":{"api_key":["list-1",{"deep":"deep-1"}]},"empty_secret":""},"auth":{"clientId":"public-client","clientSecret":"secret-1-longer"},
			"subscriptions":[{"mapping":{"token":"not-a-setting"}}]}]}`)
	secrets := config.LiteralSecrets(root)
	assert.ElementsMatch(t, []string{"postgres://u:pw@h/d", "secret-1-longer", "nats://pw@h", "nats-token", "write-1", "admin-1", "secret-1", "list-1", "deep-1"}, secrets)
	assert.IsDecreasing(t, []int{len(secrets[0]), len(secrets[1]), len(secrets[2]), len(secrets[3]), len(secrets[4])}, "a secret that contains another is replaced first")
	assert.Equal(t, "a [hidden] and [hidden]: public-id", config.RedactSecrets("a secret-1-longer and secret-1: public-id", config.LiteralSecrets(root)))
	assert.Empty(t, config.LiteralSecrets(event.NewObject(nil)))
}

const secretConfig = `# the old secret was plain-secret-1, ask Ana
sources: [{id: web, writeKey: 12345678}, {id: app, writeKey: "${KEY}"}]
state: {url: "postgres://u:pw@db/landfall"}
destinations:
  - id: hook # ours
    destination: webhook
    settings:
      secret: plain-secret-1
      headers: [{name: Authorization, value: Bearer abcdefgh}, {name: X-Team, value: growth}]
    subscriptions: [{name: All, action: send, subscribe: 'type = "track"', mapping: {url: "https://example.com/", token: kept}}]
audienceSyncs:
  - {id: vip, from: "mysql://me:db-password@db/shop", query: "select 1"}
`

// TestReferencesAreNotSecrets checks which texts at the place of a secret are shown.
func TestReferencesAreNotSecrets(t *testing.T) {
	for text, shown := range map[string]bool{
		"${KEY}": true, "file:/run/key": true, "credential:key": true, "secret:main/key": true, "postgres://u:${PW}@db/x": true, "": true,
		"literal": false, "${KEY:-literal}": false, "literal-${KEY}": false, "exec:vault read -token=literal": false, "postgres://u:literal@db/x": false, "postgres://u:${PW:-literal}@db/x": false,
	} {
		root := event.NewObject([]event.Member{{Key: "state", Value: event.NewObject([]event.Member{{Key: "url", Value: event.NewString(text)}})}})
		assert.Equal(t, shown, len(config.LiteralSecrets(root)) == 0, text)
	}
}

// TestTextsAreRedactedAndRestored checks that a text loses its secrets, in comments, too, and keeps the rest, and that the secrets of
// another config with the same elements are put back.
func TestTextsAreRedactedAndRestored(t *testing.T) {
	redacted, err := config.RedactText("landfall.yaml", []byte(secretConfig))
	require.NoError(t, err)
	for _, secret := range []string{"12345678", "plain-secret-1", "pw@db", "abcdefgh", "db-password"} {
		assert.NotContains(t, string(redacted), secret)
	}
	for _, kept := range []string{"ask Ana", "# ours", `"${KEY}"`, "growth", "token: kept", "https://example.com/"} {
		assert.Contains(t, string(redacted), kept)
	}
	doc, err := yamldoc.Parse("landfall.yaml", []byte(strings.Replace(secretConfig, "plain-secret-1\n", "a-newer-secret\n", 1)))
	require.NoError(t, err)
	text, missing, err := config.RestoreSecrets("landfall.yaml", redacted, doc.Value())
	require.NoError(t, err)
	assert.Empty(t, missing)
	restored, err := yamldoc.Parse("landfall.yaml", text)
	require.NoError(t, err)
	assert.JSONEq(t, doc.Value().JSON(), restored.Value().JSON())
	assert.Contains(t, string(text), "# ours")

	_, missing, err = config.RestoreSecrets("landfall.yaml", redacted, event.MustParse(`{"sources":[{"id":"other","writeKey":"x"}],"state":{"url":"u"}}`))
	require.NoError(t, err)
	assert.Equal(t, []string{"/sources/0/writeKey", "/destinations/0/settings/secret", "/destinations/0/settings/headers/0/value", "/audienceSyncs/0/from"}, missing)
	_, err = config.RedactText("landfall.yaml", []byte("a: ["))
	assert.Error(t, err)
}
