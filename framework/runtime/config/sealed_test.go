package config_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime/config"
)

func TestSealedSecrets(t *testing.T) {
	c, problems := config.Parse("landfall.yaml", []byte(`
destinations:
  - {id: a, destination: d, settings: {one: "secret:a/one", list: ["secret:a/two"], plain: "secret: of life"}, auth: {accessToken: "secret:a/token"}, subscriptions: []}
  - {id: b, destination: d, enabled: false, settings: {one: "secret:b/one"}, subscriptions: []}
`), config.Env{})
	require.Empty(t, problems)
	assert.True(t, c.HasSealed())
	assert.Len(t, c.Instances[0].UnopenedSecrets(), 3)
	assert.Empty(t, c.Instances[1].UnopenedSecrets(), "a disabled instance sends nothing")

	var names []string
	opened, problems := c.WithSealed(func(name string) (string, error) {
		names = append(names, name)
		return "value of " + name, nil
	})
	require.Empty(t, problems)
	assert.Equal(t, []string{"a/one", "a/two", "a/token"}, names)
	assert.Equal(t, "secret:b/one", opened.Instances[1].Settings.Get("one").Str())
	in := opened.Instances[0]
	assert.JSONEq(t, `{"one":"value of a/one","list":["value of a/two"],"plain":"secret: of life"}`, in.Settings.JSON())
	assert.Equal(t, "value of a/token", in.AccessToken)
	assert.Subset(t, opened.Secrets(), []string{"value of a/one", "value of a/two", "value of a/token"}, "they must not be logged")
	assert.NotEqual(t, c.Instances[0].Version(), in.Version())
	assert.Empty(t, c.Secrets(), "the config itself does not change")
	assert.Equal(t, "secret:a/one", c.Instances[0].Settings.Get("one").Str())

	_, problems = c.WithSealed(func(name string) (string, error) { return "", errors.New("is missing") })
	require.Len(t, problems, 3)
	assert.Equal(t, "/destinations/0/settings/one", problems[0].Pointer)
	assert.Equal(t, 3, problems[0].Line)
}

func TestSealedSecretsAreForInstancesOnly(t *testing.T) {
	for _, text := range []string{
		`{state: {key: "secret:a/b"}, destinations: [{id: a, destination: d, subscriptions: []}]}`,
		`{sources: [{id: web, writeKey: "secret:a/b"}], destinations: [{id: a, destination: d, subscriptions: []}]}`,
		`{admin: {key: "secret:a/b"}, destinations: [{id: a, destination: d, subscriptions: []}]}`,
	} {
		_, problems := config.Parse("landfall.yaml", []byte(text), config.Env{})
		assert.ErrorContains(t, problems.Err(), "cannot be a secret in the state", text)
	}
}
