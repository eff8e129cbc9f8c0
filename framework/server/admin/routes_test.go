package admin_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/admin"
	"github.com/landfall-dev/landfall/framework/server/audienceruns"
	"github.com/landfall-dev/landfall/framework/server/why"
	"github.com/landfall-dev/landfall/framework/state"
)

// routes returns the routes that the package's files name, such as "POST /admin/reload", except for those that need no access.
func routes(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var list []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, found := range regexp.MustCompile(`mux\.Handle\w*\("([A-Z]+ /[^"]*)"`).FindAllStringSubmatch(string(text), -1) {
			if route := found[1]; route != "GET /healthz" && route != "GET /readyz" {
				list = append(list, route)
			}
		}
	}
	require.Greater(t, len(list), 20)
	return list
}

// TestEveryRouteNeedsAccess checks that no route but those of the health answers a client elsewhere, a client with a wrong key, or a page in
// a browser on the server's machine, which may only read metrics.
func TestEveryRouteNeedsAccess(t *testing.T) {
	for _, route := range routes(t) {
		method, path, _ := strings.Cut(route, " ")
		send := func(key, from, header, value string) int {
			var log bytes.Buffer
			r := httptest.NewRequest(method, path, nil)
			r.Host, r.RemoteAddr = "127.0.0.1:8081", from
			r.Header.Set(header, value)
			w := httptest.NewRecorder()
			handler(key, &log).ServeHTTP(w, r)
			return w.Code
		}
		assert.Equal(t, http.StatusUnauthorized, send("", "192.0.2.7:5000", "Landfall-Admin", "1"), "%s: elsewhere", route)
		assert.Equal(t, http.StatusUnauthorized, send("right", "127.0.0.1:5000", "Authorization", "Bearer wrong"), "%s: with a wrong key", route)
		if path != "/metrics" {
			assert.Equal(t, http.StatusUnauthorized, send("", "127.0.0.1:5000", "Accept", "text/html"), "%s: a page", route)
		}
	}
}

