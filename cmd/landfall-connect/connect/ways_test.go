package connect_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
)

// wayEvents are events that the HTTP endpoint accepts. The key of each is its property case.
func wayEvents() map[string]string {
	events := map[string]string{}
	for name, members := range map[string]string{
		"no times":                         `"userId":"u1","event":"Bought"`,
		"numbers for ids":                  `"userId":7,"event":"Bought","messageId":12`,
		"milliseconds":                     `"userId":"u1","event":"Bought","timestamp":1767323045123,"messageId":"m1"`,
		"RFC 3339":                         `"userId":"u1","event":"Bought","timestamp":"2026-01-02T03:04:05Z"`,
		"the year 2099":                    `"userId":"u1","event":"Bought","timestamp":"2099-01-01T00:00:00Z"`,
		"not a time":                       `"userId":"u1","event":"Bought","timestamp":"soon"`,
		"the write key":                    `"userId":"u1","event":"Bought","timestamp":"2026-01-02T03:04:05+01:00","writeKey":"web-key"`,
		"an empty messageId":               `"userId":"u1","event":"Bought","messageId":"","timestamp":"2026-01-02t03:04:05z"`,
		"opted out":                        `"userId":"u1","event":"Bought","integrations":{"All":false}`,
		"opted out by name":                `"userId":"u1","event":"Bought","integrations":{"Webhook":false}`,
		"opted out but for another":        `"userId":"u1","event":"Bought","integrations":{"All":false,"hook":true}`,
		"not subscribed":                   `"userId":"u1","event":"Other"`,
		"a field that is missing":          `"userId":"u1","event":"Mailed"`,
		"a field that is not valid":        `"userId":"u1","event":"Mailed","context":{"url":"no url"}`,
		"an integer beyond 2^53":           `"userId":"u1","event":"Bought","context":{"n":9007199254740993}`,
		"escapes, marks and wide letters":  `"userId":"é\u202e\ud83d\ude00","event":"Bought","anonymousId":"e\u0301"`,
		"null for what the server creates": `"userId":"u1","event":"Bought","messageId":null,"timestamp":null,"type":"track","receivedAt":null`,
	} {
		events[name] = `{"properties":{"case":"` + name + `"},` + members + `}`
	}
	return events
}

// outcomeOf is what one way makes of an event: its verdict, and the payloads that it sends, without generated ids and present times.
type outcomeOf struct {
	Outcome, Reason string
	Payload         string
}

// TestAllWaysAgree sends the same events through the HTTP endpoint, run, explain, the console's tester, and the output's processor and
// landfall_map of a pipeline. Their verdicts and payloads are the same.
func TestAllWaysAgree(t *testing.T) {
	w := newWays(t)
	events := wayEvents()
	server := w.start()
	got := map[string]map[string]outcomeOf{
		"serve": w.serve(server.ingest, events), "run": w.run(events), "explain": w.explain(events), "tester": w.tester(server.admin, events), "pipeline": w.pipeline(events),
	}
	for name := range events {
		want := got["serve"][name]
		for way, outcomes := range got {
			assert.Equal(t, want, outcomes[name], "%s by %s", name, way)
		}
	}
	assert.Equal(t, "delivered", got["serve"]["RFC 3339"].Outcome)
	assert.NotEmpty(t, got["serve"]["RFC 3339"].Payload)
	assert.Equal(t, "refused", got["serve"]["a field that is missing"].Outcome)
	assert.Equal(t, "skipped", got["serve"]["opted out"].Outcome)
	mapped := w.mapped(events)
	assert.Greater(t, len(mapped), 8)
	for name, payload := range mapped {
		assert.Equal(t, got["serve"][name].Payload, payload, "%s by landfall_map", name)
	}
}

// ways runs events through a config whose destination is a server of the test.
type ways struct {
	t               *testing.T
	program, config string
	dir             string

	mu       sync.Mutex
	payloads map[string]string // by case
}

func newWays(t *testing.T) *ways {
	w := &ways{t: t, dir: t.TempDir(), payloads: map[string]string{}}
	w.program, w.config = filepath.Join(w.dir, "landfall"), filepath.Join(w.dir, "landfall.yaml")
	build := exec.Command("go", "build", "-o", w.program, "./cmd/landfall")
	build.Dir, build.Env = "../../..", append(os.Environ(), "GOWORK=off")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	remote := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.addPayload(body)
	}))
	t.Cleanup(remote.Close)
	require.NoError(t, os.WriteFile(w.config, []byte(`
sources: [{id: web, writeKey: web-key}]
listen: 127.0.0.1:0
delivery: {linger: 20ms}
destinations:
  - id: hook
    destination: webhook
    subscriptions:
      - {name: Bought, action: send, subscribe: event = "Bought", mapping: {url: `+remote.URL+`, data: {"@path": "$"}}}
      - {name: Mailed, action: send, subscribe: event = "Mailed", mapping: {url: {"@path": $.context.url}, data: {"@path": "$"}}}
`), 0o600))
	return w
}

