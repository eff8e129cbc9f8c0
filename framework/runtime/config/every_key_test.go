package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime/config"
)

const everyKey = `
listen: 127.0.0.1:9000
data: /var/lib/landfall
definitions: more
memoryBytes: 600000000
trustedProxies: [10.0.0.0/8]
proxyProtocol: true
tls: {cert: c.pem, key: k.pem}
state: {url: "postgres://u@h/d", key: "${KEY}", historyRetention: 62h, erasureRetention: 63h}
admin: {key: "${KEY}", listen: 127.0.0.1:9001}
nats: {url: "nats://h:4222", credentials: nats.creds, replicas: 3}
egress: {allow: [10.1.2.3]}
ingest: {maxEventBytes: 2000, maxBatchBytes: 3000000, maxConnections: 70, maxConnectionsPerAddress: 7, maxMemoryBytes: 90000000, maxFuture: 2m, origins: ["https://shop.example"], publicURL: "https://events.example/in/", analyticsJS: umd}
delivery:
  partitions: 5
  parallel: 6
  maxBytes: 700000000
  minFreeBytes: 80000000
  maxMemoryBytes: 91000000
  retention: 48h
  linger: 20ms
  retryFor: 3h
  lease: 40s
  maxPause: 50m
  letters: {retention: 60h, maxBytes: 71000000}
  parked: {maxBytes: 72000000}
  history: {retention: 61h, maxBytes: 73000000}
budgets: {crm: {requestsPerSecond: 11, requestsPerHour: 12, hourWindow: sliding, bytesPerSecond: 13, background: 0.25}, empty: {}}
sources:
  - {id: web, writeKey: "${KEY}", eventsPerSecond: 8.5, deletes: true, erases: true}
  - {id: 7, writeKey: 8}
audienceSyncs:
  - {id: vips, audience: aud_1, name: VIP, from: "sqlite:${KEY}", query: SELECT 1, every: 1h, mode: add, instances: ["12"], maxRemove: 2.5, key: external_id, columns: {external_id: no}, timeout: 90s, runLimit: 2h, audienceColumn: segment, enabled: false}
  - {id: 8, from: "sqlite:x", query: SELECT 2, cron: CRON_TZ=Europe/Berlin 30 6 * * 1-5}
destinations:
  - id: 12
    name: Shop
    destination: webhook
    sources: [web]
    consent: [ads]
    limits: {concurrency: 14, budget: crm}
    features: {fast: true, slow: false}
    auth: {accessToken: "${KEY}"}
    settings: {url: "https://h.example/${KEY}"}
    subscriptions:
      - {name: 5, action: send, subscribe: type = "track", sampleRate: 0.25, useDefaultMappings: false, enabled: false}
      - {id: s2, name: Old, partnerAction: send}
`

