// Package explain traces an event through a subscription: which conditions match, where each field's value comes from, how cleaning
// and coercion change it, its batch, its requests, and the verdict with its reason.
//
// It returns data and formats nothing. The caller compiles the plan, and so decides where requests go. Its functions may run
// concurrently if each call has a Recorder and a plan of its own.
package explain

import (
	"context"
	"encoding/json"
	"strings"
	"sync"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// Trace records how one subscription processes an event.
type Trace struct {
	Instance     string          `json:"instance"`
	Subscription string          `json:"subscription"`
	Matched      bool            `json:"matched"`
	Query        string          `json:"query"`
	Words        string          `json:"words"`
	Conditions   fql.Explanation `json:"conditions"`
	Fields       []Field         `json:"fields,omitempty"`
	Batch        *Batch          `json:"batch,omitempty"`
	Requests     []Request       `json:"requests,omitempty"`
	Outcome      string          `json:"outcome"`
	Status       int             `json:"status"`
	Cause        fault.Cause     `json:"cause,omitempty"`
	Reason       string          `json:"reason,omitempty"`
	Next         string          `json:"next,omitempty"` // what to do about it

	Payload   event.Value      `json:"-"` // absent if the event was not mapped
	Exchanges []httpx.Exchange `json:"-"` // the requests with their responses
}

// Field records how the value of one field of the payload was made.
type Field struct {
	Field  string          `json:"field"`
	Label  string          `json:"label,omitempty"`
	From   string          `json:"from,omitempty"`
	Mapped json.RawMessage `json:"mapped,omitempty"` // the result of the mapping
	Value  json.RawMessage `json:"value,omitempty"`  // after cleaning and coercion
	Note   string          `json:"note,omitempty"`   // why it is absent, changed or invalid
}

// Batch describes the batch that the event would join.
type Batch struct {
	Key  string `json:"key"`
	Size int    `json:"size"`
}

// Request is a request without its response. A body is in JSON or in Body.
type Request struct {
	Body   string          `json:"body,omitempty"` // set if it is not JSON
	JSON   json.RawMessage `json:"json,omitempty"`
	Method string          `json:"method"`
	URL    string          `json:"url"`
}

// RequestOf returns the request of an exchange.
func RequestOf(x httpx.Exchange) Request {
	r := Request{Method: x.Method, URL: x.URL}
	if json.Valid(x.Body) {
		r.JSON = x.Body
	} else {
		r.Body = string(x.Body)
	}
	return r
}

// Recorder records the HTTP exchanges of a plan: set Observe of the plan's Host to the Recorder's Observe. It is safe for concurrent use.
type Recorder struct {
	mu   sync.Mutex
	seen []httpx.Exchange
}

// Observe records an exchange. Pass it as runtime.Host.Observe.
func (r *Recorder) Observe(x httpx.Exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, x)
}

// takeExchanges returns the exchanges since the last call.
func (r *Recorder) takeExchanges() []httpx.Exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := r.seen
	r.seen = nil
	return seen
}

// WouldDeliver is the outcome of an event that a dry run would have delivered.
const WouldDeliver = "would be delivered"

// Deliver processes an event with a subscription and sends the plan's requests. requests must be the Recorder of the plan.
func Deliver(ctx context.Context, p *runtime.Plan, s *runtime.Subscription, e event.Event, requests *Recorder) Trace {
	trace := Trace{
		Instance: p.ID(), Subscription: s.Name(), Query: s.Query().String(), Words: s.Query().Describe(),
		Conditions: newSecretHider().conditions(s.Query().Explain(e.Value())),
	}
	item, verdict := p.Prepare(s, e, 0)
	if trace.Matched = trace.Conditions.Matched; trace.Matched {
		trace.Fields = traceFields(s, e)
	}
	if verdict == nil {
		trace.Payload = item.Payload
		if !p.RunsInBrowser() {
			trace.Batch = &Batch{newSecretHider().batchKey(item.BatchKey, item.Payload), item.BatchSize}
		}
		requests.takeExchanges()
		verdict = &p.Deliver(ctx, []runtime.Item{item})[0]
		trace.Exchanges = requests.takeExchanges()
		for _, x := range trace.Exchanges {
			trace.Requests = append(trace.Requests, RequestOf(x))
		}
	}
	trace.Outcome, trace.Status = string(verdict.Outcome), verdict.Status
	trace.Cause, trace.Reason, trace.Next = verdict.Cause, verdict.Reason, verdict.Cause.Next()
	return trace
}

// DryRun is Deliver for a plan whose transport sends nothing: the outcome of a delivered event is WouldDeliver.
func DryRun(ctx context.Context, p *runtime.Plan, s *runtime.Subscription, e event.Event, requests *Recorder) Trace {
	trace := Deliver(ctx, p, s, e, requests)
	if trace.Outcome == string(runtime.Delivered) {
		trace.Outcome = WouldDeliver
	}
	return trace
}

// traceFields joins the mapping's trace of each field with the schema's.
func traceFields(s *runtime.Subscription, e event.Event) []Field {
	var list []Field
	at, hider := map[string]int{}, newSecretHider()
	mapped, _ := s.Mapping().Resolve(e.Value()) // Trace reports the error at its field
	for _, t := range s.Mapping().Trace(e.Value()) {
		f := Field{Field: t.Key, From: hider.from(t), Mapped: json.RawMessage(hider.Value(t.Key, t.Value).JSON())}
		if t.Err != nil {
			f.Note = t.Err.Error()
		}
		at[t.Key] = len(list)
		list = append(list, f)
	}
	for _, t := range s.Schema().Trace(mapped) {
		i, ok := at[t.Key]
		if !ok {
			i = len(list)
			list = append(list, Field{Field: t.Key})
		}
		list[i].Label, list[i].Value = t.Label, json.RawMessage(hider.Value(t.Key, t.Coerced).JSON())
		if list[i].Note == "" {
			list[i].Note = fieldNote(t, list[i].From)
		}
	}
	return list
}

// fieldNote returns why a field's value is not the result of the mapping, or "".
func fieldNote(t fieldschema.Trace, from string) string {
	switch {
	case t.Reason != "":
		return t.Reason
	case from == "" && t.Coerced.Kind() == event.Absent:
		return "not mapped"
	case t.Coerced.Kind() == event.Absent && strings.HasPrefix(from, "@path"):
		return "nothing at this path"
	}
	return ""
}
