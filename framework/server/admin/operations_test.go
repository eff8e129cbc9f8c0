package admin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/admin"
	"github.com/landfall-dev/landfall/internal/buildinfo"
)

func TestOperationsOnDeadLetters(t *testing.T) {
	o := newOperator(t)
	o.deliver(t)
	now := time.Now()
	var first *delivery.DeadLetter
	stop := errors.New("enough")
	require.ErrorIs(t, o.DeadLetters(t.Context(), delivery.DeadLetterFilter{User: "u1"}, func(l *delivery.DeadLetter) error { first = l; return stop }), stop)
	for name, c := range map[string]struct {
		filter delivery.DeadLetterFilter
		want   int
	}{
		"all":                     {delivery.DeadLetterFilter{}, 5},
		"limit":                   {delivery.DeadLetterFilter{Limit: 2}, 2},
		"limit of one":            {delivery.DeadLetterFilter{Limit: 1, Dead: true, Parked: true}, 1},
		"user":                    {delivery.DeadLetterFilter{User: "u3"}, 1},
		"id":                      {delivery.DeadLetterFilter{ID: first.ID}, 1},
		"reason in another case":  {delivery.DeadLetterFilter{Reason: "REFUSED by"}, 5},
		"another reason":          {delivery.DeadLetterFilter{Reason: "busy"}, 0},
		"instance":                {delivery.DeadLetterFilter{Instance: "crm"}, 5},
		"another instance":        {delivery.DeadLetterFilter{Instance: "crn"}, 0},
		"subscription":            {delivery.DeadLetterFilter{Subscription: "All"}, 5},
		"another subscription":    {delivery.DeadLetterFilter{Subscription: "all"}, 0},
		"dead":                    {delivery.DeadLetterFilter{Dead: true}, 5},
		"parked":                  {delivery.DeadLetterFilter{Parked: true}, 0},
		"dead or parked":          {delivery.DeadLetterFilter{Dead: true, Parked: true}, 5},
		"since a later time":      {delivery.DeadLetterFilter{Since: now}, 0},
		"until a later time":      {delivery.DeadLetterFilter{Until: now}, 5},
		"since its time":          {delivery.DeadLetterFilter{User: "u1", Since: first.At}, 1},
		"until its time excluded": {delivery.DeadLetterFilter{User: "u1", Until: first.At}, 0},
	} {
		assert.Len(t, o.letters(t, c.filter), c.want, name)
	}

	n, err := o.DropDeadLetters(t.Context(), delivery.DeadLetterFilter{ID: first.ID})
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.ElementsMatch(t, []string{"u2", "u3", "u4", "u5"}, o.letters(t, delivery.DeadLetterFilter{}))
	assert.Contains(t, o.log.String(), `action=letters.drop who="local program" from=127.0.0.1 outcome=ok id=`+first.ID+" count=1")
	n, err = o.DropDeadLetters(t.Context(), delivery.DeadLetterFilter{User: "u2", Reason: "refused", Dead: true, Until: now})
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	line := o.log.String()[strings.LastIndex(o.log.String(), "action="):]
	assert.Regexp(t, `until=\S+ by_user=true by_reason=true dead=true count=1`, line)
	assert.NotContains(t, line, "u2")

	o.known["crm"] = false
	_, err = o.ReplayDeadLetters(t.Context(), delivery.DeadLetterFilter{})
	assert.Equal(t, http.StatusConflict, statusOf(t, err))
	require.ErrorContains(t, err, "landfall instances rename crm NEW")
	assert.Len(t, o.letters(t, delivery.DeadLetterFilter{}), 3)
}

func TestReplayOfStoredEvents(t *testing.T) {
	o := newOperator(t)
	o.deliver(t)
	for name, c := range map[string]struct {
		request admin.ReplayRequest
		want    int
	}{
		"the instance's sources": {admin.ReplayRequest{}, 3},
		"a query":                {admin.ReplayRequest{Subscribe: `userId = "u3"`, Subscription: "All"}, 1},
		"one source":             {admin.ReplayRequest{Sources: []string{"web"}}, 3},
		"until the past":         {admin.ReplayRequest{Until: time.Now().Add(-time.Hour)}, 0},
	} {
		before := time.Now()
		c.request.Instance = "crm"
		if c.request.Until.IsZero() {
			c.request.Until = before
		}
		n, err := o.Replay(t.Context(), c.request)
		require.NoError(t, err, name)
		assert.Equal(t, c.want, n, name)
	}
	_, err := o.Replay(t.Context(), admin.ReplayRequest{Instance: "crm", Sources: []string{"web", "wbe"}})
	assert.Equal(t, http.StatusBadRequest, statusOf(t, err))
	require.ErrorContains(t, err, `crm does not receive events of the source "wbe" (did you mean "web"?)`)
	assert.Contains(t, o.log.String(), "action=events.replay")
	assert.Contains(t, o.log.String(), "sources=web count=3")
	assert.Regexp(t, "by_query=true until=.* subscription=All count=1", o.log.String())
	_, err = o.Replay(t.Context(), admin.ReplayRequest{Instance: "crm", Since: time.Now()})
	require.NoError(t, err)
	assert.Contains(t, o.log.String(), "by_query=false count=0")
}

