package devicemode_test

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/devicemode"
	"github.com/landfall-dev/landfall/framework/server/ingest"
)

// probeConfig has two instances of the destination probe, one of another source, and a cloud destination.
const probeConfig = `
sources: [{id: web, writeKey: wk}, {id: shop, writeKey: sk}]
destinations:
  - id: probe-web
    destination: probe
    sources: [web]
    consent: [ads]
    settings: {token: tok-123, note: not-for-pages, LIBRARY}
    subscriptions:
      - {action: record, subscribe: type = "track" and event != "Other"}
      - {action: profile}
      - {action: guard}
      - {action: profile, name: off, subscribe: type = "page", enabled: false}
  - id: probe-shop
    destination: probe
    sources: [shop]
    settings: {token: tok-456, site: shop}
    subscriptions: [{action: record}]
  - id: cloud
    destination: cloud
    sources: [web]
    consent: [mail]
    settings: {key: cloud-secret}
    subscriptions: [{action: send}]
`

const cloudDefinition = `{"name": "Cloud", "slug": "cloud", "mode": "cloud", "description": "x.",
	"authentication": {"scheme": "custom", "fields": {"key": {"label": "Key", "description": "x.", "type": "password"}}},
	"actions": {"send": {"title": "Send", "description": "x.", "defaultSubscription": "type = \"track\"", "fields": {}, "request": {"url": "https://api.example/send", "body": {"@path": "$.payload"}}}}}`

// probeSite returns the site of probeConfig with more settings of the instance probe-web.
func probeSite(t testing.TB, publicURL, settings string) devicemode.Site {
	t.Helper()
	plugins, err := destination.FromDirectory("testdata/definitions")
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(dir+"/cloud", 0o700))
	require.NoError(t, os.WriteFile(dir+"/cloud/destination.yaml", []byte(cloudDefinition), 0o600))
	more, err := destination.FromDirectory(dir)
	require.NoError(t, err)
	registry, err := destination.NewRegistry(append(plugins, more...))
	require.NoError(t, err)
	cfg, problems := config.Parse("landfall.yaml", []byte(strings.Replace(probeConfig, "LIBRARY", settings, 1)), config.Env{})
	plans, err := runtime.Load(cfg, problems, registry, nil)
	require.NoError(t, err)
	site := devicemode.Site{PublicURL: publicURL}
	for _, s := range cfg.Sources {
		site.Sources = append(site.Sources, devicemode.Source{ID: s.ID, WriteKey: s.WriteKey})
	}
	for _, plan := range plans {
		in, _ := cfg.FindInstance(plan.ID())
		entry, _ := registry.Find(in.Destination)
		site.Instances = append(site.Instances, devicemode.Instance{Plan: plan, Plugin: entry.Plugin, Sources: in.Sources, Consent: in.Consent})
	}
	return site
}

// landfall is a server of the tracking API and of pages, without a queue.
type landfall struct {
	*httptest.Server
	handler *devicemode.Handler

	hookTime string // replaces the limit of that name in the scripts of destinations; "" for theirs

	mu     sync.Mutex
	events []ingest.Event // that were sent to the tracking API
	down   bool           // every request is refused with 503
	slow   string         // the name of an event whose mapping takes half a second
}

// startLandfall starts a server for pages of any origin.
func startLandfall(t testing.TB) *landfall {
	t.Helper()
	s := &landfall{}
	events := ingest.New(ingest.Config{
		Sources: []ingest.Source{{ID: "web", WriteKey: "wk"}, {ID: "shop", WriteKey: "sk"}}, Origins: []string{"*"},
		Append: func(_ context.Context, list []ingest.Event) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, e := range list {
				read, err := event.Parse(e.Raw)
				if err != nil {
					return err
				}
				e.Value = read.Value()
				s.events = append(s.events, e)
			}
			return nil
		},
		Map: func(_ context.Context, e ingest.Event) ([]byte, error) {
			s.mu.Lock()
			slow := s.slow
			s.mu.Unlock()
			if slow != "" && e.Value.Get("event").Str() == slow {
				time.Sleep(500 * time.Millisecond)
			}
			return s.handler.Map(e.Source, e.Raw)
		},
	})
	s.handler = devicemode.New(events.AllowOrigin)
	mux := http.NewServeMux()
	for _, path := range devicemode.Paths() {
		mux.Handle(path, s.handler)
	}
	mux.Handle("/", events)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		down := s.down
		s.mu.Unlock()
		if down && r.Method == http.MethodPost {
			w.Header().Set("Access-Control-Allow-Origin", "*")
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		if s.hookTime != "" && strings.HasPrefix(r.URL.Path, "/device/") {
			s.servePatient(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// servePatient serves the script of a destination with longer limits of time.
func (s *landfall) servePatient(w http.ResponseWriter, r *http.Request) {
	r.Header.Del("Accept-Encoding")
	served := httptest.NewRecorder()
	s.handler.ServeHTTP(served, r)
	text := served.Body.String()
	for limit, longer := range map[string]string{"const hookTime = 1000;": "const hookTime = " + s.hookTime + ";", "const requestTime = 15000;": "const requestTime = 60000;"} {
		if served.Code == http.StatusOK && !strings.Contains(text, limit) {
			http.Error(w, "the script has no "+limit, http.StatusInternalServerError)
			return
		}
		text = strings.Replace(text, limit, longer, 1)
	}
	maps.Copy(w.Header(), served.Header())
	w.Header().Del("Content-Length")
	w.WriteHeader(served.Code)
	_, _ = io.WriteString(w, text)
}

func (s *landfall) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *landfall) setSlow(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slow = name
}

// received returns the events that reached the tracking API, as "type event" each.
func (s *landfall) received() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]string, len(s.events))
	for i, e := range s.events {
		list[i] = strings.TrimSpace(e.Value.Get("type").Str() + " " + e.Value.Get("event").Str())
	}
	return list
}
