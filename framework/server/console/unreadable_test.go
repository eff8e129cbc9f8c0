package console_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/console"
	"github.com/landfall-dev/landfall/framework/server/history"
	"github.com/landfall-dev/landfall/framework/server/why"
	"github.com/landfall-dev/landfall/framework/state"
)

var errDown = errors.New("the database is down")

// failEverything makes everything fail that the console reads while a page is made.
func failEverything(s *console.Config) {
	s.Rejections = func(context.Context, int) ([]history.Rejection, error) { return nil, errDown }
	s.Actions = func(context.Context, int) ([]history.Action, error) { return nil, errDown }
	s.Configs = func(context.Context) ([]history.ConfigChange, error) { return nil, errDown }
	s.Running = func() ([]console.Instance, error) { return nil, errDown }
	s.Registry = func() (*destination.Registry, error) { return nil, errDown }
	s.Why = &why.Source{Instances: func(func(httpx.Exchange)) ([]instances.Instance, error) { return nil, errDown }}
	s.History = console.HistorySource{
		Counts: func(context.Context, time.Time) ([]history.CountSlot, error) { return nil, errDown },
		Sizes: func(context.Context, string, string, time.Time) (map[string][]history.SizePoint, error) {
			return nil, errDown
		},
		Events: func(context.Context, []history.Position) (map[history.Position][]delivery.VerdictRecord, error) {
			return nil, errDown
		},
		Verdicts: func(context.Context, history.VerdictFilter) ([]delivery.VerdictRecord, bool, error) {
			return nil, false, errDown
		},
	}
}

// TestWhatCannotBeRead checks that a page says what could not be read, instead of showing nothing as if there were nothing, and that what
// only adds to a page is logged.
func TestWhatCannotBeRead(t *testing.T) {
	log := &strings.Builder{}
	q := newQueuePageOf(t, 1, func(s *console.Config) {
		failEverything(s)
		s.Log = slog.New(slog.NewTextHandler(log, nil))
	})
	for path, c := range map[string]struct {
		status int
		logged string
	}{
		"changes": {200, ""}, "changes/config": {200, ""}, "changes/config/1": {500, ""}, "audiences": {200, ""}, "live": {200, "cannot read verdicts from the history"},
		"history": {200, ""}, "verdicts": {200, ""}, "deliveries": {200, "cannot read the latest errors"}, "why?user=u1": {500, ""}, "catalogue": {0, "cannot read destination definitions"},
	} {
		log.Reset()
		w := q.do(http.MethodGet, path, nil, nil)
		if c.status != 0 {
			assert.Equal(t, c.status, w.Code, path)
			assert.True(t, strings.Contains(strings.ToLower(w.Body.String()), errDown.Error()), path)
		}
		assert.Contains(t, log.String(), c.logged, path)
	}
	assert.Equal(t, 1, strings.Count(q.get("events?user=u1"), "Bought of u1"), "what the log has is shown all the same")
	assert.Equal(t, http.StatusInternalServerError, q.do(http.MethodPost, "changes/config/1", nil, nil).Code)
	assert.Equal(t, http.StatusBadRequest, q.do(http.MethodGet, "why?user=", nil, nil).Code)

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	q.runner.Stop(ctx)
	q.queue.Close()
	for _, path := range []string{"letters", "events?user=u1"} {
		assert.Contains(t, q.get(path), "closed", path)
	}
	log.Reset()
	q.get("test")
	assert.Contains(t, log.String(), "cannot read recent events")
	assert.Equal(t, http.StatusInternalServerError, q.do(http.MethodPost, "letters", url.Values{"do": {"check"}}, nil).Code)
}

// TestLongHistoriesAreCut checks that a page lists a limited number of changes and says how many others there are.
func TestLongHistoriesAreCut(t *testing.T) {
	n := 200
	p := newPageOf(t, written, "", func(s *console.Config) {
		s.Actions = func(_ context.Context, limit int) ([]history.Action, error) {
			assert.Equal(t, 2000, limit)
			return make([]history.Action, n), nil
		}
		s.Configs = func(context.Context) ([]history.ConfigChange, error) {
			list := make([]history.ConfigChange, n)
			for i := range list {
				list[i] = history.ConfigChange{ID: int64(n - i), Text: "destinations: []\n"}
			}
			return list, nil
		}
	})
	for _, path := range []string{"changes", "changes/config"} {
		n = 200
		assert.NotContains(t, p.get(path), "older ones", path)
		n = 203
		assert.Regexp(t, `\b3 (older|more|others)`, p.get(path), path)
	}
}