func TestEveryKeyIsRead(t *testing.T) {
	lookup := func(name string) (string, bool) { return "the-key", name == "KEY" }
	c, problems := config.Parse("landfall.yaml", []byte(everyKey), config.Env{Lookup: lookup})
	require.Empty(t, problems)
	require.NotNil(t, c)
	assert.Equal(t, []string{"more", "/var/lib/landfall", "postgres://u@h/d", "the-key"}, []string{c.Definitions, c.Data, c.StateURL, c.StateKey})
	assert.Equal(t, []config.Source{{ID: "web", WriteKey: "the-key", PerSecond: 8.5, Deletes: true, Erases: true}, {ID: "7", WriteKey: "8"}}, c.Sources)

	s := c.Server
	require.Len(t, s.TrustedProxies, 1)
	assert.Equal(t, "10.0.0.0/8", s.TrustedProxies[0].String())
	assert.Equal(t, []string{"127.0.0.1:9000", "the-key", "127.0.0.1:9001", "nats://h:4222", "nats.creds", "https://shop.example"},
		append([]string{s.Listen, s.AdminKey, s.AdminListen, s.NATS, s.Credentials}, s.Origins...))
	assert.True(t, s.HasAdminKey)
	assert.Equal(t, []any{"c.pem", "k.pem", true}, []any{s.TLSCert, s.TLSKey, s.ProxyProtocol})
	assert.Equal(t, []string{"https://events.example/in", "umd"}, []string{s.PublicURL, s.AnalyticsJS})
	assert.Equal(t, []int{2000, 3000000, 70, 7, 5, 6, 3}, []int{s.MaxEvent, s.MaxBatch, s.MaxConnections, s.MaxConnectionsPerAddress, s.Partitions, s.Parallel, s.Replicas})
	assert.Equal(t, []int64{600000000, 90000000, 91000000, 700000000, 80000000, 71000000, 72000000, 73000000}, []int64{s.MemoryBytes, s.MaxMemory, s.MaxDeliveryMemory, s.MaxBytes, s.MinFree, s.DeadLetterBytes, s.ParkedBytes, s.HistoryBytes})
	assert.Equal(t, []time.Duration{2 * time.Minute, 48 * time.Hour, 20 * time.Millisecond, 3 * time.Hour, 40 * time.Second, 50 * time.Minute, 60 * time.Hour, 61 * time.Hour, 62 * time.Hour, 63 * time.Hour},
		[]time.Duration{s.MaxFuture, s.Retention, s.Linger, s.RetryFor, s.Lease, s.MaxPause, s.DeadLetterRetention, s.HistoryRetention, s.LedgerRetention, s.ErasureRetention})
	assert.NotEqual(t, c.Egress, mustParse(t, strings.Replace(everyKey, "egress: {allow: [10.1.2.3]}\n", "", 1)).Egress)

	require.Len(t, c.AudienceSyncs, 2)
	full, short := c.AudienceSyncs[0], c.AudienceSyncs[1]
	at := time.Date(2026, 6, 5, 23, 10, 0, 0, time.UTC) // a Friday
	assert.Equal(t, at.Add(50*time.Minute), full.Schedule.Next(at))
	assert.Equal(t, time.Date(2026, 6, 8, 4, 30, 0, 0, time.UTC), short.Schedule.Next(at).UTC())
	full.Schedule, short.Schedule = nil, nil
	assert.Equal(t, config.AudienceSync{
		ID: "vips", Audience: "aud_1", Name: "VIP", URL: "sqlite:the-key", Query: "SELECT 1", Mode: "add", Instances: []string{"12"}, MaxRemove: 2.5, Key: "external_id",
		Columns: map[string]string{"external_id": "no"}, Timeout: 90 * time.Second, RunLimit: 2 * time.Hour, Only: "segment", Pointer: "/audienceSyncs/0",
	}, full)
	assert.Equal(t, config.AudienceSync{ID: "8", Audience: "8", URL: "sqlite:x", Query: "SELECT 2", Mode: "mirror", MaxRemove: 10, Enabled: true, Pointer: "/audienceSyncs/1"}, short)

	require.Len(t, c.Instances, 1)
	in := c.Instances[0]
	assert.Equal(t, []string{"12", "Shop", "webhook", "the-key", "https://h.example/the-key", "the-key"},
		[]string{in.ID, in.Name, in.Destination, in.AccessToken, in.Settings.Get("url").Str(), in.Auth.Get("accessToken").Str()})
	assert.Equal(t, []config.Budget{{Name: "crm", Limits: config.Limits{RequestsPerSecond: 11, RequestsPerHour: 12, Sliding: true, BytesPerSecond: 13, Background: 0.25}}, {Name: "empty"}}, c.Budgets)
	assert.Equal(t, config.Limits{Concurrency: 14, Budget: "crm"}, in.Limits)
	assert.Equal(t, map[string]bool{"fast": true, "slow": false}, in.Features)
	assert.Equal(t, [][]string{{"web"}, {"ads"}}, [][]string{in.Sources, in.Consent})
	require.Len(t, in.Subscriptions, 2)
	first, second := in.Subscriptions[0], in.Subscriptions[1]
	assert.Equal(t, []any{"5", "action", 0.25, false, false}, []any{first.Name, first.ActionKey, first.SampleRate, first.UseDefaultMappings, first.Enabled})
	assert.Equal(t, []any{"s2", "partnerAction", 1.0, true, true}, []any{second.ID, second.ActionKey, second.SampleRate, second.UseDefaultMappings, second.Enabled})
}

