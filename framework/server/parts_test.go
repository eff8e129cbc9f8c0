package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/identifier"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/history"
	"github.com/landfall-dev/landfall/framework/server/ingest"
	"github.com/landfall-dev/landfall/framework/state"
)

// newParts returns a server with a state, a queue and a config, which serves nothing, and its log.
func newParts(t *testing.T, text string) (*server, *strings.Builder) {
	t.Helper()
	dir, log := t.TempDir(), &strings.Builder{}
	v := &server{Options: Options{Config: filepath.Join(dir, "landfall.yaml"), Log: slog.New(slog.NewTextHandler(log, nil))}}
	var err error
	v.store, err = state.Open(t.Context(), dir)
	require.NoError(t, err)
	t.Cleanup(func() { _ = v.store.Close() })
	v.queue, err = delivery.Open(t.Context(), delivery.Config{Dir: filepath.Join(dir, "queue"), Partitions: 1})
	require.NoError(t, err)
	t.Cleanup(v.queue.Close)
	v.setConfig(t, text)
	return v, log
}

func (v *server) setConfig(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, problems := config.Parse("landfall.yaml", []byte(text), config.Env{})
	require.Empty(t, problems)
	v.config.Store(cfg)
	return cfg
}

// startRunner starts the delivery without instances.
func (v *server) startRunner(t *testing.T, checks ...delivery.Check) {
	t.Helper()
	var err error
	v.runner, err = delivery.NewRunner(t.Context(), v.queue, delivery.Settings{Linger: time.Millisecond, Checks: checks})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		v.runner.Stop(ctx)
	})
}

// limitsCollector collects the metrics of limits of a status.
type limitsCollector struct{ status delivery.Status }

func (limitsCollector) Describe(chan<- *prometheus.Desc)      {}
func (c limitsCollector) Collect(to chan<- prometheus.Metric) { giveLimits(to, c.status) }

// gather returns the values of metrics by name, with their labels.
func gather(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	require.NoError(t, registry.Register(c))
	list, err := registry.Gather()
	require.NoError(t, err)
	values := map[string]float64{}
	for _, family := range list {
		for _, m := range family.GetMetric() {
			name := strings.TrimPrefix(family.GetName(), "landfall_")
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			values[name] = m.GetGauge().GetValue()
		}
	}
	return values
}

// TestLimitsHaveMetrics checks what is exported of the limits of an instance.
func TestLimitsHaveMetrics(t *testing.T) {
	s := delivery.Status{Instance: "main", ExpectedEnd: time.Now().Add(-time.Hour)}
	assert.Equal(t, map[string]float64{"remaining_seconds main": 0}, gather(t, limitsCollector{s}), "it has no limits")
	s.ExpectedEnd = time.Now().Add(time.Hour)
	s.Limits = &budget.GateStatus{Concurrency: 4, DownSince: time.Now().Add(-time.Minute), Budget: budget.Status{Name: "shared", Windows: []budget.WindowStatus{
		{Unit: "requests", Per: time.Hour, Limit: 100, Used: 7, Resets: time.Now().Add(time.Minute)},
	}}}
	values := gather(t, limitsCollector{s})
	assert.InDelta(t, 3600, values["remaining_seconds main"], 60)
	assert.InDelta(t, 60, values["down_seconds main"], 59)
	assert.Equal(t, 4.0, values["concurrency_limit main"])
	per := budget.PerText(time.Hour)
	assert.Equal(t, 100.0, values["budget_limit shared main "+per+" requests"], "%v", values)
	assert.Equal(t, 7.0, values["budget_used shared main "+per+" requests"])
	assert.Positive(t, values["budget_reset_seconds shared main "+per+" requests"])
	s.Limits.DownSince = time.Time{}
	assert.Zero(t, gather(t, limitsCollector{s})["down_seconds main"])
}

// TestDeliveryHasMetrics checks what is exported of the delivery and the queue before there is anything to deliver.
func TestDeliveryHasMetrics(t *testing.T) {
	v, _ := newParts(t, firstConfig)
	failing := delivery.Check{Code: "broken", Stops: delivery.StopsIngest, Run: func(context.Context) error { return errNoQueue }}
	v.startRunner(t, failing, failing)
	values := gather(t, deliveryMetrics{v})
	assert.Zero(t, values["ready"])
	assert.Equal(t, 1.0, values["finding broken "], "a finding that is there twice is exported once: %v", values)
	sizes, err := v.queue.Sizes()
	require.NoError(t, err)
	require.NotEmpty(t, sizes)
	for stream, n := range sizes {
		assert.Equal(t, float64(n), values["queue_bytes "+stream])
	}
	assert.Equal(t, []float64{1, 0}, []float64{oneIf(true), oneIf(false)})
}

