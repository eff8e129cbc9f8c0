package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/language/yamldoc"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

const withFiles = `
sources: [{id: web, writeKey: "file:web.key"}]
admin: {key: "file:admin.key"}
destinations:
  - {id: a, destination: webhook, settings: {secret: "file:a.key", headers: [{name: X, value: "credential:x"}]}, subscriptions: []}
  - {id: b, destination: webhook, settings: {secret: "${B}"}, subscriptions: []}
`

// TestReferencesToFilesAreNotAdded checks that a text of the console can refer to files only where the config file does, and that no other
// file is read.
func TestReferencesToFilesAreNotAdded(t *testing.T) {
	base, err := yamldoc.Parse("base", []byte(withFiles))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		text string
		read []string // the files
		at   string   // the pointer of the only problem; "" for none
	}{
		"the same": {withFiles, []string{"admin.key", "web.key", "a.key", "/creds/x"}, ""},
		"the instances in another order": {`
destinations:
  - {id: b, destination: webhook, settings: {secret: "${B}"}, subscriptions: []}
  - {id: a, destination: webhook, settings: {secret: "file:a.key"}, subscriptions: []}
`, []string{"a.key"}, ""},
		"another file":            {`destinations: [{id: a, destination: webhook, settings: {secret: "file:admin.key"}, subscriptions: []}]`, nil, "/destinations/0/settings/secret"},
		"of another instance":     {`destinations: [{id: b, destination: webhook, settings: {secret: "file:a.key"}, subscriptions: []}]`, nil, "/destinations/0/settings/secret"},
		"in another setting":      {`destinations: [{id: a, destination: webhook, settings: {url: "file:a.key"}, subscriptions: []}]`, nil, "/destinations/0/settings/url"},
		"in a new instance":       {`destinations: [{id: c, destination: webhook, settings: {x: {y: "credential:x"}}, subscriptions: []}]`, nil, "/destinations/0/settings/x/y"},
		"in the auth of one":      {`destinations: [{id: a, destination: webhook, auth: {accessToken: "file:a.key"}, subscriptions: []}]`, nil, "/destinations/0/auth/accessToken"},
		"as the key of the state": {`{state: {key: "file:admin.key"}, destinations: [{id: a, destination: b, subscriptions: [{action: x}]}]}`, nil, "/state/key"},
		"as a write key":          {`{sources: [{id: app, writeKey: "file:web.key"}], destinations: [{id: a, destination: b, subscriptions: [{action: x}]}]}`, nil, "/sources/0/writeKey"},
		"as an address":           {`{nats: {url: "file:/etc/passwd"}, destinations: [{id: a, destination: b, subscriptions: [{action: x}]}]}`, nil, "/nats/url"},
	} {
		var read []string
		env := config.Env{
			Base: base.Value(), ReadFile: func(path string) ([]byte, error) {
				read = append(read, path)
				return []byte("the content of " + path), nil
			},
			Lookup: func(name string) (string, bool) {
				return map[string]string{"B": "b", "CREDENTIALS_DIRECTORY": "/creds"}[name], true
			},
		}
		_, problems := config.Parse("landfall.yaml", []byte(c.text), env)
		assert.Equal(t, c.read, read, name)
		if c.at == "" {
			assert.Empty(t, problems, name)
			continue
		}
		require.Len(t, problems, 1, name)
		assert.Equal(t, c.at, problems[0].Pointer, name)
		assert.Contains(t, problems[0].Message, "only in the config file itself", name)
	}
}

func TestCredentialsOfSystemd(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "braze"), []byte("s3cret\n"), 0o600))
	for text, want := range map[string]string{
		"credential:braze":    "s3cret",
		"credential:none":     "cannot be read",
		"credential:":         "without a directory",
		"credential:../braze": "without a directory",
		"credential:..":       "without a directory",
	} {
		lookup := func(string) (string, bool) { return dir, true }
		c, problems := config.Parse("f", []byte(`{state: {key: "`+text+`"}, destinations: [{id: a, destination: b, subscriptions: [{action: x}]}]}`), config.Env{Lookup: lookup})
		if want == "s3cret" {
			require.Empty(t, problems)
			assert.Equal(t, want, c.StateKey)
			assert.Equal(t, []string{"s3cret"}, c.Secrets())
			continue
		}
		require.Len(t, problems, 1, text)
		assert.Contains(t, problems.Error(), want, text)
	}
	_, problems := config.Parse("f", []byte(`{state: {key: "credential:braze"}, destinations: [{id: a, destination: b, subscriptions: [{action: x}]}]}`), config.Env{Lookup: func(string) (string, bool) { return "", false }})
	assert.ErrorContains(t, problems, "add LoadCredential=braze:PATH to the unit")
}