// addPayload records the payload of an event, with marks for ids that are generated and for the present time.
func (w *ways) addPayload(body []byte) {
	v, err := event.ParseValue(body)
	if !assert.NoError(w.t, err, string(body)) {
		return
	}
	members := map[string]any{}
	for key, m := range v.Members() {
		at, err := event.ReadTime(m)
		switch {
		case key == "messageId" && strings.HasPrefix(m.Str(), "landfall-"):
			members[key] = "generated"
		case (key == "timestamp" || key == "receivedAt") && err == nil && time.Since(at) < time.Hour:
			members[key] = "now"
		case m.Exists():
			members[key] = json.RawMessage(m.JSON())
		}
	}
	text, err := json.Marshal(members)
	assert.NoError(w.t, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.payloads[v.Get("properties").Get("case").Str()] = string(text)
}

// takePayload returns the payload that was sent for a case, and forgets it.
func (w *ways) takePayload(name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	payload := w.payloads[name]
	delete(w.payloads, name)
	return payload
}

// command runs the program with a line on standard input, and returns its output.
func (w *ways) command(input string, args ...string) string {
	cmd := exec.Command(w.program, args...)
	var warnings bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(input), &warnings
	out, err := cmd.Output()
	require.NoError(w.t, err, "%s: %s", args, &warnings)
	return string(out)
}

// verdict is a verdict as run, explain, the tester and pipelines show it.
type verdict struct{ Subscription, Outcome, Reason, Cause string }

// decisive returns the outcome of the subscription that matches, and the reason of a refusal.
func decisive(list []verdict) (outcome, reason string) {
	for _, v := range list {
		if v.Cause != "not_subscribed" {
			if outcome = strings.Replace(v.Outcome, "would be delivered", "delivered", 1); outcome == "refused" {
				reason = v.Reason
			}
			return outcome, reason
		}
	}
	return "skipped", ""
}

func (w *ways) run(events map[string]string) map[string]outcomeOf {
	all := map[string]outcomeOf{}
	var names []string
	var lines strings.Builder
	for name, e := range events {
		names = append(names, name)
		lines.WriteString(e + "\n")
	}
	out := bufio.NewScanner(strings.NewReader(w.command(lines.String(), "run", "--config", w.config, "--live", "--data", filepath.Join(w.dir, "run"), "--json", "--allow-refused", "-")))
	for out.Scan() {
		var line struct {
			Index    *int
			Verdicts []verdict
		}
		require.NoError(w.t, json.Unmarshal(out.Bytes(), &line))
		if line.Index != nil {
			outcome, reason := decisive(line.Verdicts)
			all[names[*line.Index]] = outcomeOf{outcome, reason, w.takePayload(names[*line.Index])}
		}
	}
	return all
}

func (w *ways) explain(events map[string]string) map[string]outcomeOf {
	all := map[string]outcomeOf{}
	for name, e := range events {
		var story struct {
			Subscriptions []struct {
				verdict
				Requests []struct{ JSON json.RawMessage }
			}
		}
		require.NoError(w.t, json.Unmarshal([]byte(w.command(e, "explain", "--config", w.config, "--event", "-", "--json")), &story))
		var list []verdict
		for _, s := range story.Subscriptions {
			list = append(list, s.verdict)
			for _, r := range s.Requests {
				w.addPayload(r.JSON)
			}
		}
		outcome, reason := decisive(list)
		all[name] = outcomeOf{outcome, reason, w.takePayload(name)}
	}
	return all
}

// started is a server of the program.
type started struct{ ingest, admin string }

var listening = regexp.MustCompile(`address=(\S+) admin=(\S+)`)

func (w *ways) start() started {
	cmd := exec.Command(w.program, "serve", "--config", w.config, "--data", filepath.Join(w.dir, "serve"), "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	log, err := cmd.StderrPipe()
	require.NoError(w.t, err)
	require.NoError(w.t, cmd.Start())
	w.t.Cleanup(func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() })
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if at := listening.FindStringSubmatch(lines.Text()); at != nil {
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return started{at[1], at[2]}
		}
	}
	require.Fail(w.t, "the server does not start")
	return started{}
}

