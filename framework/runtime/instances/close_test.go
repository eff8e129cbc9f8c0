package instances

import (
	"context"
	"errors"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
)

// brokenConnection is what a destination opened, and cannot close.
type brokenConnection struct{ err error }

func (c brokenConnection) Close(context.Context) error { return c.err }

type anything struct{}

func (*anything) Decode(event.Value) {}

// TestCloseReportsEveryFailure checks that all instances are closed, also after one that fails, and that no failure is lost.
func TestCloseReportsEveryFailure(t *testing.T) {
	failures := []error{errors.New("one is broken"), nil, errors.New("another is broken")}
	opened := 0
	plugin := destination.Plugin{
		Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte("name: Acme\nslug: acme\nmode: cloud\nauthentication: {scheme: none}\nactions: {send: {title: Send, fields: {}}}\n")}},
		Open: func(context.Context, destination.OpenInput) (destination.Opened, error) {
			opened++
			return brokenConnection{failures[opened-1]}, nil
		},
		Actions: map[string]destination.Action{"send": destination.Handle(destination.Handler[anything, anything]{
			Perform: func(context.Context, destination.Call[anything, anything]) (*destination.Response, error) {
				return nil, nil
			},
		})},
	}
	cfg := parse(t, `{destinations: [{id: a, destination: acme, subscriptions: [{name: All, action: send, subscribe: type = "track"}]},
		{id: b, destination: acme, subscriptions: [{name: All, action: send, subscribe: type = "track"}]}, {id: c, destination: acme, subscriptions: [{name: All, action: send, subscribe: type = "track"}]}]}`)
	list, err := Load(cfg, nil, Options{Target: &Target{DryRun: true}, Catalog: Catalog{Plugins: []destination.Plugin{plugin}}})
	require.NoError(t, err)
	e, err := event.Parse([]byte(`{"type":"track","userId":"u1"}`))
	require.NoError(t, err)
	for _, in := range list {
		in.Plan.Run(t.Context(), e)
	}
	assert.Equal(t, 3, opened)
	err = Close(t.Context(), append(list, Instance{}))
	assert.ErrorContains(t, err, "one is broken")
	assert.ErrorContains(t, err, "another is broken")
}