// TestConfigsThatCannotComeBack checks why an earlier config is not written again.
func TestConfigsThatCannotComeBack(t *testing.T) {
	list := []history.ConfigChange{{ID: 4, Text: written}, {ID: 3, Text: ""}, {ID: 2, Text: "destinations: ["}, {ID: 1, Text: "destinations: []\n"}}
	p := newPageOf(t, written, "", func(s *console.Config) {
		s.Configs = func(context.Context) ([]history.ConfigChange, error) { return list, nil }
	})
	for id, want := range map[string]string{"3": "too long to keep, so that it cannot be used again", "2": "landfall.yaml"} {
		w := p.do(http.MethodPost, "changes/config/"+id, nil, nil)
		assert.Equal(t, http.StatusConflict, w.Code)
		assert.Contains(t, w.Body.String(), want)
	}
	assert.Equal(t, http.StatusOK, p.do(http.MethodPost, "changes/config/1", nil, nil).Code)
	assert.Equal(t, http.StatusNotFound, p.do(http.MethodPost, "changes/config/9", nil, nil).Code)
	for text, want := range map[string]string{"too long to keep": "3", "first that is kept": "1"} {
		assert.Contains(t, p.get("changes/config"), text, want)
	}
	require.NoError(t, os.Remove(p.file))
	require.NoError(t, os.Mkdir(p.file, 0o700))
	assert.NotEqual(t, http.StatusOK, p.do(http.MethodPost, "changes/config/1", nil, nil).Code, "the present config cannot be read")
}

// TestWhyOnTheConsole asks why a user is missing, and checks that a page without a user asks nothing.
func TestWhyOnTheConsole(t *testing.T) {
	store, err := state.Open(t.Context(), t.TempDir())
	require.NoError(t, err)
	defer store.Close()
	q := newQueuePageOf(t, 1, func(s *console.Config) {
		s.Why = &why.Source{Queue: s.Queue, Store: store, Instances: func(func(httpx.Exchange)) ([]instances.Instance, error) { return nil, nil }}
	})
	assert.NotContains(t, q.get("why"), "never arrived")
	body := q.get("why?user=nobody-known")
	assert.Contains(t, body, "nobody-known")
	assert.Contains(t, body, `class="note answer bad"`)
	assert.Contains(t, q.get("why?user=+u1+"), "Bought")
	w := q.do(http.MethodGet, "why?user=+", nil, nil)
	assert.Equal(t, http.StatusBadRequest, w.Code)
	assert.Contains(t, w.Body.String(), "Give a user")
	assert.Contains(t, newPage(t, written).get("why?user=u1"), "landfall serve", "there is no queue to ask")
}

// TestSamplesComeFromTheLog checks that the latest events can be used as samples, and that the setup offers the audiences that they have.
func TestSamplesComeFromTheLog(t *testing.T) {
	q := newQueuePageOf(t, 2, func(*console.Config) {})
	raw := `{"type":"track","event":"Audience Entered","userId":"u9","context":{"personas":{"computation_key":"spring_sale"}}}`
	for range 2 {
		require.NoError(t, q.queue.Append(t.Context(), []delivery.NewEvent{{Source: "web", Key: "u:u9", Raw: []byte(raw)}, {Source: "web", Key: "u:u9", Raw: []byte("[")}}))
	}
	body := q.get("setup/edit/main")
	assert.Regexp(t, `value="\d+-\d+"[^>]*>just now: Audience Entered of u9`, body)
	assert.Contains(t, body, "Example: identify", "the built-in ones follow")
	body = q.get("wizard/at/main/audiences?chosen=1&audience=spring_sale&keys=other%0Aspring_sale")
	assert.Equal(t, 1, strings.Count(body, `name="audience" value="spring_sale"`))
	assert.Regexp(t, `name="audience" value="spring_sale"[^>]* checked`, body)
	assert.Regexp(t, `(?s)<textarea[^>]*>other</textarea>`, body, "only those that no recent event has are typed")
	assert.NotRegexp(t, `name="audience" value="spring_sale"[^>]* checked`, q.get("wizard/at/main/audiences"))
}

