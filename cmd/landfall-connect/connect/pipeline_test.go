package connect_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/cmd/landfall-connect/connect"
	"github.com/landfall-dev/landfall/destinations"
)

func environment(t *testing.T) *service.Environment {
	env := service.GlobalEnvironment().Clone()
	require.NoError(t, connect.Register(env, destinations.All()...))
	return env
}

// newSandbox starts a Braze sandbox.
func newSandbox(t *testing.T) *httptest.Server {
	registry, err := destinations.Registry()
	require.NoError(t, err)
	entry, err := registry.Find("braze-cohorts")
	require.NoError(t, err)
	server := httptest.NewServer(entry.Plugin.Sandbox.New(nil))
	t.Cleanup(server.Close)
	return server
}

// run runs a pipeline until its input ends.
func run(t *testing.T, env *service.Environment, yaml, sandboxURL string, consume service.MessageHandlerFunc) {
	builder := env.NewStreamBuilder()
	builder.SetEnvVarLookupFunc(func(name string) (string, bool) {
		return map[string]string{"SANDBOX_URL": sandboxURL}[name], name == "SANDBOX_URL"
	})
	require.NoError(t, builder.SetYAML(yaml))
	require.NoError(t, builder.SetLoggerYAML("level: off"))
	if consume != nil {
		require.NoError(t, builder.AddConsumerFunc(consume))
	}
	stream, err := builder.Build()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	require.NoError(t, stream.Run(ctx))
}

func example(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("pipeline.yaml")
	require.NoError(t, err)
	return string(text)
}

// stateOf returns the cohorts of a sandbox as JSON, and the number of injected faults.
func stateOf(t *testing.T, url string) (cohorts string, faults int) {
	get := func(name string) []byte {
		answer, err := http.Get(url + "/__sandbox/" + name)
		require.NoError(t, err)
		defer answer.Body.Close()
		raw, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return raw
	}
	var requests []struct{ Fault bool }
	require.NoError(t, json.Unmarshal(get("requests"), &requests))
	for _, r := range requests {
		if r.Fault {
			faults++
		}
	}
	var state struct {
		Cohorts map[string]struct{ Members any }
	}
	require.NoError(t, json.Unmarshal(get("state"), &state))
	require.NotEmpty(t, state.Cohorts)
	members := map[string]any{}
	for id, c := range state.Cohorts {
		members[id] = c.Members
	}
	text, err := json.Marshal(members)
	require.NoError(t, err)
	return string(text), faults
}

// The example pipeline loses nothing when requests fail: the cohorts are the same as without failures.
func TestExampleLosesNothing(t *testing.T) {
	t.Chdir("..")
	env := environment(t)
	calm, stormy := newSandbox(t), newSandbox(t)
	run(t, env, example(t), calm.URL, nil)
	want, _ := stateOf(t, calm.URL)

	answer, err := http.Post(stormy.URL+"/__sandbox/faults", "application/json", strings.NewReader(`[
		{"status": 503, "times": 3}, {"drop": true, "times": 2}, {"drop": true, "after": true, "times": 2},
		{"status": 429, "headers": {"Retry-After": "1"}, "times": 2}, {"path": "*/users", "status": 423, "times": 4}]`))
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	run(t, env, example(t), stormy.URL, nil)
	got, faults := stateOf(t, stormy.URL)
	assert.Greater(t, faults, 8)
	assert.Equal(t, want, got)
}

const two = `{"type":"track","event":"Audience Entered","userId":"u1","messageId":"m1","timestamp":"2026-01-02T03:04:05Z","properties":{"audience_key":"vip","vip":true},"context":{"personas":{"computation_class":"audience","computation_id":"aud_1","computation_key":"vip"}}}
{"type":"track","event":"Other","userId":"u2","messageId":"m2"}
no event
{"type":"track","event":"Audience Entered","messageId":"m3","properties":{"audience_key":"vip","vip":true},"context":{"personas":{"computation_class":"audience","computation_id":"aud_1","computation_key":"vip"}}}
{"type":"track","event":"Audience Entered","userId":"M` + "\xfc" + `ller","messageId":"m4","properties":{"audience_key":"vip","vip":true},"context":{"personas":{"computation_class":"audience","computation_id":"aud_1","computation_key":"vip"}}}
`

// through runs messages through processors and returns their contents, metadata and errors.
func through(t *testing.T, processors string) (contents []string, metadata []map[string]string, errs []string) {
	file := t.TempDir() + "/events.ndjson"
	require.NoError(t, os.WriteFile(file, []byte(two), 0o600))
	var mu sync.Mutex
	run(t, environment(t), "input: {file: {paths: ["+file+"], scanner: {lines: {}}}}\npipeline:\n  threads: 1\n  processors:\n"+processors+"\noutput: {drop: {}}\n", "", func(_ context.Context, m *service.Message) error {
		mu.Lock()
		defer mu.Unlock()
		raw, err := m.AsBytes()
		require.NoError(t, err)
		contents = append(contents, string(raw))
		meta := map[string]string{}
		require.NoError(t, m.MetaWalk(func(key, value string) error { meta[key] = value; return nil }))
		metadata = append(metadata, meta)
		text := ""
		if err := m.GetError(); err != nil {
			text = err.Error()
		}
		errs = append(errs, text)
		return nil
	})
	return contents, metadata, errs
}

