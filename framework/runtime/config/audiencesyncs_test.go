package config_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime/config"
)

func TestAudienceSyncsAreChecked(t *testing.T) {
	const rest = "\ndestinations: [{id: a, destination: webhook, subscriptions: [{name: n, action: send, subscribe: userId != null}]}]\n"
	env := config.Env{ReadFile: func(name string) ([]byte, error) {
		if name == "vips.sql" {
			return []byte("\ufeffSELECT 1"), nil
		}
		return nil, errors.New("no such file")
	}}
	for text, want := range map[string]string{
		`{id: x, from: "sqlite:x", every: 1h}`:                                                                                        "1:17: /audienceSyncs/0 should have a query or a queryFile",
		`{id: x, from: "sqlite:x", query: q, queryFile: vips.sql, every: 1h}`:                                                         "cannot be combined with query",
		`{id: x, from: "sqlite:x", queryFile: gone.sql, every: 1h}`:                                                                   "cannot be read: gone.sql: no such file",
		`{id: x, from: "sqlite:x", query: q}`:                                                                                         "should say when it runs",
		`{id: x, from: "sqlite:x", query: q, every: 1h, cron: 1 * * * *}`:                                                             "cannot be combined with every",
		`{id: x, from: "sqlite:x", query: q, every: 30s}`:                                                                             "should be between 1m and 744h",
		`{id: x, from: "sqlite:x", query: q, cron: "61 * * * *"}`:                                                                     "is not a schedule",
		`{id: x, from: "sqlite:x", query: q, cron: "0 0 30 2 *"}`:                                                                     "is not a schedule",
		`{id: x, from: "sqlite:x", query: q, cron: "@hourly"}`:                                                                        "is not a schedule",
		`{id: x, from: "sqlite:x", query: q, cron: "TZ=UTC"}`:                                                                         "is not a schedule",
		`{id: x, from: "sqlite:x", query: q, cron: "CRON_TZ="}`:                                                                       "has an unknown time zone",
		`{id: x, from: "sqlite:x", query: q, cron: "CRON_TZ=Mars/Base 1 * * * *"}`:                                                    "has an unknown time zone",
		`{id: x, from: "${NOT_SET_ANYWHERE}", query: q, every: 1h}`:                                                                   "needs the environment variable NOT_SET_ANYWHERE",
		`{id: x, from: "sqlite:x", query: q, every: 1h, incremental: {}}`:                                                             "column",
		`{id: x, from: "sqlite:x", query: q, every: 1h, incremental: {column: a, full: 10s}}`:                                         "/audienceSyncs/0/incremental/full should be between 1m and 744h",
		`{id: x, from: "sqlite:x", query: q, every: 1h, incremental: {column: a, removed: a}}`:                                        "cannot be the column that says when a row has changed",
		`{id: x, from: "sqlite:x", query: q, every: 1h, mode: remove, incremental: {column: a, removed: b}}`:                          "cannot be combined with the mode remove",
		`{id: x, from: "sqlite:x", query: q, every: 1h, properties: []}`:                                                              "properties",
		`{id: x, from: "sqlite:x", query: q, every: 1h, instances: [b]}`:                                                              `there is no instance "b"`,
		`{id: x, from: "sqlite:x", query: q, every: 1h}, {id: x, audience: y, from: "sqlite:x", query: q, every: 1h}`:                 `another sync has the id "x"`,
		`{id: x, from: "sqlite:x", query: q, every: 1h}, {id: z, audience: x, from: "sqlite:x", query: q, every: 1h, instances: [a]}`: `works on the same audience of a as the sync "x"`,
	} {
		_, problems := config.Parse("landfall.yaml", []byte("audienceSyncs: ["+text+"]"+rest), env)
		if assert.NotEmpty(t, problems, text) {
			assert.Contains(t, problems.Error(), want, text)
		}
	}
	c, problems := config.Parse("landfall.yaml", []byte(`audienceSyncs: [{id: x, from: "sqlite:x", queryFile: vips.sql, every: 1h}]`+rest), env)
	require.Empty(t, problems)
	assert.Equal(t, "SELECT 1", c.AudienceSyncs[0].Query)

	_, problems = config.Parse("landfall.yaml", []byte(`audienceSyncs: [{id: x, from: "sqlite:x", query: q, every: 1h, mode: remove, incremental: {column: a}}]`+rest), env)
	assert.Empty(t, problems)
	c, problems = config.Parse("landfall.yaml", []byte(`audienceSyncs: [{id: x, from: "sqlite:x", query: q, every: 1h, properties: [a, b], incremental: {column: at, overlap: 0s}}, {id: y, from: "sqlite:x", query: q, every: 1h, properties: true, incremental: {column: at}}]`+rest), env)
	require.Empty(t, problems)
	assert.Equal(t, &config.Incremental{Column: "at", Full: 24 * time.Hour}, c.AudienceSyncs[0].Incremental)
	assert.Equal(t, &config.Incremental{Column: "at", Full: 24 * time.Hour, Overlap: 10 * time.Minute}, c.AudienceSyncs[1].Incremental)
	assert.Equal(t, []config.Properties{{Names: []string{"a", "b"}}, {All: true}}, []config.Properties{c.AudienceSyncs[0].Properties, c.AudienceSyncs[1].Properties})
}