// serve sends the events to the server. Those that were neither sent nor became dead letters are skipped.
func (w *ways) serve(address string, events map[string]string) map[string]outcomeOf {
	all := map[string]outcomeOf{}
	for name, e := range events {
		r, err := http.NewRequest(http.MethodPost, address+"/v1/track", strings.NewReader(e))
		require.NoError(w.t, err)
		r.SetBasicAuth("web-key", "")
		response, err := http.DefaultClient.Do(r)
		require.NoError(w.t, err)
		_ = response.Body.Close()
		require.Equal(w.t, http.StatusOK, response.StatusCode, name)
	}
	data := filepath.Join(w.dir, "serve")
	require.Eventually(w.t, func() bool {
		var status struct {
			Waiting int
			Counts  map[string]int
		}
		return json.Unmarshal([]byte(w.command("", "status", "--data", data, "--json")), &status) == nil && status.Counts["events"] >= len(events) && status.Waiting == 0
	}, time.Minute, 50*time.Millisecond)
	for name := range events {
		all[name] = outcomeOf{"skipped", "", w.takePayload(name)}
		if all[name].Payload != "" {
			all[name] = outcomeOf{"delivered", "", all[name].Payload}
		}
	}
	letters := bufio.NewScanner(strings.NewReader(w.command("", "dead", "list", "--data", data, "--json")))
	for letters.Scan() {
		v := event.MustParse(letters.Text())
		all[v.Get("event").Get("properties").Get("case").Str()] = outcomeOf{"refused", v.Get("reason").Str(), ""}
	}
	return all
}

func (w *ways) tester(address string, events map[string]string) map[string]outcomeOf {
	all := map[string]outcomeOf{}
	for name, e := range events {
		r, err := http.NewRequest(http.MethodPost, address+"/console/test", strings.NewReader(url.Values{"do": {"real"}, "event": {e}}.Encode()))
		require.NoError(w.t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", address)
		response, err := http.DefaultClient.Do(r)
		require.NoError(w.t, err)
		page, err := io.ReadAll(response.Body)
		require.NoError(w.t, err)
		_ = response.Body.Close()
		require.Equal(w.t, http.StatusOK, response.StatusCode)
		all[name] = w.shown(name, string(page))
	}
	return all
}

var shownVerdict = regexp.MustCompile(`(?s)<h3>(\w+)</h3> <span class="badge[^>]*>(?:<[^>]*>)*([^<]*)<.*?</header>\s*(?:<p class="reason">([^<]*)</p>)?`)

// shown returns what the tester's page shows.
func (w *ways) shown(name, page string) outcomeOf {
	var list []verdict
	for _, m := range shownVerdict.FindAllStringSubmatch(page, -1) {
		v := verdict{Subscription: m[1], Outcome: m[2], Reason: html.UnescapeString(m[3])}
		if strings.HasPrefix(v.Reason, "The event does not match") {
			v.Cause = "not_subscribed"
		}
		list = append(list, v)
	}
	require.Len(w.t, list, 2, page)
	outcome, reason := decisive(list)
	return outcomeOf{outcome, reason, w.takePayload(name)}
}

// stream runs the events through a processor, and calls each with every message that comes out.
func (w *ways) stream(events map[string]string, processor string, each func(m *service.Message)) {
	file := filepath.Join(w.dir, "events.ndjson")
	var lines bytes.Buffer
	for _, e := range events {
		lines.WriteString(e + "\n")
	}
	require.NoError(w.t, os.WriteFile(file, lines.Bytes(), 0o600))
	run(w.t, environment(w.t), "input: {file: {paths: ["+file+"], scanner: {lines: {}}}}\npipeline: {threads: 1, processors: [{"+processor+"}]}\noutput: {drop: {}}\n", "",
		func(_ context.Context, m *service.Message) error { each(m); return nil })
}

func (w *ways) pipeline(events map[string]string) map[string]outcomeOf {
	all := map[string]outcomeOf{}
	w.stream(events, "landfall: {config: "+w.config+", retry_for: 1m}", func(m *service.Message) {
		raw, err := m.AsBytes()
		require.NoError(w.t, err)
		text, _ := m.MetaGet("landfall_verdicts")
		var list []verdict
		require.NoError(w.t, json.Unmarshal([]byte(text), &list))
		name := event.MustParse(string(raw)).Get("properties").Get("case").Str()
		outcome, reason := decisive(list)
		all[name] = outcomeOf{outcome, reason, w.takePayload(name)}
	})
	return all
}

// mapped returns what landfall_map makes of the events, by case.
func (w *ways) mapped(events map[string]string) map[string]string {
	w.stream(events, "landfall_map: {config: "+w.config+"}", func(m *service.Message) {
		raw, err := m.AsBytes()
		require.NoError(w.t, err)
		if data := event.MustParse(string(raw)).Get("data"); data.Exists() {
			w.addPayload([]byte(data.JSON()))
		}
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.payloads
}