func TestVerdictsAreMetadata(t *testing.T) {
	contents, metadata, errs := through(t, `    - landfall: {config: ../../../fixtures/braze-cohorts/landfall.yaml, sandbox: true, refused: error}`)
	require.Len(t, contents, 5)
	var outcomes []string
	for _, m := range metadata {
		outcomes = append(outcomes, m["landfall_outcome"])
	}
	assert.Equal(t, []string{"delivered", "skipped", "refused", "refused", "refused"}, outcomes)
	assert.Contains(t, errs[4], "it is not valid UTF-8")
	assert.Contains(t, metadata[0]["landfall_verdicts"], `{"instance":"braze-main","subscription":"Audience events","outcome":"delivered","status":20`)
	assert.Empty(t, errs[0]+errs[1])
	assert.Contains(t, errs[2], "not an event")
	assert.Contains(t, errs[3], metadata[3]["landfall_reason"])
	assert.NotEmpty(t, metadata[3]["landfall_reason"])
}

func TestMapMakesPayloads(t *testing.T) {
	contents, metadata, errs := through(t, `    - landfall_map: {config: ../../../fixtures/braze-cohorts/landfall.yaml}`)
	require.Len(t, contents, 4, "no subscription chooses the second")
	assert.Contains(t, contents[0], `"external_id":"u1"`)
	assert.Equal(t, "syncAudiences", metadata[0]["landfall_action"])
	assert.Equal(t, "Audience events", metadata[0]["landfall_subscription"])
	assert.Empty(t, errs[0])
	assert.NotEmpty(t, errs[1], "a line that is not an event")
}

// lockedBuffer collects what is written to it, also concurrently.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// The log names the events that are refused and dropped.
func TestDroppedEventsAreNamed(t *testing.T) {
	file, logged := filepath.Join(t.TempDir(), "events.ndjson"), &lockedBuffer{}
	require.NoError(t, os.WriteFile(file, []byte(two), 0o600))
	builder := environment(t).NewStreamBuilder()
	require.NoError(t, builder.SetYAML(`
input: {file: {paths: [`+file+`], scanner: {lines: {}}}}
output: {landfall: {config: ../../../fixtures/braze-cohorts/landfall.yaml, sandbox: true, batching: {count: 4, period: 50ms}}}`))
	builder.SetLogger(slog.New(slog.NewTextHandler(logged, nil)))
	stream, err := builder.Build()
	require.NoError(t, err)
	require.NoError(t, stream.Run(t.Context()))
	var dropped []string
	for line := range strings.Lines(logged.String()) {
		if strings.Contains(line, "messageId=m") {
			dropped = append(dropped, line)
		}
	}
	require.Len(t, dropped, 1, logged.String())
	assert.Contains(t, dropped[0], `msg="an event was refused and is dropped"`)
	assert.Contains(t, dropped[0], "messageId=m3")
	assert.Contains(t, dropped[0], "no identifier")
}

// Refused messages go to the fallback output.
func TestDeadLetters(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/events.ndjson", []byte(two), 0o600))
	run(t, environment(t), `
input: {file: {paths: [`+dir+`/events.ndjson], scanner: {lines: {}}}}
output:
  fallback:
    - landfall: {config: ../../../fixtures/braze-cohorts/landfall.yaml, sandbox: true, refused: error, retry_for: 1m, hold: 0s, batching: {count: 4, period: 50ms}}
    - file: {path: `+dir+`/dead.ndjson, codec: lines}
`, "", nil)
	dead, err := os.ReadFile(dir + "/dead.ndjson")
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(dead)), "\n")
	require.Len(t, lines, 3)
	assert.Equal(t, "no event", lines[0])
	assert.Contains(t, lines[1], `"m3"`)
}

func TestLintAndMistakes(t *testing.T) {
	env := environment(t)
	for _, c := range []struct{ name, yaml, message string }{
		{"no config", `landfall: {}`, "config is required"},
		{"empty config", `landfall: {config: ""}`, "give the path of a landfall.yaml"},
		{"unknown field", `landfall: {config: x, retries: 5}`, "retries"},
		{"two sandboxes", `landfall: {config: x, sandbox: true, sandbox_url: "http://127.0.0.1:1"}`, "give one of"},
		{"unknown choice", `landfall: {config: x, refused: keep}`, "keep"},
	} {
		t.Run(c.name, func(t *testing.T) {
			builder := env.NewStreamBuilder()
			err := builder.AddOutputYAML(c.yaml)
			require.ErrorContains(t, err, c.message)
		})
	}
	file := t.TempDir() + "/landfall.yaml"
	require.NoError(t, os.WriteFile(file, []byte("destinations:\n  - {id: a, destination: braze-cohort}\n"), 0o600))
	for yaml, message := range map[string]string{
		`landfall: {config: ` + file + `}`: `did you mean "braze-cohorts"?`,
		`landfall: {config: ../../../fixtures/braze-cohorts/landfall.yaml, instances: [braze-man], sandbox: true}`: `did you mean "braze-main"?`,
	} {
		builder := env.NewStreamBuilder()
		require.NoError(t, builder.SetYAML("input: {generate: {count: 1, mapping: 'root = {}'}}\noutput: {"+yaml+"}"))
		require.NoError(t, builder.SetLoggerYAML("level: off"))
		stream, err := builder.Build()
		if err == nil {
			err = stream.Run(t.Context())
		}
		require.ErrorContains(t, err, message)
	}
}

// The examples in the documentation of the components are valid.
func TestExamplesOfTheDocs(t *testing.T) {
	env := environment(t)
	linter, checked := env.FullConfigSchema("", "").NewStreamConfigLinter(), 0
	env.WalkOutputs(func(name string, view *service.ConfigView) {
		if name != "landfall" {
			return
		}
		docs, err := view.TemplateData()
		require.NoError(t, err)
		for _, example := range docs.Examples {
			lints, err := linter.LintYAML([]byte(example.Config))
			require.NoError(t, err, example.Config)
			assert.Empty(t, lints, example.Config)
			checked++
		}
	})
	assert.Equal(t, 2, checked)
}