// TestFirstEventAfterTheSetup checks that the last page of the setup shows the first event since the instance was turned on.
func TestFirstEventAfterTheSetup(t *testing.T) {
	q := newQueuePage(t, 2)
	letters := q.letters(t)
	before, after := letters[0].At.Add(-time.Hour).UnixMilli(), time.Now().Add(time.Hour).UnixMilli()
	path := "wizard/at/main/done?since="
	body := q.get(path + fmt.Sprint(before))
	assert.Contains(t, body, "Bought of u1", "the oldest of them")
	assert.Contains(t, body, "events/")
	body = q.get(path + fmt.Sprint(after))
	assert.NotContains(t, body, "Bought of")
	part := q.get(path + fmt.Sprint(before) + "&part=1")
	assert.Contains(t, part, "Bought of u1")
	assert.NotContains(t, part, "<html")
}

// TestReplaysAreTried checks what each kind of dead letter would become with the present config, counted by outcome.
func TestReplaysAreTried(t *testing.T) {
	q := newQueuePageOf(t, 3, func(s *console.Config) {
		s.BuildPlans = func(*config.Config, fault.Problems, console.Target, func(httpx.Exchange)) ([]console.Instance, error) {
			return nil, nil
		}
	})
	body := q.post("letters", url.Values{"do": {"check"}})
	assert.Contains(t, body, "the instance is not in the config, or is disabled")
	assert.Contains(t, body, `<td class="number">3</td>`)

	q = newQueuePageOf(t, 1, func(s *console.Config) {
		s.BuildPlans = func(*config.Config, fault.Problems, console.Target, func(httpx.Exchange)) ([]console.Instance, error) {
			return nil, fault.Problems{{Message: "a mistake in the config"}}
		}
	})
	body = q.post("letters", url.Values{"do": {"check"}})
	assert.Contains(t, body, "a mistake in the config")

	cfg, problems := config.Parse("landfall.yaml", []byte(`destinations:
  - {id: another, destination: webhook, subscriptions: []}
  - {id: main, destination: webhook, subscriptions: [{name: All, action: send, subscribe: type = "track", mapping: {url: "https://hook.example/in", data: {"@path": $.}}}]}
`), config.Env{})
	require.Empty(t, problems)
	q2 := newQueuePageOf(t, 1, func(s *console.Config) {
		s.BuildPlans = func(_ *config.Config, _ fault.Problems, to console.Target, observe func(httpx.Exchange)) ([]console.Instance, error) {
			assert.Equal(t, console.DryRun, to)
			list, err := instances.Load(cfg, nil, instances.Options{Target: &instances.Target{DryRun: true}, Catalog: instances.Catalog{Plugins: destinations.All()}, Observe: observe})
			made := make([]console.Instance, len(list))
			for i, in := range list {
				made[i] = console.Instance{Plan: in.Plan, Plugin: in.Plugin}
			}
			return made, err
		}
	})
	body2 := q2.post("letters", url.Values{"do": {"check"}})
	assert.Contains(t, body2, "would be delivered")
	assert.NotContains(t, body2, "the subscription no longer exists", "that is true of another instance only")
	assert.NotContains(t, body, "the instance is not in the config")
}

// TestSecretsNeedAState checks that a typed secret is never lost without a word: without a state, or with a key file that is no key, nothing
// is written.
func TestSecretsNeedAState(t *testing.T) {
	const start = "sources: [{id: web, writeKey: wk}]\ndestinations: []\n"
	connect := url.Values{"slug": {"braze-cohorts"}, "name": {"Braze"}, "do": {"save"}, "try.client_secret": {"typed-secret"}, "set.partner_api_key": {"PARTNER"}}
	for name, c := range map[string]struct {
		save func(context.Context, *config.Config, map[string]string) error
		key  string
		want string
	}{
		"no state":   {nil, "", "has no state for secrets"},
		"a bad key":  {func(context.Context, *config.Config, map[string]string) error { return nil }, "no key", "move the file away"},
		"it is down": {func(context.Context, *config.Config, map[string]string) error { return errDown }, "", "he database is down"},
	} {
		p := newPageOf(t, start, "", func(s *console.Config) { s.SaveSecrets = c.save })
		keyFile := filepath.Join(filepath.Dir(p.file), console.KeyFile)
		if c.key != "" {
			require.NoError(t, os.WriteFile(keyFile, []byte(c.key), 0o600))
		}
		w := p.do(http.MethodPost, "wizard/connect", connect, nil)
		assert.NotEqual(t, http.StatusSeeOther, w.Code, name)
		assert.Contains(t, w.Body.String(), c.want, name)
		text, err := os.ReadFile(p.file)
		require.NoError(t, err)
		assert.Equal(t, start, string(text), "nothing is written: %s", name)
	}
}
