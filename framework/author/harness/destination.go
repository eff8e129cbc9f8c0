package harness

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/incoming"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/schemas"
)

// destination runs a case of a destination: the requests that are made, the results, the payloads, or the error.
func (s *Suite) destination(ctx context.Context, c, expect event.Value) (event.Value, []string) {
	entry, err := s.entryOf(c)
	if err != nil {
		return failure(expect, &invalidCase{err: err, unknownName: true})
	}
	plan, wire, err := planOf(ctx, c, entry)
	if err != nil {
		return failure(expect, &invalidCase{err: err})
	}
	batch, events, err := eventsOf(c)
	if err != nil {
		return failure(expect, &invalidCase{err: err})
	}
	verdicts := plan.RunBatch(ctx, events)
	got := outcome{requests: wire.requests, wrong: wire.wrong}
	for i := range verdicts {
		for _, v := range verdicts[i] {
			if !batch && v.Reason == runtime.NotSubscribed {
				v.Reason = "not subscribed"
			}
			got.results = append(got.results, v)
		}
	}
	return got.compare(expect)
}

// entryOf finds the destination of a case. The error names a destination, an action or a setting that does not exist.
func (s *Suite) entryOf(c event.Value) (destination.Entry, error) {
	slug := c.Get("destination").Str()
	entry, ok := s.Registry.Find(slug)
	if !ok {
		return entry, fmt.Errorf("there is no destination %q%s", slug, fault.DidYouMean(slug, s.Registry.Slugs()))
	}
	d := entry.Definition
	for _, key := range actionKeys(c) {
		if d.Action(key) == nil {
			return entry, fmt.Errorf("%s has no action %q%s", d.Slug, key, fault.DidYouMean(key, d.ActionKeys()))
		}
	}
	for key := range c.Get("settings").Members() {
		if d.Settings.Get(key) == nil {
			return entry, fmt.Errorf("%s has no setting %q%s", d.Slug, key, fault.DidYouMean(key, d.Settings.Keys()))
		}
	}
	return entry, nil
}

// actionKeys returns the actions that a case names.
func actionKeys(c event.Value) []string {
	named := []event.Value{c}
	for _, v := range c.Get("subscriptions").Items() {
		named = append(named, v)
	}
	var keys []string
	for _, v := range named {
		for _, name := range []string{"action", "partnerAction"} {
			if key := v.Get(name); key.IsString() {
				keys = append(keys, key.Str())
			}
		}
	}
	return keys
}

// planOf makes the plan of a case and what its requests go to.
func planOf(ctx context.Context, c event.Value, entry destination.Entry) (*runtime.Plan, *wire, error) {
	w := newWire(entry.Plugin, c.Get("responses"))
	host := runtime.Host{
		Transport: w, State: destination.NewMemoryState(), Members: destination.NewMemoryMembers(),
		Env: func(name string) (string, bool) {
			v := c.Get("env").Get(name)
			return v.Str(), v.IsString()
		},
	}
	if scheme := entry.Definition.Scheme; scheme == "oauth2" || scheme == "oauth-managed" {
		host.Token = func(context.Context, string, string) (string, error) { return "case-token", nil }
	}
	for key, v := range c.Get("state").Members() {
		if err := host.State.Put(ctx, key, v.Text()); err != nil {
			return nil, nil, err
		}
	}
	instance, err := instanceOf(c, entry.Definition)
	if err != nil {
		return nil, nil, err
	}
	plan, err := runtime.New(entry.Plugin, entry.Definition, instance, host)
	return plan, w, err
}

// instanceOf is the instance that a case describes: subscriptions as in a config, or one action that takes every event.
func instanceOf(c event.Value, d *destination.Definition) (config.Instance, error) {
	subscriptions := c.Get("subscriptions")
	if subscriptions.Kind() == event.Absent {
		subscriptions = event.NewArray([]event.Value{subscriptionOf(c)})
	}
	instance := event.NewObject([]event.Member{
		{Key: "id", Value: event.NewString("case")},
		{Key: "destination", Value: event.NewString(d.Slug)},
		{Key: "settings", Value: orEmpty(c.Get("settings"))},
		{Key: "subscriptions", Value: subscriptions},
	})
	whole := object("destinations", event.NewArray([]event.Value{instance}))
	if problems := schemas.Check(schemas.Config, whole); len(problems) > 0 {
		return config.Instance{}, problems
	}
	return config.InstanceOf(instance), nil
}