// TestReasonsOfDeniedAccess checks what a request is told that has no key, a wrong one, or one for a server without a key.
func TestReasonsOfDeniedAccess(t *testing.T) {
	for _, c := range []struct{ key, from, bearer, want string }{
		{"right", "127.0.0.1:5000", "", "this needs the admin key as a bearer token"},
		{"right", "127.0.0.1:5000", "wrong", "this is not the server's admin key"},
		{"", "192.0.2.7:5000", "wrong", "no admin key is set, so only programs on the server's machine have access"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/admin/status", nil)
		r.Host, r.RemoteAddr = "127.0.0.1:8081", c.from
		if c.bearer != "" {
			r.Header.Set("Authorization", "Bearer "+c.bearer)
		}
		w := httptest.NewRecorder()
		handler(c.key, &bytes.Buffer{}).ServeHTTP(w, r)
		assert.Equal(t, http.StatusUnauthorized, w.Code)
		assert.Contains(t, w.Body.String(), c.want)
	}
}

// TestMissingParts checks that a program without a part of the server says so, instead of failing.
func TestMissingParts(t *testing.T) {
	s := admin.Server{Guard: access.NewGuard(access.Config{AllowLocal: true, Log: slog.New(slog.DiscardHandler)})}
	for _, route := range []string{
		"GET /metrics", "POST /admin/resume?instance=crm", "POST /admin/reload", "GET /admin/backup", "GET /admin/why", "GET /admin/budget?name=crm", "PUT /admin/budget?name=crm",
		"GET /admin/audience/syncs", "GET /admin/audience/syncs/history?limit=1", "POST /admin/audience/syncs/run", "POST /admin/audience/syncs/approve",
		"GET /admin/erasures", "GET /admin/erasures/1", "POST /admin/erasures",
	} {
		method, path, _ := strings.Cut(route, " ")
		r := httptest.NewRequest(method, path, strings.NewReader("{}"))
		r.RemoteAddr, r.Host = "127.0.0.1:5000", "127.0.0.1"
		r.Header.Set("Landfall-Admin", "1")
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		assert.Equal(t, http.StatusNotFound, w.Code, route)
	}
}

func TestCommandsOnAudienceSyncs(t *testing.T) {
	store, err := state.Open(t.Context(), t.TempDir())
	require.NoError(t, err)
	defer store.Close()
	var log bytes.Buffer
	syncs := audienceruns.New(audienceruns.Config{
		Store: store, Syncs: func() []config.AudienceSync { return nil }, Instances: func() []instances.Instance { return nil }, Log: slog.New(slog.DiscardHandler),
	})
	defer syncs.Close()
	s := admin.Server{Syncs: syncs, Guard: access.NewGuard(access.Config{AllowLocal: true, Log: slog.New(slog.NewTextHandler(&log, nil))})}
	c := admin.Client{Transport: &inProcess{s.Handler()}, URL: "http://127.0.0.1"}
	list, err := c.AudienceSyncs(t.Context())
	require.NoError(t, err)
	assert.Empty(t, list)
	for _, limit := range []int{1, 1000} {
		runs, err := c.AudienceRuns(t.Context(), "vip", limit)
		require.NoError(t, err)
		assert.Empty(t, runs)
	}
	for _, limit := range []int{-1, 0, 1001} {
		_, err := c.AudienceRuns(t.Context(), "vip", limit)
		assert.Equal(t, http.StatusBadRequest, statusOf(t, err), limit)
	}
	choice := audienceruns.Choice{Sync: "vip", Instance: "crm"}
	for action, command := range map[string]func(context.Context, audienceruns.Choice) error{"run": c.RunAudienceSync, "approve": c.ApproveAudienceSync} {
		err := command(t.Context(), choice)
		assert.Equal(t, http.StatusBadRequest, statusOf(t, err), action)
		assert.ErrorContains(t, err, `there is no enabled audience sync "vip"`)
		assert.Contains(t, log.String(), `action=audience.sync.`+action+` who="local program" from=127.0.0.1 outcome=failed sync=vip instance=crm`)
	}
}

// brokenBudgets is a store of budgets that cannot be reached.
type brokenBudgets struct{ budget.Store }

func (brokenBudgets) Load(context.Context, string) ([]byte, uint64, error) {
	return nil, 0, errors.New("no connection")
}

// TestBudgetsAreShared checks that a command shares the budgets of the server, and sees no other.
func TestBudgetsAreShared(t *testing.T) {
	own := budget.NewMemoryStore()
	s := admin.Server{
		Guard: access.NewGuard(access.Config{AllowLocal: true, Log: slog.New(slog.DiscardHandler)}),
		Budgets: func(name string) (budget.Store, bool) {
			if name == "broken" {
				return brokenBudgets{}, true
			}
			return own, name == "crm"
		},
	}
	c := admin.Client{Transport: &inProcess{s.Handler()}, URL: "http://127.0.0.1"}
	shared := c.BudgetStore()
	assert.True(t, shared.Shared())
	data, revision, err := shared.Load(t.Context(), "crm")
	require.NoError(t, err)
	assert.Empty(t, data)
	saved, err := shared.Save(t.Context(), "crm", []byte(`{"spent":1}`), revision)
	require.NoError(t, err)
	data, revision, err = own.Load(t.Context(), "crm")
	require.NoError(t, err)
	assert.Equal(t, `{"spent":1}`, string(data))
	assert.Equal(t, saved, revision)
	_, err = shared.Save(t.Context(), "crm", []byte(`{"spent":2}`), revision-1)
	assert.ErrorIs(t, err, budget.ErrConflict)
	_, _, err = shared.Load(t.Context(), "other")
	assert.ErrorIs(t, err, admin.ErrNoBudget)
	_, _, err = shared.Load(t.Context(), "broken")
	assert.Equal(t, http.StatusServiceUnavailable, statusOf(t, err))
	assert.NotErrorIs(t, err, admin.ErrNoBudget, "it exists")
	assert.NotErrorIs(t, err, budget.ErrConflict)
	_, err = shared.Save(t.Context(), "crm", bytes.Repeat([]byte("x"), 1<<20), saved)
	assert.Equal(t, http.StatusBadRequest, statusOf(t, err), "too large")
	r := httptest.NewRequest("PUT", "/admin/budget?name=crm", strings.NewReader("no JSON"))
	r.RemoteAddr, r.Host = "127.0.0.1:5000", "127.0.0.1"
	r.Header.Set("Landfall-Admin", "1")
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	assert.Equal(t, http.StatusBadRequest, w.Code)
	data, _, err = own.Load(t.Context(), "crm")
	require.NoError(t, err)
	assert.Equal(t, `{"spent":1}`, string(data))
}

// TestCutResponsesAreErrors checks that no call takes a response that is cut off, or that is none of this API, for an answer.
func TestCutResponsesAreErrors(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"cut off": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"a":`)) },
		"a page":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) },
	} {
		c := admin.Client{Transport: &inProcess{h}, URL: "http://127.0.0.1"}
		for call, err := range map[string]error{
			"health": second(c.Health(t.Context())), "status": second(c.Status(t.Context())), "instances": second(c.Instances(t.Context())),
			"why": second(c.Why(t.Context(), why.Question{User: "u"})), "damage": second(c.Damage(t.Context())),
			"syncs": second(c.AudienceSyncs(t.Context())), "runs": second(c.AudienceRuns(t.Context(), "", 1)),
			"save": second(c.BudgetStore().Save(t.Context(), "crm", nil, 0)),
		} {
			assert.Error(t, err, "%s: %s", name, call)
		}
		_, _, err := c.BudgetStore().Load(t.Context(), "crm")
		assert.Error(t, err, name)
		err = c.DeadLetters(t.Context(), delivery.DeadLetterFilter{}, func(*delivery.DeadLetter) error { return nil })
		assert.Error(t, err, name)
	}
	away := admin.Client{Transport: unreachable{}, URL: "http://127.0.0.1"}
	_, err := away.Health(t.Context())
	assert.ErrorContains(t, err, "calling the server")
	err = away.DeadLetters(t.Context(), delivery.DeadLetterFilter{}, func(*delivery.DeadLetter) error { return nil })
	assert.ErrorContains(t, err, "calling the server")
}

// unreachable is a transport without a server.
type unreachable struct{}

func (unreachable) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no connection")
}

func second[T any](_ T, err error) error { return err }

// TestHealthOfAServerThatIsNotReady checks that the reasons of a server that is not ready arrive.
func TestHealthOfAServerThatIsNotReady(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"ready":false,"taking":true,"findings":[{"stops":"delivery","message":"m","next":"n"}]}`))
	})
	c := admin.Client{Transport: &inProcess{h}, URL: "http://127.0.0.1"}
	health, err := c.Health(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []any{false, true, 1}, []any{health.Ready, health.Ingesting, len(health.Findings)})
}
