package config_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime/config"
)

var env = config.Env{
	Lookup: func(name string) (string, bool) {
		v, ok := map[string]string{"SECRET": "s3cret", "EMPTY": ""}[name]
		return v, ok
	},
	ReadFile: func(path string) ([]byte, error) {
		switch path {
		case "./key":
			return []byte("from a file\n"), nil
		case "blank":
			return []byte("\n"), nil
		}
		return nil, os.ErrNotExist
	},
}

func TestParse(t *testing.T) {
	c, problems := config.Parse("landfall.yaml", []byte(`
sources: [{id: engage, writeKey: "${SECRET}"}]
destinations:
  - id: main
    destination: braze-cohorts
    sources: [engage]
    settings: {a: "x-${SECRET}-y", b: "file:./key", c: "${EMPTY:-fallback}", d: "$$5 $.x {{y}}", e: 5, f: ["${SECRET}"]}
    subscriptions:
      - {name: VIP, action: sync, subscribe: 'event = "A"', mapping: {k: "${NOT_READ}", p: {"@path": $.userId}}}
      - {partnerAction: sync, enabled: false, useDefaultMappings: false, destinationSlug: from an export}
`), env)
	require.Empty(t, problems)
	assert.Equal(t, []config.Source{{ID: "engage", WriteKey: "s3cret"}}, c.Sources)
	in := c.Instances[0]
	assert.Equal(t, `{"a":"x-s3cret-y","b":"from a file","c":"fallback","d":"$5 $.x {{y}}","e":5,"f":["s3cret"]}`, in.Settings.JSON())
	assert.True(t, in.Enabled)
	first, second := in.Subscriptions[0], in.Subscriptions[1]
	assert.Equal(t, `{"k":"${NOT_READ}","p":{"@path":"$.userId"}}`, first.Mapping.JSON())
	assert.True(t, first.Enabled && first.UseDefaultMappings)
	assert.Equal(t, "sync 2", second.Name)
	assert.False(t, second.Enabled || second.UseDefaultMappings)
	assert.Equal(t, "partnerAction", second.ActionKey)
	assert.Equal(t, "/destinations/0/subscriptions/1", second.Pointer)
	assert.ElementsMatch(t, []string{"s3cret", "s3cret", "s3cret", "from a file"}, c.Secrets())
}

func TestEveryProblemHasItsPosition(t *testing.T) {
	_, problems := config.Parse("landfall.yaml", []byte(`sources: [{id: a}, {id: a}]
destinations:
  - id: main
    destination: braze-cohorts
    sources: [b]
    settings: {secret: "${NOPE}", other: "file:missing"}
    subscriptions:
      - {action: 5}
  - id: main
    destination: x
    subscribtions: []
`), env)
	assert.Equal(t, strings.Join([]string{
		`landfall.yaml:1:25: /sources/1/id is already used: another source has the id "a"`,
		`landfall.yaml:5:15: /destinations/0/sources/0 there is no source "b"`,
		`landfall.yaml:6:24: /destinations/0/settings/secret needs the environment variable NOPE, which is not set`,
		`landfall.yaml:6:42: /destinations/0/settings/other cannot be read: missing: there is no such file`,
		`landfall.yaml:8:18: /destinations/0/subscriptions/0/action should be a string but is a number`,
		`landfall.yaml:9:5: /destinations/1 should have the key "subscriptions"`,
		`landfall.yaml:9:9: /destinations/1/id is already used: another instance has the id "main"`,
		`landfall.yaml:11:20: /destinations/1/subscribtions is not a known key (did you mean "subscriptions"?)`,
	}, "\n"), problems.Error())
}

func TestLoadWithoutFile(t *testing.T) {
	c, problems := config.Load("testdata/none.yaml", config.Env{})
	assert.Nil(t, c)
	assert.EqualError(t, problems, "testdata/none.yaml: there is no such file")
}

func FuzzParse(f *testing.F) {
	f.Add("destinations:\n  - {id: a, destination: b, subscriptions: [{action: x}]}\n")
	f.Add("sources: [{id: x}]\ndestinations: 5")
	f.Fuzz(func(t *testing.T, text string) {
		c, problems := config.Parse("f", []byte(text), env)
		if c == nil && len(problems) == 0 {
			t.Fatal("neither a config nor a problem")
		}
	})
}
