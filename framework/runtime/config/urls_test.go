package config_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/runtime/config"
)

func TestURLsOfServers(t *testing.T) {
	const rest = "\ndestinations: [{id: a, destination: webhook, subscriptions: [{action: send}]}]\n"
	for text, want := range map[string]string{
		`state: {url: "postgres://u:p%40@h:5432/db?sslmode=verify-full"}`: "",
		`state: {url: "postgresql://h1:5432,h2:5433/db"}`:                 "",
		`state: {url: "postgres://[::1]:5432/db"}`:                        "",
		`state: {url: "postgres:///db?host=/run/postgresql"}`:             "",
		`state: {url: "landfall.db"}`:                                     "/state/url should be a URL such as postgres://USER:PASSWORD@HOST:PORT/DATABASE",
		`state: {url: "mysql://h/db"}`:                                    "/state/url should begin with postgres:// but begins with mysql://",
		`state: {url: "postgres://u:s3cr%zz@h/db"}`:                       "/state/url cannot be read",
		`state: {url: "postgres://u:s3cr et@h/db"}`:                       "/state/url cannot be read",
		`state: {url: "postgres://h:99999/db"}`:                           `/state/url has the port "99999"`,
		`state: {url: "postgres://h1:0,h2:5432/db"}`:                      `/state/url has the port "0"`,
		`state: {url: "postgres://h/db?sslmode=maybe"}`:                   `/state/url has the unknown sslmode "maybe": it should be one of disable, allow`,
		`nats: {url: "nats://u:p@h:4222, tls://h2, h3:4222, h4"}`:         "",
		`nats: {url: "nats://[::1]:4222"}`:                                "",
		`nats: {url: "http://h:4222"}`:                                    "/nats/url should begin with nats:// or tls:// but begins with http://",
		`nats: {url: "nats://u:s3cret@ho st:4222"}`:                       "/nats/url cannot be read",
		`nats: {url: ":"}`:                                                "/nats/url names no host",
		`nats: {url: "h:0"}`:                                              `/nats/url has the port "0"`,
		`nats: {url: "nats://h1:4222,nats://h2:99999"}`:                   `/nats/url has the port "99999"`,
		`delivery: {maxPause: 99999999h}`:                                 "/delivery/maxPause should be between 1s and 24h but is 99999999h",
	} {
		_, problems := config.Parse("f", []byte(text+rest), config.Env{})
		got := fmt.Sprint(problems)
		assert.NotContains(t, got, "s3cr", text)
		if want == "" {
			assert.Empty(t, problems, text)
			continue
		}
		assert.Contains(t, got, want, text)
		assert.Len(t, problems, 1, text)
	}
}
