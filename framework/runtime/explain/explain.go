// Package explain tells what becomes of an event in a subscription, and why: which conditions chose it, where each field came
// from, what cleaning and coercion made of it, the batch it joins and the requests it becomes.
//
// It tells of plans that others made, in data: how that is shown, and where requests go, is the caller's. Its functions may be
// used at once as far as their Recorders are not shared.
package explain

import (
	"context"
	"encoding/json"
	"strings"
	"sync"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// Story is what becomes of an event in one subscription.
type Story struct {
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
	Reason       string          `json:"reason,omitempty"`

	Payload   event.Value      `json:"-"` // absent where there is none
	Exchanges []httpx.Exchange `json:"-"` // the requests with their answers
}

// Field is how one field of the payload came about.
type Field struct {
	Field  string          `json:"field"`
	Label  string          `json:"label,omitempty"`
	From   string          `json:"from,omitempty"`
	Mapped json.RawMessage `json:"mapped,omitempty"` // what the mapping gave
	Value  json.RawMessage `json:"value,omitempty"`  // after cleaning and coercion
	Note   string          `json:"note,omitempty"`   // why it is absent, changed or wrong
}

// Batch is what an event would go with.
type Batch struct {
	Key  string `json:"key"`
	Size int    `json:"size"`
}

// Request is a request without its answer.
type Request struct {
	Body   string          `json:"body,omitempty"` // where it is no JSON
	JSON   json.RawMessage `json:"json,omitempty"`
	Method string          `json:"method"`
	URL    string          `json:"url"`
}

// RequestOf is the request of an exchange.
func RequestOf(x httpx.Exchange) Request {
	r := Request{Method: x.Method, URL: x.URL}
	if json.Valid(x.Body) {
		r.JSON = x.Body
	} else {
		r.Body = string(x.Body)
	}
	return r
}

// Recorder keeps the exchanges of a plan that was made with its Observe. It is safe for concurrent use.
type Recorder struct {
	mu   sync.Mutex
	seen []httpx.Exchange
}

// Observe is for runtime.Host.
func (r *Recorder) Observe(x httpx.Exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, x)
}

// take is what has been seen since the last time.
func (r *Recorder) take() []httpx.Exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := r.seen
	r.seen = nil
	return seen
}

// WouldDeliver is the outcome of an event that was delivered nowhere but could be.
const WouldDeliver = "would be delivered"

// Deliver takes an event through a subscription to where the plan's requests go.
func Deliver(ctx context.Context, p *runtime.Plan, s *runtime.Subscription, e event.Event, requests *Recorder) Story {
	st := Story{
		Instance: p.ID(), Subscription: s.Name(), Query: s.Query().String(), Words: s.Query().Describe(),
		Conditions: s.Query().Explain(e.Value()),
	}
	item, verdict := p.Prepare(s, e, 0)
	if st.Matched = st.Conditions.Matched; st.Matched {
		st.Fields = fields(s, e)
	}
	if verdict == nil {
		st.Payload, st.Batch = item.Payload, &Batch{item.BatchKey, item.BatchSize}
		requests.take()
		verdict = &p.Deliver(ctx, []runtime.Item{item})[0]
		st.Exchanges = requests.take()
		for _, x := range st.Exchanges {
			st.Requests = append(st.Requests, RequestOf(x))
		}
	}
	st.Outcome, st.Status, st.Reason = string(verdict.Outcome), verdict.Status, verdict.Reason
	return st
}

// Dry is Deliver for a plan whose requests go nowhere.
func Dry(ctx context.Context, p *runtime.Plan, s *runtime.Subscription, e event.Event, requests *Recorder) Story {
	st := Deliver(ctx, p, s, e, requests)
	if st.Outcome == string(runtime.Delivered) {
		st.Outcome = WouldDeliver
	}
	return st
}

// fields joins what the mapping did with what the schema did.
func fields(s *runtime.Subscription, e event.Event) []Field {
	var list []Field
	at := map[string]int{}
	mapped, _ := s.Mapping().Resolve(e.Value()) // an error shows on its field
	for _, t := range s.Mapping().Trace(e.Value()) {
		f := Field{Field: t.Key, From: t.From, Mapped: raw(t.Value)}
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
			at[t.Key] = i
			list = append(list, Field{Field: t.Key})
		}
		list[i].Label, list[i].Value = t.Label, raw(t.Coerced)
		if list[i].Note == "" {
			list[i].Note = note(t, list[i].From)
		}
	}
	return list
}

// note says why a field is not what the mapping gave.
func note(t fieldschema.Trace, from string) string {
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

func raw(v event.Value) json.RawMessage {
	if v.Kind() == event.Absent {
		return nil
	}
	return json.RawMessage(v.JSON())
}
