package destinations_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/incoming"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
)

// TestDryRunsOfDeliveredCases runs the first case of each action that delivers its event without sending anything, as landfall explain
// and run --dry-run do: requests that depend on the answers to others must not make it a refused one.
func TestDryRunsOfDeliveredCases(t *testing.T) {
	registry := sharedRegistry(t)
	files, err := filepath.Glob("../fixtures/*/cases/actions.ndjson")
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range bytes.Lines(text) {
			c, err := event.ParseValue(line)
			require.NoError(t, err)
			action := c.Get("destination").Str() + " " + c.Get("action").Str()
			if seen[action] || c.Get("expect").Get("results").Index(0).Get("outcome").Str() != "delivered" || !c.Get("event").Exists() || !c.Get("action").Exists() {
				continue
			}
			seen[action] = true
			assert.Equal(t, runtime.Delivered, dryRunOf(t, registry, c).Outcome, "%s: %s", action, c.Get("name").Str())
		}
	}
	assert.Greater(t, len(seen), 40)
}

// dryRunOf returns the verdict of a dry run on the event of a case.
func dryRunOf(t *testing.T, registry *destination.Registry, c event.Value) runtime.Verdict {
	subscription := []event.Member{{Key: "subscribe", Value: event.NewString(`type != ""`)}}
	for _, key := range []string{"action", "mapping", "syncMode", "useDefaultMappings", "hooks"} {
		if c.Get(key).Exists() {
			subscription = append(subscription, event.Member{Key: key, Value: c.Get(key)})
		}
	}
	text := `{"destinations":[{"id":"a","destination":"` + c.Get("destination").Str() + `","settings":` + destination.Overlay(event.NewObject(nil), c.Get("settings")).JSON() +
		`,"subscriptions":[` + event.NewObject(subscription).JSON() + `]}]}`
	cfg, problems := config.Parse("landfall.yaml", []byte(text), config.Env{})
	require.Empty(t, problems, text)
	target := instances.Target{DryRun: true}
	plan, err := runtime.LoadInstance(cfg, cfg.Instances[0], registry, func(_ config.Instance, of destination.Entry) (host runtime.Host, err error) {
		host.Token = func(context.Context, string, string) (string, error) { return "token", nil }
		host.Env = func(string) (string, bool) { return "key-1", true }
		host.Transport, err = target.NewTransport(of.Plugin)
		return host, err
	})
	require.NoError(t, err, text)
	e, err := event.Parse([]byte(c.Get("event").JSON()))
	require.NoError(t, err)
	item, refused := plan.Prepare(plan.Subscriptions()[0], incoming.Complete(e, time.Now(), 0), 0)
	if refused != nil {
		return *refused
	}
	return plan.Deliver(t.Context(), []runtime.Item{item})[0]
}
