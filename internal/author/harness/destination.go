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

// runDestination runs a case of a destination and compares its requests, results, payloads or error with expect.
func (s *Suite) runDestination(ctx context.Context, c, expect event.Value) (event.Value, []string) {
	entry, err := s.findEntry(c)
	if err != nil {
		return compareError(expect, &invalidCase{err: err, unknownName: true})
	}
	plan, wire, err := compilePlan(ctx, c, entry)
	if err != nil {
		return compareError(expect, &invalidCase{err: err})
	}
	batch, events, err := caseEvents(c)
	if err != nil {
		return compareError(expect, &invalidCase{err: err})
	}
	defer func() { _ = plan.Close(context.WithoutCancel(ctx)) }() // a case does not look at it
	var verdicts [][]runtime.Verdict
	if batch {
		verdicts = plan.RunBatch(ctx, events)
	} else {
		verdicts = [][]runtime.Verdict{plan.Run(ctx, events[0])}
	}
	got := outcome{requests: wire.requests, err: wire.err, unanswered: wire.broken}
	for i := range verdicts {
		for _, v := range verdicts[i] {
			if !batch && v.Cause == fault.CauseNotSubscribed {
				v.Reason = "not subscribed"
			}
			got.results = append(got.results, v)
		}
	}
	return got.compareWith(expect)
}

// findEntry finds the destination of a case. The error names a destination, an action or a setting that does not exist.
func (s *Suite) findEntry(c event.Value) (destination.Entry, error) {
	slug := c.Get("destination").Str()
	entry, err := s.Registry.Find(slug)
	if err != nil {
		return entry, err
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

// actionKeys returns the keys of the actions that a case names.
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

// compilePlan compiles the plan of a case, and returns it with the transport that records its requests.
func compilePlan(ctx context.Context, c event.Value, entry destination.Entry) (*runtime.Plan, *recordingTransport, error) {
	w := newRecordingTransport(entry.Plugin, c.Get("responses"))
	host := runtime.Host{
		Transport: w, State: destination.NewMemoryState(), Members: destination.NewMemoryMembers(),
		Env: func(name string) (string, bool) {
			v := c.Get("env").Get(name)
			return v.Str(), v.IsString()
		},
	}
	if entry.Definition.Scheme.NeedsToken() {
		host.Token = func(context.Context, string, string) (string, error) { return "case-token", nil }
	}
	for key, v := range c.Get("state").Members() {
		if err := host.State.Put(ctx, key, v.Text()); err != nil {
			return nil, nil, err
		}
	}
	instance, err := caseInstance(c, entry.Definition)
	if err != nil {
		return nil, nil, err
	}
	plan, err := runtime.New(entry.Plugin, entry.Definition, instance, host)
	return plan, w, err
}

// caseInstance returns the instance that a case describes. It has the subscriptions of the case, or one for its action.
func caseInstance(c event.Value, d *destination.Definition) (config.Instance, error) {
	subscriptions := c.Get("subscriptions")
	if subscriptions.Kind() == event.Absent {
		subscriptions = event.NewArray([]event.Value{caseSubscription(c)})
	}
	instance := event.NewObject([]event.Member{
		{Key: "id", Value: event.NewString("case")},
		{Key: "destination", Value: event.NewString(d.Slug)},
		{Key: "settings", Value: orEmpty(c.Get("settings"))},
		{Key: "subscriptions", Value: subscriptions},
	})
	whole := objectOf("destinations", event.NewArray([]event.Value{instance}))
	if problems := schemas.Check(schemas.Config, whole); len(problems) > 0 {
		return config.Instance{}, problems
	}
	return config.InstanceOf(instance), nil
}

// caseSubscription returns the subscription of a case that names an action. Default mappings are used if the case asks for them or
// has no mapping.
func caseSubscription(c event.Value) event.Value {
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

// caseEvents returns the events of a case and whether they are a batch.
func caseEvents(c event.Value) (batch bool, events []event.Event, err error) {
	list := c.Get("events")
	if batch = list.Kind() == event.Array; !batch {
		list = event.NewArray([]event.Value{c.Get("event")})
	}
	received, completes, err := caseReceivedAt(c)
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

// caseReceivedAt returns the time at which the server received the events of a case. ok is false if the case has none.
func caseReceivedAt(c event.Value) (received time.Time, ok bool, err error) {
	v := c.Get("receivedAt")
	if !v.Exists() {
		return received, false, nil
	}
	if received, err = event.ReadTime(v); err != nil {
		return received, false, fmt.Errorf("receivedAt: %w", err)
	}
	return received, true, nil
}

// outcome holds the requests and results of a case of a destination.
type outcome struct {
	requests []event.Value
	results  []runtime.Verdict
	err      error // a request had no response: the case has none and the destination has no sandbox
	// unanswered reports whether the case breaks a connection: what that means for the events is only checked if the case says so.
	unanswered bool
}

// compareWith compares the outcome with the keys that expect has. It returns the actual values and the differences.
func (o outcome) compareWith(expect event.Value) (event.Value, []string) {
	var problems []string
	var actual []event.Member
	if o.err != nil {
		problems = append(problems, o.err.Error())
	}
	add := func(key string, got event.Value, lines []string) {
		actual = append(actual, event.Member{Key: key, Value: got})
		if len(lines) > 0 {
			problems = append(problems, fmt.Sprintf("%s differ\n%s", key, indentLines(strings.Join(lines, "\n"))))
		}
	}
	for key, want := range expect.Members() {
		switch key {
		case "requests":
			got := o.selectRequests(want)
			add(key, got, linesOf(diffValues("", want, got)))
		case "results":
			got := o.selectResults(want)
			add(key, got, append(linesOf(diffValues("", want, got)), o.surprises(want)...))
		case "payloads":
			got := o.sentPayloads()
			add(key, got, linesOf(diffValues("", want, got)))
		case "error":
			got, lines := compareError(expect, o.firstError())
			if e := got.Get("error"); e.Exists() {
				actual = append(actual, event.Member{Key: key, Value: e})
			}
			problems = append(problems, lines...)
		}
	}
	unexpected := o.unexpectedError(expect)
	if unexpected != nil {
		problems = append(problems, "unexpected error\n"+indentLines(unexpected.Error()))
	}
	if unexpected != nil || len(actual) == 0 { // or only an error was expected, and none occurred
		actual = append(actual, event.Member{Key: "results", Value: o.selectResults(event.Value{})})
	}
	return event.NewObject(actual), problems
}

var errNone = errors.New("no error occurred")

// unexpectedError returns the first error if the case expects neither errors nor results, and breaks no connection.
func (o outcome) unexpectedError(expect event.Value) error {
	if expect.Get("error").Exists() || expect.Get("results").Exists() || o.unanswered {
		return nil
	}
	if err := o.firstError(); !errors.Is(err, errNone) {
		return err
	}
	return nil
}

// firstError returns the first error among the results, or errNone.
func (o outcome) firstError() error {
	for _, v := range o.results {
		if v.Outcome == runtime.Refused || v.Outcome == runtime.Retry || v.Cause == fault.CauseNotSubscribed && v.Reason == "not subscribed" {
			return errors.New(v.Reason)
		}
	}
	return errNone
}

// sentPayloads returns the payloads that reached the handler, in order.
func (o outcome) sentPayloads() event.Value {
	items := []event.Value{}
	for _, v := range o.results {
		if v.Sent.Exists() {
			items = append(items, v.Sent)
		}
	}
	return event.NewArray(items)
}
