package ingest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/server/ingest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// sink collects events.
type sink struct {
	mu     sync.Mutex
	events []ingest.Event
	err    error
}

func (s *sink) append(_ context.Context, events []ingest.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	for _, e := range events { // Append must not keep the Value
		read, err := event.Parse(e.Raw)
		if err != nil || !event.Equal(read.Value(), e.Value) {
			return fmt.Errorf("the event reads as something else: %w %q", err, e.Raw)
		}
		e.Value = read.Value()
		s.events = append(s.events, e)
	}
	return nil
}

func handler(s *sink, change ...func(*ingest.Config)) *ingest.Handler {
	c := ingest.Config{
		Sources: []ingest.Source{{ID: "web", WriteKey: "wk"}, {ID: "shop", WriteKey: "sk"}}, Append: s.append,
		Origins: []string{"https://shop.example"}, Now: func() time.Time { return noon },
	}
	for _, f := range change {
		f(&c)
	}
	return ingest.New(c)
}

func post(h http.Handler, path, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	r.SetBasicAuth("wk", "")
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestMissingFieldsAreAdded(t *testing.T) {
	for name, c := range map[string]struct{ path, body, want string }{
		"the type is the path's": {
			"/v1/track", `{"userId":7,"event":"A","properties":{"x":1.50,"n":null},"writeKey":"wk","messageId":"m"}`,
			`{"type":"track","messageId":"m","userId":"7","event":"A","properties":{"x":1.50,"n":null},"timestamp":"2026-01-02T12:00:00.000Z","receivedAt":"2026-01-02T12:00:00.000Z"}`,
		},
		"without the version, and short": {
			"/i", `{"anonymousId":"a","messageId":"m","traits":{}}`,
			`{"type":"identify","messageId":"m","anonymousId":"a","traits":{},"timestamp":"2026-01-02T12:00:00.000Z","receivedAt":"2026-01-02T12:00:00.000Z"}`,
		},
		"a clock that is an hour ahead": {
			"/v1/track", `{"userId":"u","event":"A","messageId":"m","timestamp":"2026-01-02T12:59:50Z","sentAt":"2026-01-02T13:00:00Z"}`,
			`{"type":"track","messageId":"m","userId":"u","event":"A","timestamp":"2026-01-02T11:59:50.000Z","originalTimestamp":"2026-01-02T12:59:50Z","sentAt":"2026-01-02T13:00:00Z","receivedAt":"2026-01-02T12:00:00.000Z"}`,
		},
		"the duration of a request is not clock skew": {
			"/v1/track", `{"userId":"u","event":"A","messageId":"m","timestamp":"2026-01-02T11:59:50Z","sentAt":"2026-01-02T11:59:58Z"}`,
			`{"type":"track","messageId":"m","userId":"u","event":"A","timestamp":"2026-01-02T11:59:50Z","originalTimestamp":"2026-01-02T11:59:50Z","sentAt":"2026-01-02T11:59:58Z","receivedAt":"2026-01-02T12:00:00.000Z"}`,
		},
		"a batch's context lies under its events'": {
			"/v1/batch", `{"context":{"app":"x","ip":"1"},"integrations":{"All":false},"sentAt":"2026-01-02T11:00:00Z","batch":[{"type":"page","userId":"u","messageId":"m","timestamp":"2026-01-02T10:59:00Z","context":{"ip":"2"}}]}`,
			`{"type":"page","messageId":"m","userId":"u","context":{"app":"x","ip":"2"},"integrations":{"All":false},"timestamp":"2026-01-02T11:59:00.000Z","originalTimestamp":"2026-01-02T10:59:00Z","sentAt":"2026-01-02T11:00:00Z","receivedAt":"2026-01-02T12:00:00.000Z"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &sink{}
			w := post(handler(s), c.path, c.body)
			require.Equal(t, 200, w.Code, w.Body)
			assert.JSONEq(t, `{"success":true}`, w.Body.String())
			require.Len(t, s.events, 1)
			assert.Equal(t, c.want, string(s.events[0].Raw))
			assert.Equal(t, "web", s.events[0].Source)
		})
	}
	s := &sink{}
	post(handler(s), "/v1/page", `{"userId":"u"}`)
	assert.NotEmpty(t, s.events[0].Value.Get("messageId").Str())
}

func TestInvalidRequestsSayWhy(t *testing.T) {
	large := `{"userId":"u","event":"` + strings.Repeat("x", 33<<10) + `"}`
	for _, c := range []struct {
		path, body string
		status     int
		says       string
	}{
		{"/v1/track", `{`, 400, "not valid JSON"}, {"/v1/track", `[]`, 400, "an array"}, {"/v1/track", `{"userId":"u"}`, 400, "event should be"},
		{"/v1/identify", `{}`, 400, "userId or anonymousId"}, {"/v1/group", `{"userId":"u"}`, 400, "groupId"}, {"/v1/alias", `{"userId":"u"}`, 400, "previousId"},
		{"/v1/track", `{"userId":"u","event":"A","properties":[1]}`, 400, "properties should be an object but is an array"},
		{"/v1/track", `{"batch":[{"type":"page","userId":"u"}]}`, 400, "the body is a batch: send it to /v1/batch"},
		{"/v1/batch", `{}`, 400, "batch is missing: it should be an array"}, {"/v1/batch", `{"batch":{}}`, 400, "batch should be an array of events but is an object"},
		{"/v1/batch", `{"batch":[{"userId":"u"}]}`, 400, "type should be"},
		{"/v1/batch", `{"batch":[{"type":"purchase"}]}`, 400, `but is \"purchase\"`}, {"/v1/track", large, 413, "larger than 32 KB"},
		{"/v1/batch", `{"batch":["` + strings.Repeat("x", 500<<10) + `"]}`, 413, "larger than 500 KB"},
		{"/v1/nothing", `{}`, 404, ""},
	} {
		w := post(handler(&sink{}), c.path, c.body)
		assert.Equal(t, c.status, w.Code, c.path+c.body[:min(len(c.body), 50)])
		assert.Contains(t, w.Body.String(), c.says)
	}
	w := post(handler(&sink{}), "/v1/track", `{"userId":"u","event":"A"}`, func(r *http.Request) { r.SetBasicAuth("no", "") })
	assert.Equal(t, 401, w.Code)
	assert.NotContains(t, w.Body.String(), "no\"")
	r := httptest.NewRequest("GET", "/v1/track", nil)
	got := httptest.NewRecorder()
	handler(&sink{}).ServeHTTP(got, r)
	assert.Equal(t, 405, got.Code)
}

func TestValidEventsOfABatchAreAccepted(t *testing.T) {
	s := &sink{}
	w := post(handler(s), "/v1/batch", `{"batch":[{"type":"track","userId":"u","event":"A"},{"type":"track","messageId":"bad","userId":"u"},{"type":"page","userId":"u"}]}`)
	assert.Equal(t, 200, w.Code)
	assert.Contains(t, w.Body.String(), `{"index":1,"messageId":"bad","error":"event should be the name`)
	assert.Len(t, s.events, 2)
}

func TestWriteKeysAndRateLimits(t *testing.T) {
	s := &sink{}
	now := noon
	h := handler(s, func(c *ingest.Config) {
		c.Now = func() time.Time { return now }
		c.Sources = append(c.Sources, ingest.Source{ID: "slow", WriteKey: "slow", PerSecond: 2})
	})
	body := `{"userId":"u","event":"A","writeKey":"slow"}`
	plain := func(r *http.Request) { r.Header.Del("Authorization") }
	for i, want := range []int{200, 200, 200, 200, 429} {
		w := post(h, "/v1/track", body, plain)
		require.Equal(t, want, w.Code, i)
	}
	now = now.Add(time.Second)
	h.SetSources([]ingest.Source{{ID: "slow", WriteKey: "slow", PerSecond: 2}}, nil)
	for i, want := range []int{200, 200, 429} {
		require.Equal(t, want, post(h, "/v1/track", body, plain).Code, i)
	}
	assert.Equal(t, 401, post(h, "/v1/track", body).Code, "a source that is gone")
	assert.Equal(t, "slow", s.events[0].Source)
	assert.NotContains(t, string(s.events[0].Raw), "writeKey")
}

func TestCompressedBodyLimits(t *testing.T) {
	zip := func(text string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = io.WriteString(z, text)
		_ = z.Close()
		return b.String()
	}
	zipped := func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }
	s := &sink{}
	assert.Equal(t, 200, post(handler(s), "/v1/track", zip(`{"userId":"u","event":"A"}`), zipped).Code)
	assert.Equal(t, 413, post(handler(s), "/v1/track", zip(strings.Repeat(" ", 50<<20)), zipped).Code)
	assert.Equal(t, 400, post(handler(s), "/v1/track", `{}`, zipped).Code)
	assert.Equal(t, 415, post(handler(s), "/v1/track", `{}`, func(r *http.Request) { r.Header.Set("Content-Encoding", "br") }).Code)
	assert.Len(t, s.events, 1)
}

// The shared members of a batch are copied into its events within a limit, so that a small request cannot fill the memory.
func TestSharedMembersAreLimited(t *testing.T) {
	s := &sink{}
	h := handler(s)
	batch := func(n int) string {
		return `{"context":{"app":"` + strings.Repeat("x", 20_000) + `"},"batch":[` + strings.Repeat(`{"type":"page","userId":"u"},`, n-1) + `{"type":"page","userId":"u"}]}`
	}
	assert.Equal(t, 200, post(h, "/v1/batch", batch(100)).Code)
	require.Len(t, s.events, 100)
	w := post(h, "/v1/batch", batch(10_000))
	assert.Equal(t, 400, w.Code)
	assert.Contains(t, w.Body.String(), "send fewer at once")
	assert.Len(t, s.events, 100)
}

// Responses and the log do not repeat long input.
func TestErrorsDoNotRepeatLongInput(t *testing.T) {
	w := post(handler(&sink{}), "/v1/batch", `{"batch":[{"type":"`+strings.Repeat("x", 100_000)+`","userId":"u"}]}`)
	assert.Equal(t, 400, w.Code)
	assert.Less(t, w.Body.Len(), 1000)
}

func TestClientsAreAskedToRetry(t *testing.T) {
	w := post(handler(&sink{err: errors.New("disk full")}), "/v1/track", `{"userId":"u","event":"A"}`)
	assert.Equal(t, 503, w.Code)
	assert.NotEmpty(t, w.Header().Get("Retry-After"))
	assert.NotContains(t, w.Body.String(), "disk")
}

func TestAllowedOrigins(t *testing.T) {
	for origin, allowed := range map[string]string{"https://shop.example": "https://shop.example", "https://evil.example": ""} {
		r := httptest.NewRequest("OPTIONS", "/v1/t", nil)
		r.Header.Set("Origin", origin)
		w := httptest.NewRecorder()
		handler(&sink{}).ServeHTTP(w, r)
		assert.Equal(t, 204, w.Code)
		assert.Equal(t, allowed, w.Header().Get("Access-Control-Allow-Origin"))
	}
}

// Every input gets a response, and an accepted event is one line of JSON with the values that were sent.
func FuzzBody(f *testing.F) {
	f.Add("/v1/batch", []byte(`{"batch":[{"type":"track","userId":"u","event":"A","timestamp":"2026-01-02T03:04:05Z"}],"sentAt":"x"}`))
	f.Add("/v1/track", []byte(`{"userId":1,"event":"A","context":{"a":{"b":[1,{}]}},"properties":{"x":"\u0000\ud800"}}`))
	f.Fuzz(func(t *testing.T, path string, body []byte) {
		if path != "/v1/batch" {
			path = "/v1/track"
		}
		s := &sink{}
		w := post(handler(s), path, string(body))
		if !json.Valid(w.Body.Bytes()) {
			t.Fatalf("the answer is no JSON: %q", w.Body)
		}
		if w.Code == 503 {
			t.Fatal(w.Body)
		}
		if w.Code == 200 && len(s.events) == 0 && path == "/v1/track" {
			t.Fatal("accepted and not taken")
		}
		for _, e := range s.events {
			if bytes.IndexByte(e.Raw, '\n') >= 0 {
				t.Fatalf("more than a line: %q", e.Raw)
			}
		}
	})
}

// TestWhatIsKeptOfARequestStays checks that later requests do not change what Append, Reject and Erase may keep of earlier ones: the memory of a
// body is used again.
func TestWhatIsKeptOfARequestStays(t *testing.T) {
	var kept []event.Value
	s := &sink{}
	h := handler(s, func(c *ingest.Config) {
		c.Sources[0].Erases = true
		c.Reject = func(_ string, v event.Value, _ string) { kept = append(kept, v) }
		c.Erase = func(_ context.Context, _ string, events []event.Value) error {
			kept = append(kept, events...)
			return nil
		}
	})
	first := `{"batch":[{"type":"track","userId":"ana","event":"First"},{"type":"track","userId":"ben"},{"type":"delete","userId":"cid"}]}`
	for _, body := range []string{first, `{"batch":[{"type":"track","userId":"ana","event":"First"}]}`} {
		require.Equal(t, 200, post(h, "/v1/batch", body).Code)
	}
	for range 50 {
		require.Equal(t, 200, post(h, "/v1/batch", `{"batch":[{"type":"page","userId":"0123456789","name":"`+strings.Repeat("x", 100)+`"}]}`).Code)
	}
	require.Len(t, kept, 2)
	assert.Equal(t, []string{"track", "ben", "delete", "cid"}, []string{kept[0].Get("type").Str(), kept[0].Get("userId").Str(), kept[1].Get("type").Str(), kept[1].Get("userId").Str()})
	for _, e := range s.events[:2] {
		read, err := event.Parse(e.Raw)
		require.NoError(t, err)
		assert.Equal(t, "First", read.Value().Get("event").Str())
	}
}

func BenchmarkBatchOf100(b *testing.B) {
	var lines []string
	for i := range 100 {
		lines = append(lines, fmt.Sprintf(`{"type":"track","messageId":"m%d","userId":"u%d","event":"Audience Entered","timestamp":"2026-01-02T03:04:05.123Z","properties":{"audience_key":"vip","vip":true},"context":{"personas":{"computation_class":"audience","computation_id":"aud_1","computation_key":"vip"}}}`, i, i))
	}
	body := `{"batch":[` + strings.Join(lines, ",") + `]}`
	h := handler(&sink{err: nil}, func(c *ingest.Config) { c.Append = func(context.Context, []ingest.Event) error { return nil } })
	b.ReportAllocs()
	for b.Loop() {
		if w := post(h, "/v1/batch", body); w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
	b.ReportMetric(float64(b.N*100)/b.Elapsed().Seconds(), "events/s")
	started := time.Now()
	for range b.N {
		if !json.Valid([]byte(body)) {
			b.Fatal("not valid JSON")
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(time.Since(started)), "x-floor")
}

func TestDeletionsNeedPermission(t *testing.T) {
	s := &sink{}
	for _, path := range []string{"/v1/delete", "/delete"} {
		w := post(handler(s), path, `{"userId":"u"}`)
		assert.Contains(t, w.Body.String(), "set deletes: true in its config")
	}
	w := post(handler(s), "/v1/batch", `{"batch":[{"type":"delete","userId":"u"},{"type":"page","userId":"u"}]}`)
	assert.Contains(t, w.Body.String(), "deletes: true")
	require.Len(t, s.events, 1)
	may := func(c *ingest.Config) { c.Sources[0].Deletes = true }
	w = post(handler(s, may), "/v1/delete", `{"userId":"u"}`)
	assert.Equal(t, 200, w.Code)
	require.Len(t, s.events, 2)
	assert.Equal(t, "delete", s.events[1].Value.Get("type").Str())
}

// Requests that only map an event have the rate limit of their source, but take nothing from its events.
func TestMappingHasItsOwnRate(t *testing.T) {
	s := &sink{}
	h := handler(s, func(c *ingest.Config) {
		c.Sources = []ingest.Source{{ID: "slow", WriteKey: "slow", PerSecond: 1}}
		c.Map = func(_ context.Context, e ingest.Event) ([]byte, error) {
			return []byte(`{"of":"` + e.Source + `"}`), nil
		}
	})
	slow := func(r *http.Request) { r.SetBasicAuth("slow", "") }
	const body = `{"type":"track","event":"A","userId":"u"}`
	for _, want := range []int{200, 200, 429} {
		assert.Equal(t, want, post(h, "/v1/device/map", body, slow).Code)
	}
	assert.Empty(t, s.events)
	assert.Equal(t, 200, post(h, "/v1/track", body, slow).Code)
	mapped := post(handler(s, func(c *ingest.Config) {
		c.Map = func(context.Context, ingest.Event) ([]byte, error) { return []byte(`{}`), nil }
	}), "/v1/device/map", body, func(r *http.Request) { r.SetBasicAuth("wk", "") })
	assert.Equal(t, `{}`, mapped.Body.String())
	for name, want := range map[string]string{"Content-Type": "application/json", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
		assert.Equal(t, want, mapped.Header().Get(name))
	}
	failing := handler(s, func(c *ingest.Config) {
		c.Map = func(context.Context, ingest.Event) ([]byte, error) { return nil, errors.New("the secret reason") }
	})
	refused := post(failing, "/v1/device/map", body, func(r *http.Request) { r.SetBasicAuth("wk", "") })
	assert.Equal(t, 500, refused.Code)
	assert.NotContains(t, refused.Body.String(), "secret reason")
	assert.Equal(t, 404, post(handler(s), "/v1/device/map", body).Code, "without Map the path is unknown")
}