// TestSecretsOfOtherInstances checks that a text of the console can refer to a sealed secret only in the instance that it was made for, and
// where the config file does.
func TestSecretsOfOtherInstances(t *testing.T) {
	base, err := yamldoc.Parse("base", []byte(`
destinations:
  - {id: a, destination: webhook, settings: {secret: "secret:a/secret"}, subscriptions: []}
  - {id: b, destination: webhook, settings: {secret: "secret:a/secret"}, subscriptions: []}
`))
	require.NoError(t, err)
	for text, want := range map[string]string{
		`{id: a, destination: webhook, settings: {secret: "secret:a/other"}, subscriptions: []}`:                       "",
		`{id: b, destination: webhook, settings: {secret: "secret:a/secret"}, subscriptions: []}`:                      "", // as in the file
		`{id: b, destination: webhook, settings: {url: "secret:a/secret"}, subscriptions: []}`:                         "is a secret of the instance a",
		`{id: c, destination: webhook, settings: {headers: [{name: X, value: "secret:a/secret"}]}, subscriptions: []}`: "is a secret of the instance a",
		`{id: c, destination: webhook, auth: {accessToken: "secret:a/secret"}, subscriptions: []}`:                     "is a secret of the instance a",
		`{id: c, destination: webhook, settings: {secret: "secret:ca/secret"}, subscriptions: []}`:                     "is a secret of the instance ca",
		`{id: c, destination: webhook, settings: {secret: "${NONE:-secret:a/secret}"}, subscriptions: []}`:             "write the reference itself",
		`{id: c, destination: webhook, settings: {secret: "${SEALED}"}, subscriptions: []}`:                            "write the reference itself",
	} {
		lookup := func(name string) (string, bool) { return map[string]string{"SEALED": "secret:a/secret"}[name], true }
		_, problems := config.Parse("landfall.yaml", []byte("destinations: ["+text+"]"), config.Env{Base: base.Value(), Lookup: lookup})
		if want == "" {
			assert.Empty(t, problems, text)
			continue
		}
		assert.ErrorContains(t, problems.Err(), want, text)
	}
}

// TestFingerprint checks that the fingerprint changes with the text and with the content of secret files.
func TestFingerprint(t *testing.T) {
	dir := t.TempDir()
	file, secret := filepath.Join(dir, "landfall.yaml"), filepath.Join(dir, "k")
	text := `{state: {key: "file:k"}, destinations: [{id: a, destination: b, subscriptions: [{action: x}]}]}`
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	require.NoError(t, os.WriteFile(secret, []byte("one"), 0o600))
	c, problems := config.Load(file, config.Env{})
	require.Empty(t, problems)
	loaded := c.LoadedFingerprint()
	assert.Equal(t, loaded, c.Fingerprint(text))
	assert.NotEqual(t, loaded, c.Fingerprint(text+" "))
	require.NoError(t, os.WriteFile(file, []byte(text+" "), 0o600))
	assert.Equal(t, loaded, c.LoadedFingerprint(), "a change after loading is a change, however soon it comes")
	require.NoError(t, os.WriteFile(secret, []byte("two"), 0o600))
	assert.NotEqual(t, loaded, c.Fingerprint(text))
	assert.Equal(t, loaded, c.LoadedFingerprint())
	assert.NotContains(t, c.Fingerprint(text), "two")
	require.NoError(t, os.Remove(secret))
	assert.Equal(t, loaded, c.Fingerprint(text), "one that cannot be read, such as while it is replaced")
}
