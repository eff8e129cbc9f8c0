package connect_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/state"
)

// The events of users whom the state has as suppressed are skipped, and those of others are sent. Metadata say why a time was replaced.
func TestSuppressedUsersAreSkipped(t *testing.T) {
	sent := 0
	remote := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { sent++ }))
	defer remote.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "landfall.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`
data: data
state: {key: c3RhdGUta2V5LW9mLWEtdGVzdC1vZi0zMi1ieXRlcy4=}
destinations: [{id: hook, destination: webhook, subscriptions: [{name: All, action: send, subscribe: type = "track", mapping: {url: `+remote.URL+`}}]}]
`), 0o600))
	cfg, problems := config.Load(file, config.Env{})
	require.Empty(t, problems)
	store, err := instances.OpenState(t.Context(), cfg, "", "")
	require.NoError(t, err)
	key, err := instances.IdentifierKey(cfg)
	require.NoError(t, err)
	_, err = store.AddSuppressed(t.Context(), []state.Suppressed{{Hash: key.Hash("u1"), Key: key.ID(), At: time.Now()}, {Hash: key.Hash("ann@example.com"), Key: key.ID(), At: time.Now()}})
	require.NoError(t, err)
	require.NoError(t, store.Close())

	events := filepath.Join(dir, "events.ndjson")
	require.NoError(t, os.WriteFile(events, []byte(`{"event":"A","userId":"u1"}
{"event":"A","userId":"u2","timestamp":"2099-01-01"}
{"event":"A","userId":"u3","properties":{"email":"Ann@example.com"}}
`), 0o600))
	var outcomes, causes, replaced []string
	run(t, environment(t), "input: {file: {paths: ["+events+"], scanner: {lines: {}}}}\npipeline: {threads: 1, processors: [{landfall: {config: "+file+"}}]}\noutput: {drop: {}}\n", "",
		func(_ context.Context, m *service.Message) error {
			for key, list := range map[string]*[]string{"landfall_outcome": &outcomes, "landfall_cause": &causes, "landfall_replaced_time": &replaced} {
				text, _ := m.MetaGet(key)
				*list = append(*list, text)
			}
			return nil
		})
	assert.Equal(t, []string{"skipped", "delivered", "skipped"}, outcomes)
	assert.Equal(t, []string{"suppressed", "", "suppressed"}, causes)
	assert.Equal(t, 1, sent)
	assert.Contains(t, replaced[1], "ingest.maxFuture")
	assert.Empty(t, replaced[0]+replaced[2])
}
