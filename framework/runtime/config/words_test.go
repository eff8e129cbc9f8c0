package config_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// TestMistakesAreToldInWords checks that mistakes in a config are explained without patterns and the words of libraries.
func TestMistakesAreToldInWords(t *testing.T) {
	const rest = "\ndestinations: [{id: a, destination: b, subscriptions: []}]\n"
	for text, want := range map[string]string{
		"delivery: {retryFor: 10days}" + rest:          `f.yaml:1:22: /delivery/retryFor should be a duration such as 90s, 15m or 168h but is "10days"`,
		"delivery: {retryFor: 10}" + rest:              `f.yaml:1:22: /delivery/retryFor should be a duration such as 90s, 15m or 168h but is 10`,
		"delivery: {retryFor: 1000000h}" + rest:        `f.yaml:1:22: /delivery/retryFor should be between 1s and 720h (30 days) but is 1000000h`,
		"delivery: {linger: 1h}" + rest:                `f.yaml:1:20: /delivery/linger should be between 1ms and 30s but is 1h`,
		"":                                             `f.yaml:1:1: is empty, but should be an object`,
		"\tdestinations: []":                           `f.yaml:1:13: the line begins with a tab: indent with spaces`,
		"destinations:\n  - id: a\n \t destination: b": `f.yaml:3:2: the line begins with a tab: indent with spaces`,
		"listen: localhost" + rest:                     `f.yaml:1:9: /listen should be an address such as 127.0.0.1:8080, or unix:PATH, but is "localhost"`,
		"listen: '127.0.0.1:99999'" + rest:             `f.yaml:1:9: /listen should be an address such as 127.0.0.1:8080, or unix:PATH, but is "127.0.0.1:99999"`,
		"admin: {listen: '127.0.0.1:99999'}" + rest:    `f.yaml:1:17: /admin/listen should be an address such as 127.0.0.1:8081, unix:PATH, or ingest`,
		"state: {url: 'mysql://u:secret@h/d'}" + rest:  `f.yaml:1:14: /state/url should begin with postgres:// but begins with mysql://: the state can be in PostgreSQL, or in the data directory if state.url is left out`,
		"state: {url: 'postgresql://u@h/d'}" + rest:    "",
		"listen: ':8080'" + rest:                       "",
		"listen: 'unix:/run/x.sock'" + rest:            "",
		"listen: 'localhost:http'" + rest:              "",
	} {
		_, problems := config.Parse("f.yaml", []byte(text), config.Env{})
		got := ""
		if len(problems) > 0 {
			got = problems[0].String()
		}
		assert.Equal(t, want, got, text)
	}
}