// TestBudgetsNeedTheQueue checks that a budget that is used before the queue is open is refused, and is kept in the queue afterwards.
func TestBudgetsNeedTheQueue(t *testing.T) {
	v, _ := newParts(t, firstConfig)
	s := budgetStore{server: &server{}, shared: true}
	_, _, err := s.Load(t.Context(), "a")
	assert.ErrorIs(t, err, errNoQueue)
	_, err = s.Save(t.Context(), "a", nil, 0)
	assert.ErrorIs(t, err, errNoQueue)
	assert.True(t, s.Shared())
	s.server = v
	_, err = s.Save(t.Context(), "a", []byte("used"), 0)
	require.NoError(t, err)
	text, _, err := s.Load(t.Context(), "a")
	require.NoError(t, err)
	assert.Equal(t, "used", string(text))
}

// TestAuthorsOfConfigs checks who is recorded as the author of a config, and how it came into use.
func TestAuthorsOfConfigs(t *testing.T) {
	v, log := newParts(t, firstConfig)
	latest := func(ctx context.Context, text string) history.ConfigChange {
		t.Helper()
		v.recordConfig(ctx, v.setConfig(t, text), nil)
		list, err := v.configChanges(t.Context())
		require.NoError(t, err)
		require.NotEmpty(t, list)
		return list[0]
	}
	first := latest(t.Context(), firstConfig)
	assert.Equal(t, []string{"unknown", "found in the file at the start of the server"}, []string{first.Who, first.How})
	v.running.Store(&[]instances.Instance{})
	changed := latest(t.Context(), firstConfig+"# 1\n")
	assert.Equal(t, []string{"unknown", "the file changed"}, []string{changed.Who, changed.How})
	ana := access.WithActor(t.Context(), access.Actor{Who: "ana", From: "10.0.0.1"})
	asked := latest(ana, firstConfig+"# 2\n")
	assert.Equal(t, []string{"ana", "10.0.0.1", "a reload was requested"}, []string{asked.Who, asked.From, asked.How})
	v.authors.noteWrite(ana, []byte(firstConfig+"# 3\n"), "the setup in the console")
	other := latest(t.Context(), firstConfig+"# 4\n")
	assert.Equal(t, "the file changed", other.How, "another text than the one that ana wrote")
	written := latest(t.Context(), firstConfig+"# 3\n")
	assert.Equal(t, []string{"ana", "the setup in the console"}, []string{written.Who, written.How})
	secret := latest(t.Context(), "admin: {key: not-to-be-kept}"+firstConfig)
	assert.Contains(t, secret.Text, "admin:")
	assert.NotContains(t, secret.Text, "not-to-be-kept")
	assert.Empty(t, log.String())
	require.NoError(t, v.store.Close())
	v.recordConfig(t.Context(), v.config.Load(), nil)
	assert.Contains(t, log.String(), "the history is incomplete")
}

// TestSuppressedUsersFollowTheState checks that a user who is suppressed by another process is known, and that a changed key is reported.
func TestSuppressedUsersFollowTheState(t *testing.T) {
	const key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	v, log := newParts(t, `state: {key: "`+key+`"}`+firstConfig)
	s := &suppression{server: v}
	require.NoError(t, s.refresh(t.Context()))
	u1, u2 := event.MustParse(`{"userId":"u1"}`), event.MustParse(`{"userId":"u2"}`)
	assert.False(t, s.hasUserOf(u1))
	hashes := identifier.NewKey(key)
	_, err := v.store.AddSuppressed(t.Context(), []state.Suppressed{{Hash: hashes.Hash("u1"), Key: hashes.ID(), At: time.Now()}})
	require.NoError(t, err)
	require.NoError(t, s.refresh(t.Context()))
	assert.True(t, s.hasUserOf(u1))
	assert.False(t, s.hasUserOf(u2))
	known := s.set.Load()
	require.NoError(t, s.refresh(t.Context()))
	assert.Same(t, known, s.set.Load(), "nothing has changed")
	assert.Empty(t, log.String())
	v.setConfig(t, `state: {key: "HB4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA="}`+firstConfig)
	require.NoError(t, s.refresh(t.Context()))
	assert.Contains(t, log.String(), "1 suppressed user cannot be recognized")
	require.NoError(t, v.store.Close())
	assert.Error(t, s.refresh(t.Context()))
	_, err = newSuppression(t.Context(), v)
	assert.Error(t, err, "without the state it is not known whom to leave out")
}

