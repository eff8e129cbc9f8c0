package admin_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/admin"
)

// inProcess sends the requests of a client to a handler on the same machine.
type inProcess struct{ handler http.Handler }

func (p *inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.RemoteAddr, r.Host = "127.0.0.1:5000", "127.0.0.1:8081"
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

type nothing struct{}

func (*nothing) Decode(event.Value) {}

// refusingPlan returns the plan of an instance whose remote refuses every event.
func refusingPlan(t *testing.T, id string) *runtime.Plan {
	t.Helper()
	p := destination.Plugin{
		Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(
			"name: Acme\nslug: acme\nmode: cloud\nauthentication: {scheme: none}\nactions: {send: {title: Send, fields: {}}}\n")}},
		Actions: map[string]destination.Action{"send": destination.Handle(destination.Handler[nothing, nothing]{
			Perform: func(context.Context, destination.Call[nothing, nothing]) (*destination.Response, error) {
				return nil, &fault.Error{Status: 400, Message: "refused by Acme"}
			},
		})},
	}
	d, err := p.Load()
	require.NoError(t, err)
	in := config.InstanceOf(event.MustParse(fmt.Sprintf(`{"id":%q,"subscriptions":[{"name":"All","action":"send","subscribe":"type = \"track\""}]}`, id)))
	plan, err := runtime.New(p, d, in, runtime.Host{})
	require.NoError(t, err)
	return plan
}

// operator is an admin API over a queue with the dead letters of the users u1 to u5 of the instance crm.
type operator struct {
	*admin.Client
	server admin.Server
	log    bytes.Buffer
	known  map[string]bool // the instances of the config
}

func newOperator(t *testing.T) *operator {
	t.Helper()
	q, err := delivery.Open(t.Context(), delivery.Config{Dir: t.TempDir(), Partitions: 1})
	require.NoError(t, err)
	t.Cleanup(q.Close)
	o := &operator{known: map[string]bool{"crm": true}}
	o.server = admin.Server{
		Queue: q, Subscriptions: func(string) []string { return []string{"All"} },
		Sources: func(id string) ([]string, bool) { return []string{"web"}, o.known[id] },
		Guard:   access.NewGuard(access.Config{AllowLocal: true, Log: slog.New(slog.NewTextHandler(&o.log, nil))}),
	}
	o.Client = &admin.Client{Transport: &inProcess{o.server.Handler()}, URL: "http://127.0.0.1:8081"}
	return o
}

// deliver lets a runner deliver until all events are dead letters, and stops it.
func (o *operator) deliver(t *testing.T) {
	t.Helper()
	q := o.server.Queue
	runner, err := delivery.NewRunner(t.Context(), q, delivery.Settings{Linger: time.Millisecond})
	require.NoError(t, err)
	require.NoError(t, runner.SetInstances(t.Context(), []delivery.Instance{{Plan: refusingPlan(t, "crm")}}))
	for n := 1; n <= 5; n++ {
		raw := fmt.Sprintf(`{"type":"track","messageId":"m%d","userId":"u%d"}`, n, n)
		source := []string{"app", "web"}[n%2]
		require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{{Source: source, Key: fmt.Sprint("u", n), Raw: []byte(raw)}}))
	}
	require.Eventually(t, func() bool { return len(o.letters(t, delivery.DeadLetterFilter{})) == 5 }, time.Minute, 5*time.Millisecond)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	runner.Stop(ctx)
}

func (o *operator) letters(t *testing.T, f delivery.DeadLetterFilter) []string {
	t.Helper()
	var users []string
	require.NoError(t, o.DeadLetters(t.Context(), f, func(l *delivery.DeadLetter) error {
		users = append(users, event.MustParse(string(l.Event)).Get("userId").Text())
		return nil
	}))
	return users
}

// statusOf returns the HTTP status of a refused request.
func statusOf(t *testing.T, err error) int {
	t.Helper()
	var refused *admin.StatusError
	require.ErrorAs(t, err, &refused)
	return refused.Code
}