// subscriptionOf is the one subscription of a case that names an action. Its mapping stands alone unless the case asks
// for the defaults beneath it; without a mapping the defaults are all there is.
func subscriptionOf(c event.Value) event.Value {
	m := c.Get("mapping")
	defaults := c.Get("useDefaultMappings")
	if defaults.Kind() == event.Absent {
		defaults = event.NewBool(m.Kind() == event.Absent)
	}
	members := []event.Member{
		{Key: "name", Value: event.NewString("case")},
		{Key: "action", Value: c.Get("action")},
		{Key: "subscribe", Value: event.NewString(fql.MatchAll)},
		{Key: "mapping", Value: orEmpty(m)},
		{Key: "useDefaultMappings", Value: defaults},
	}
	if subscribe := c.Get("subscribe"); subscribe.IsString() {
		members[2].Value = subscribe
	}
	if mode := c.Get("syncMode"); mode.IsString() {
		members = append(members, event.Member{Key: "syncMode", Value: mode})
	}
	return event.NewObject(members)
}

func orEmpty(v event.Value) event.Value {
	if v.Kind() == event.Absent {
		return event.NewObject(nil)
	}
	return v
}

// eventsOf are the events of a case, and whether they are a batch.
func eventsOf(c event.Value) (batch bool, events []event.Event, err error) {
	list := c.Get("events")
	if batch = list.Kind() == event.Array; !batch {
		list = event.NewArray([]event.Value{c.Get("event")})
	}
	received, completes, err := receiptOf(c)
	if err != nil {
		return batch, nil, err
	}
	for i, v := range list.Items() {
		e, err := event.Parse(v.AppendJSON(nil))
		if err != nil {
			return batch, nil, fmt.Errorf("event %d: %w", i, err)
		}
		if completes {
			e = incoming.Complete(e, received, incoming.DefaultMaxFuture)
		}
		events = append(events, e)
	}
	return batch, events, nil
}

// receiptOf returns when the server received the events of a case, if it says so.
func receiptOf(c event.Value) (received time.Time, ok bool, err error) {
	v := c.Get("receivedAt")
	if !v.Exists() {
		return received, false, nil
	}
	if received, err = event.ReadTime(v); err != nil {
		return received, false, fmt.Errorf("receivedAt: %w", err)
	}
	return received, true, nil
}

// outcome is what a case of a destination came to.
type outcome struct {
	requests []event.Value
	results  []runtime.Verdict
	wrong    error // the case's own responses or sandbox could not be used
}

// compare holds the outcome against the keys that expect has.
func (o outcome) compare(expect event.Value) (event.Value, []string) {
	var problems []string
	var actual []event.Member
	if o.wrong != nil {
		problems = append(problems, o.wrong.Error())
	}
	add := func(key string, got event.Value, lines []string) {
		actual = append(actual, event.Member{Key: key, Value: got})
		if len(lines) > 0 {
			problems = append(problems, fmt.Sprintf("%s differ\n%s", key, indent(strings.Join(lines, "\n"))))
		}
	}
	for key, want := range expect.Members() {
		switch key {
		case "requests":
			got := o.requestsLike(want)
			add(key, got, diff("", want, got))
		case "results":
			got := o.resultsLike(want)
			add(key, got, diff("", want, got))
		case "payloads":
			got := o.payloads()
			add(key, got, diff("", want, got))
		case "error":
			got, lines := failure(expect, o.failure())
			if e := got.Get("error"); e.Exists() {
				actual = append(actual, event.Member{Key: key, Value: e})
			}
			problems = append(problems, lines...)
		}
	}
	unexpected := error(nil)
	if !expect.Get("error").Exists() && !expect.Get("results").Exists() {
		unexpected = o.failure()
	}
	if unexpected != nil && !errors.Is(unexpected, errNone) {
		problems = append(problems, "an error came that was not expected\n"+indent(unexpected.Error()))
		actual = append(actual, event.Member{Key: "results", Value: o.resultsLike(event.Value{})})
	}
	if len(actual) == 0 { // only an error was expected, and none came
		actual = append(actual, event.Member{Key: "results", Value: o.resultsLike(event.Value{})})
	}
	return event.NewObject(actual), problems
}

var errNone = errors.New("no error came")

// failure is the first error among the results.
func (o outcome) failure() error {
	for _, v := range o.results {
		if v.Outcome == runtime.Refused || v.Outcome == runtime.Retry || v.Reason == "not subscribed" {
			return errors.New(v.Reason)
		}
	}
	return errNone
}

// payloads are those that reached the handler, in order.
func (o outcome) payloads() event.Value {
	items := []event.Value{}
	for _, v := range o.results {
		if v.Sent.Exists() {
			items = append(items, v.Sent)
		}
	}
	return event.NewArray(items)
}