// TestDataOfRemovedInstances checks which instances are said to have data although the config does not have them, and that only their data can
// be moved or deleted.
func TestDataOfRemovedInstances(t *testing.T) {
	v, _ := newParts(t, firstConfig)
	v.startRunner(t)
	for _, id := range []string{"a", "old", "older"} {
		change := []destination.Change{{Identity: "external_id:" + id, Member: true, At: time.Now()}}
		require.NoError(t, v.store.Ledger(id).Record(t.Context(), destination.Audience{ID: "vips", Name: "VIPs"}, change))
	}
	removed := func() (ids []string) {
		for _, s := range v.removedInstances() {
			assert.True(t, s.Removed)
			assert.Equal(t, 1, s.Members)
			ids = append(ids, s.Instance)
		}
		return ids
	}
	require.Equal(t, []string{"old", "older"}, removed())
	assert.ErrorContains(t, v.forgetInstance(t.Context(), "a"), `the instance "a" is still in the config`)
	for from, to := range map[string]string{"a": "a", "old": "older"} {
		assert.ErrorContains(t, v.moveInstance(t.Context(), from, to), "data can be moved only from an instance that is no longer in the config")
	}
	require.NoError(t, v.forgetInstance(t.Context(), "older"))
	assert.Equal(t, []string{"old"}, removed(), "the list is current after a change")
	v.removed.at = v.removed.at.Add(time.Hour) // however long the test takes
	members, err := RemovedMembers(t.Context(), v.config.Load(), v.store)
	require.NoError(t, err)
	assert.Equal(t, map[string]int{"old": 1}, members)
	assert.Contains(t, RemovedHint("old"), "landfall instances forget old")
	require.NoError(t, v.store.Ledger("old").Forget(t.Context()))
	assert.Equal(t, []string{"old"}, removed(), "what was read a moment ago is not read again")
	v.expireRemoved()
	assert.Empty(t, removed())
	require.NoError(t, v.store.Close())
	_, err = FindRemoved(t.Context(), v.config.Load(), v.store, v.queue)
	assert.Error(t, err)
}

// TestCountsOfEvents checks that received events are counted by source and outcome.
func TestCountsOfEvents(t *testing.T) {
	v := &server{Options: Options{Log: slog.New(slog.DiscardHandler)}}
	v.prepareMetrics()
	v.received.count("web", "accepted", 3)
	v.received.count("web", "accepted", 2)
	v.received.count("web", "rejected", 1)
	v.received.count("app", "accepted", 1)
	counts := v.eventCounts()
	assert.Equal(t, history.Outcomes{"web": {"accepted": 5, "rejected": 1}, "app": {"accepted": 1}}, counts.Sources)
	assert.Empty(t, counts.Instances)
	counts.Sources.Add("web", "accepted", 1)
	assert.EqualValues(t, 5, v.eventCounts().Sources["web"]["accepted"], "the caller has a copy")
}

// TestTracesOfRequests checks what is recorded of a request, and that it belongs to the client's trace.
func TestTracesOfRequests(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(spans))
	for status, code := range map[int]codes.Code{200: codes.Unset, 404: codes.Unset, 500: codes.Error, 503: codes.Error} {
		spans.Reset()
		handler := traceRequests(provider.Tracer("test"), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			assert.NoError(t, http.NewResponseController(w).Flush())
			if status != 200 {
				w.WriteHeader(status)
			}
		}))
		r := httptest.NewRequest(http.MethodPost, "/v1/track", nil)
		r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		handler.ServeHTTP(httptest.NewRecorder(), r)
		list := spans.GetSpans()
		require.Len(t, list, 1)
		assert.Equal(t, code, list[0].Status.Code, status)
		assert.Equal(t, "0af7651916cd43dd8448eb211c80319c", list[0].SpanContext.TraceID().String())
		values := map[string]string{}
		for _, a := range list[0].Attributes {
			values[string(a.Key)] = a.Value.String()
		}
		assert.Equal(t, "/v1/track", values["http.route"])
		assert.Equal(t, fmt.Sprint(status), values["http.response.status_code"])
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
	tracer, end, err := openTraces(t.Context())
	require.NoError(t, err)
	defer end()
	_, span := tracer.Start(t.Context(), "a")
	assert.False(t, span.IsRecording(), "there is no collector")
}

// TestErrorsOfOptions checks that an error in the options can be told from one in the config.
func TestErrorsOfOptions(t *testing.T) {
	var wrong OptionError
	assert.ErrorAs(t, optionErrorf("wrong: %w", errNoQueue), &wrong)
	assert.ErrorIs(t, optionErrorf("wrong: %w", errNoQueue), errNoQueue)
}

// TestTargetsWithoutAPath checks that clients which begin with HTTP/2 without TLS, or request *, get an answer that says what is wrong.
func TestTargetsWithoutAPath(t *testing.T) {
	routes := http.NewServeMux()
	routes.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	handler := passAsterisk(routes, ingest.New(ingest.Config{}))
	for _, c := range []struct {
		method, target string
		proto, want    int
		text           string
	}{
		{"PRI", "*", 2, http.StatusHTTPVersionNotSupported, `"error":"without TLS, send HTTP/1.1"`},
		{"POST", "*", 1, http.StatusNotFound, `"error":"unknown path: send events to`},
		{"GET", "/healthz", 1, http.StatusAccepted, ""},
	} {
		r := &http.Request{Method: c.method, RequestURI: c.target, URL: &url.URL{Path: c.target}, ProtoMajor: c.proto, Header: http.Header{}, Host: "x"}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		assert.Equal(t, c.want, w.Code, c.target)
		assert.Contains(t, w.Body.String(), c.text)
	}
}