func TestInstancesAreRenamedAndForgottenOnlyIfRemoved(t *testing.T) {
	o := newOperator(t)
	o.deliver(t)
	list, err := o.Instances(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []delivery.Backlog{{Instance: "crm", Dead: 5}}, list)
	_, err = o.ForgetInstance(t.Context(), "crm")
	assert.Equal(t, http.StatusConflict, statusOf(t, err))
	_, err = o.RenameInstance(t.Context(), "crm", "sales")
	assert.Equal(t, http.StatusConflict, statusOf(t, err))
	o.known = map[string]bool{}
	_, err = o.RenameInstance(t.Context(), "crm", "sales")
	assert.Equal(t, http.StatusConflict, statusOf(t, err), "the new instance must be in the config")
	for path, body := range map[string]string{"rename": `{"instance":"crm"}`, "forget": `{"instance":"crm","to":"sales"}`, "rename?": `{"to":"sales"}`, "forget?": `{"instance":"crm"`} {
		r, err := http.NewRequest(http.MethodPost, "http://127.0.0.1/admin/instances/"+path, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Landfall-Admin", "1")
		response, err := o.Transport.RoundTrip(r)
		require.NoError(t, err)
		assert.Equal(t, http.StatusBadRequest, response.StatusCode, path)
	}
	assert.Len(t, o.letters(t, delivery.DeadLetterFilter{Instance: "crm"}), 5, "a refused request changes nothing")
	assert.NotContains(t, o.log.String(), "action=instances")

	o.known["sales"] = true
	moved, err := o.RenameInstance(t.Context(), "crm", "sales")
	require.NoError(t, err)
	assert.Equal(t, delivery.MoveResult{Checkpoints: 1, DeadLetters: 5}, moved)
	assert.Len(t, o.letters(t, delivery.DeadLetterFilter{Instance: "sales"}), 5)
	o.known = map[string]bool{}
	moved, err = o.ForgetInstance(t.Context(), "sales")
	require.NoError(t, err)
	assert.Equal(t, delivery.MoveResult{Checkpoints: 1, DeadLetters: 5}, moved)
	assert.Empty(t, o.letters(t, delivery.DeadLetterFilter{}))
	assert.Contains(t, o.log.String(), `action=instances.rename who="local program" from=127.0.0.1 outcome=ok instance=crm to=sales`)
	assert.Contains(t, o.log.String(), `action=instances.forget who="local program" from=127.0.0.1 outcome=ok instance=sales`)
}

func TestRepairIsAuditedUnlessDry(t *testing.T) {
	o := newOperator(t)
	damage, err := o.Damage(t.Context())
	require.NoError(t, err)
	assert.Empty(t, damage.Checkpoints)
	assert.NotNil(t, damage.Lost)
	_, err = o.RepairCheckpoints(t.Context(), delivery.RepairOptions{DryRun: true})
	require.NoError(t, err)
	assert.NotContains(t, o.log.String(), "checkpoints.repair")
	_, err = o.RepairCheckpoints(t.Context(), delivery.RepairOptions{AcceptLoss: true})
	require.NoError(t, err)
	assert.Contains(t, o.log.String(), "action=checkpoints.repair who=\"local program\" from=127.0.0.1 outcome=ok count=0 acceptLoss=true")
}

func TestClosedQueueIsAnError(t *testing.T) {
	o := newOperator(t)
	o.server.Queue.Close()
	o.known["sales"] = true
	for name, call := range map[string]func() error{
		"instances": func() error { _, err := o.Instances(t.Context()); return err },
		"drop":      func() error { _, err := o.DropDeadLetters(t.Context(), delivery.DeadLetterFilter{}); return err },
		"replay":    func() error { _, err := o.Replay(t.Context(), admin.ReplayRequest{Instance: "crm"}); return err },
		"repair":    func() error { _, err := o.RepairCheckpoints(t.Context(), delivery.RepairOptions{}); return err },
		"rename":    func() error { _, err := o.RenameInstance(t.Context(), "old", "sales"); return err },
		"forget":    func() error { _, err := o.ForgetInstance(t.Context(), "old"); return err },
		"letters": func() error {
			return o.DeadLetters(t.Context(), delivery.DeadLetterFilter{}, func(*delivery.DeadLetter) error { return nil })
		},
	} {
		assert.Equal(t, http.StatusInternalServerError, statusOf(t, call()), name)
	}
	assert.Equal(t, 5, strings.Count(o.log.String(), "outcome=failed"))
}

func TestProgramWithoutDelivery(t *testing.T) {
	var log bytes.Buffer
	s := admin.Server{Guard: access.NewGuard(access.Config{AllowLocal: true, Log: slog.New(slog.NewTextHandler(&log, nil))})}
	c := admin.Client{Transport: &inProcess{s.Handler()}, URL: "http://127.0.0.1"}
	list, err := c.Status(t.Context())
	require.NoError(t, err)
	assert.Empty(t, list)
	assert.Equal(t, http.StatusNotFound, statusOf(t, resumeError(t, c, "crm")))
	_, err = c.Backup(t.Context())
	assert.Equal(t, http.StatusNotFound, statusOf(t, err))
	for path, method := range map[string]string{"/metrics": "GET", "/admin/reload": "POST"} {
		assert.Equal(t, http.StatusNotFound, call(t, &s, method, path).Code, path)
	}
	assert.Empty(t, log.String())
}

// call sends a request with the mark header from this machine.
func call(t *testing.T, s *admin.Server, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	r.RemoteAddr, r.Host = "127.0.0.1:5000", "127.0.0.1"
	r.Header.Set("Landfall-Admin", "1")
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

func resumeError(t *testing.T, c admin.Client, instance string) error {
	_, err := c.Resume(t.Context(), instance)
	return err
}

func TestHooksOfTheProgram(t *testing.T) {
	var log bytes.Buffer
	var fails error
	archived := "archive"
	s := admin.Server{
		Guard:  access.NewGuard(access.Config{AllowLocal: true, Log: slog.New(slog.NewTextHandler(&log, nil))}),
		Status: func() []delivery.Status { return []delivery.Status{{Instance: "crm"}} },
		Resume: func(id string) (bool, error) {
			if id != "crm" && id != "ads" {
				return false, fmt.Errorf("%w: %q", delivery.ErrUnknownInstance, id)
			}
			return id == "crm", fails
		},
		Reload: func(context.Context) error { return fails },
		Backup: func(_ context.Context, w io.Writer) error {
			if archived != "" {
				_, _ = io.WriteString(w, archived)
			}
			return fails
		},
	}
	c := admin.Client{Transport: &inProcess{s.Handler()}, URL: "http://127.0.0.1"}
	list, err := c.Status(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, "crm", list[0].Instance)
	for id, paused := range map[string]bool{"crm": true, "ads": false} {
		resumed, err := c.Resume(t.Context(), id)
		require.NoError(t, err)
		assert.Equal(t, paused, resumed)
	}
	assert.Equal(t, http.StatusBadRequest, statusOf(t, resumeError(t, c, "crn")))
	assert.JSONEq(t, `{"resumed":true}`, call(t, &s, "POST", "/admin/resume?instance=crm").Body.String())
	assert.JSONEq(t, `{"reloaded":true}`, call(t, &s, "POST", "/admin/reload").Body.String())
	assert.Equal(t, "ok\n", call(t, &s, "GET", "/healthz").Body.String())
	archive, err := c.Backup(t.Context())
	require.NoError(t, err)
	text, err := io.ReadAll(archive)
	require.NoError(t, err)
	assert.Equal(t, "archive", string(text))
	assert.Contains(t, log.String(), `action=queue.backup who="local program" from=127.0.0.1 outcome=ok`)
	assert.Contains(t, log.String(), `action=config.reload who="local program" from=127.0.0.1 outcome=ok`)

	fails = errors.New("the disk is full")
	assert.Equal(t, http.StatusInternalServerError, statusOf(t, resumeError(t, c, "crm")))
	assert.Equal(t, http.StatusBadRequest, call(t, &s, "POST", "/admin/reload").Code)
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() { _, _ = c.Backup(t.Context()) }, "half an archive must not look whole")
	assert.Contains(t, log.String(), `action=queue.backup who="local program" from=127.0.0.1 outcome=failed`)
	archived = ""
	_, err = c.Backup(t.Context())
	assert.Equal(t, http.StatusInternalServerError, statusOf(t, err))
	assert.EqualError(t, err, "the disk is full")
}

func TestReadiness(t *testing.T) {
	for name, c := range map[string]struct {
		health delivery.Health
		code   int
		text   string
	}{
		"ready":      {delivery.Health{Ready: true, Ingesting: true, Delivering: true}, 200, "ready\n"},
		"delivering": {delivery.Health{Delivering: true, Findings: []delivery.Finding{{Stops: "ingest", Message: "full", Next: "wait"}}}, 503, "not taking events\nno ingest: full: wait\n"},
		"ingesting":  {delivery.Health{Ingesting: true}, 503, "not delivering\n"},
		"neither":    {delivery.Health{}, 503, "not taking events, not delivering\n"},
	} {
		s := admin.Server{Health: func(context.Context) delivery.Health { return c.health }}
		w := call(t, &s, "GET", "/readyz")
		assert.Equal(t, c.code, w.Code, name)
		assert.Equal(t, c.text, w.Body.String(), name)
		assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		w = call(t, &s, "GET", "/readyz?format=json")
		assert.Equal(t, c.code, w.Code, name)
		assert.Contains(t, w.Body.String(), fmt.Sprintf(`"ready":%t`, c.health.Ready), name)
		assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
	}
	assert.Equal(t, "ready\n", call(t, &admin.Server{}, "GET", "/readyz").Body.String())
	assert.JSONEq(t, `{"ready":true,"taking":true,"delivering":true,"findings":[],"version":"`+buildinfo.Read().Version+`"}`, call(t, &admin.Server{}, "GET", "/readyz?format=json").Body.String())
	r := httptest.NewRequest("GET", "/readyz", nil)
	r.Header.Set("Accept", "text/html, application/json;q=0.9")
	w := httptest.NewRecorder()
	(&admin.Server{}).Handler().ServeHTTP(w, r)
	assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
}

func TestFiltersAndBodiesAreChecked(t *testing.T) {
	o := newOperator(t)
	assert.Equal(t, "application/x-ndjson", call(t, &o.server, "GET", "/admin/letters").Header().Get("Content-Type"))
	for _, path := range []string{
		"GET /admin/letters?limit=many", "GET /admin/letters?since=soon", "POST /admin/letters/drop?until=soon", "POST /admin/letters/replay?limit=x",
		"POST /admin/replay",
	} {
		method, path, _ := strings.Cut(path, " ")
		assert.Equal(t, http.StatusBadRequest, call(t, &o.server, method, path).Code, path)
	}
	assert.Empty(t, o.log.String(), "a filter that cannot be read selects nothing")
}

func TestClientReportsResponses(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"a message":     {400, `{"error":"no such thing"}`, "no such thing"},
		"no JSON":       {502, `<html>`, "the server responded with status 502 Bad Gateway"},
		"empty message": {500, `{}`, "the server responded with status 500 Internal Server Error"},
	} {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			assert.Equal(t, "Bearer right", r.Header.Get("Authorization"))
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		})
		client := admin.Client{Transport: &inProcess{h}, URL: "http://127.0.0.1", Key: "right"}
		err := resumeError(t, client, "crm")
		assert.Equal(t, c.status, statusOf(t, err), name)
		assert.EqualError(t, err, c.want, name)
	}
	cut := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"id":"1"}`+"\n"+`{"id":`) })
	client := admin.Client{Transport: &inProcess{cut}, URL: "http://127.0.0.1"}
	seen := 0
	err := client.DeadLetters(t.Context(), delivery.DeadLetterFilter{}, func(*delivery.DeadLetter) error { seen++; return nil })
	require.ErrorContains(t, err, "reading the dead letters")
	assert.Equal(t, 1, seen)
	client.URL = "http://[::1"
	require.Error(t, resumeError(t, client, "crm"))
	for name, call := range map[string]func() error{
		"status":    func() error { _, err := client.Status(t.Context()); return err },
		"instances": func() error { _, err := client.Instances(t.Context()); return err },
		"replay":    func() error { _, err := client.Replay(t.Context(), admin.ReplayRequest{}); return err },
		"forget":    func() error { _, err := client.ForgetInstance(t.Context(), "crm"); return err },
		"damage":    func() error { _, err := client.Damage(t.Context()); return err },
		"repair":    func() error { _, err := client.RepairCheckpoints(t.Context(), delivery.RepairOptions{}); return err },
	} {
		require.Error(t, call(), name)
	}
	broken := admin.Client{Transport: http.NewFileTransport(http.Dir("")), URL: "http://127.0.0.1", Key: "k"}
	_, err = broken.Status(t.Context())
	require.Error(t, err)
}