func mustParse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, problems := config.Parse("landfall.yaml", []byte(text), config.Env{Lookup: func(string) (string, bool) { return "the-key", true }})
	require.Empty(t, problems)
	return c
}

func TestDurationsHaveBounds(t *testing.T) {
	for key, c := range map[string]struct{ least, most, below, above string }{
		"ingest: {maxFuture: %}":              {"1s", "87600h", "999ms", "87600h1ns"},
		"delivery: {retention: %}":            {"1m", "87600h", "59s", "87600h1ns"},
		"delivery: {linger: %}":               {"1ms", "30s", "999us", "30s1ns"},
		"delivery: {retryFor: %}":             {"1s", "720h", "999ms", "720h1ns"},
		"delivery: {lease: %}":                {"1s", "1h", "999ms", "1h1ns"},
		"delivery: {maxPause: %}":             {"1s", "24h", "999ms", "24h1ns"},
		"delivery: {letters: {retention: %}}": {"1m", "87600h", "59s", "87600h1ns"},
	} {
		parse := func(value string) string {
			text := strings.Replace(key, "%", value, 1) + "\ndestinations: [{id: a, destination: webhook, subscriptions: [{name: n, action: send, subscribe: userId != null}]}]\n"
			_, problems := config.Parse("landfall.yaml", []byte(text), config.Env{})
			if len(problems) == 0 {
				return ""
			}
			return problems.Error()
		}
		assert.Empty(t, parse(c.least), key)
		assert.Empty(t, parse(c.most), key)
		assert.Contains(t, parse(c.below), "should be between", key)
		assert.Contains(t, parse(c.above), "should be between", key)
	}
}

func TestRepeatedIDsAndKeysAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		`sources: [{id: a, writeKey: k}, {id: a, writeKey: l}]`: `another source has the id "a"`,
		`sources: [{id: a, writeKey: k}, {id: b, writeKey: k}]`: "another source has the same",
		`sources: [{id: web, writeKey: k}]`:                     `there is no source "wep" (did you mean "web"?)`,
	} {
		_, problems := config.Parse("landfall.yaml", []byte(text+"\ndestinations: [{id: a, destination: webhook, sources: [wep], subscriptions: [{name: n, action: send, subscribe: userId != null}]}]\n"), config.Env{})
		require.NotEmpty(t, problems, text)
		assert.Contains(t, problems.Error(), want)
	}
	_, problems := config.Parse("landfall.yaml", []byte("destinations: [{id: a, destination: webhook, subscriptions: [{name: n, action: send, subscribe: userId != null}]}, {id: a, destination: webhook, subscriptions: [{name: n, action: send, subscribe: userId != null}]}]\n"), config.Env{})
	require.NotEmpty(t, problems)
	assert.Contains(t, problems.Error(), `another instance has the id "a"`)
}

func TestEnvironmentOfTheProcessIsTheDefault(t *testing.T) {
	t.Setenv("LANDFALL_TEST_STATE_KEY", "from-the-environment")
	c, problems := config.Parse("landfall.yaml", []byte("state: {key: '${LANDFALL_TEST_STATE_KEY}'}\ndestinations: [{id: a, destination: webhook, subscriptions: [{name: n, action: send, subscribe: userId != null}]}]\n"), config.Env{})
	require.Empty(t, problems)
	assert.Equal(t, "from-the-environment", c.StateKey)
}
