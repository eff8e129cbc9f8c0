package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fql"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/schema"
)

// story is what becomes of an event in one subscription.
type story struct {
	Instance     string           `json:"instance"`
	Subscription string           `json:"subscription"`
	Matched      bool             `json:"matched"`
	Query        string           `json:"query"`
	Words        string           `json:"words"`
	Conditions   fql.Explanation  `json:"conditions"`
	Fields       []fieldStory     `json:"fields,omitempty"`
	Batch        *batchStory      `json:"batch,omitempty"`
	Requests     []map[string]any `json:"requests,omitempty"`
	Outcome      string           `json:"outcome"`
	Status       int              `json:"status"`
	Reason       string           `json:"reason,omitempty"`
}

// fieldStory is how one field of the payload came about.
type fieldStory struct {
	Field  string          `json:"field"`
	Label  string          `json:"label,omitempty"`
	From   string          `json:"from,omitempty"`
	Mapped json.RawMessage `json:"mapped,omitempty"` // what the mapping gave
	Value  json.RawMessage `json:"value,omitempty"`  // after cleaning and coercion
	Note   string          `json:"note,omitempty"`   // why it is absent, changed or wrong
}

type batchStory struct {
	Key  string `json:"key"`
	Size int    `json:"size"`
}

func (c *explainCommand) story(ctx context.Context, p *runtime.Plan, s *runtime.Subscription, e event.Event) story {
	st := story{
		Instance: p.ID(), Subscription: s.Name(), Query: s.Query().String(), Words: s.Query().Words(),
		Conditions: s.Query().Explain(e.Value()),
	}
	item, verdict := p.Prepare(s, e, 0)
	if st.Matched = st.Conditions.Matched; st.Matched {
		st.Fields = fieldStories(s, e)
	}
	if verdict == nil {
		st.Batch = &batchStory{item.BatchKey, item.BatchSize}
		c.requests = nil
		verdict = &p.Deliver(ctx, []runtime.Item{item})[0]
		for _, x := range c.requests {
			st.Requests = append(st.Requests, requestJSON(x))
		}
	}
	st.Outcome, st.Status, st.Reason = string(verdict.Outcome), verdict.Status, verdict.Reason
	if verdict.Outcome == runtime.Delivered {
		st.Outcome = "would be delivered"
	}
	return st
}

// fieldStories joins what the mapping did with what the schema did.
func fieldStories(s *runtime.Subscription, e event.Event) []fieldStory {
	var list []fieldStory
	at := map[string]int{}
	mapped, _ := s.Mapping().Resolve(e.Value()) // an error shows on its field
	for _, t := range s.Mapping().Trace(e.Value()) {
		f := fieldStory{Field: t.Key, From: t.From, Mapped: raw(t.Value)}
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
			list = append(list, fieldStory{Field: t.Key})
		}
		list[i].Label, list[i].Value = t.Label, raw(t.Coerced)
		if list[i].Note == "" {
			list[i].Note = note(t, list[i].From)
		}
	}
	return list
}

// note says why a field is not what the mapping gave.
func note(t schema.Trace, from string) string {
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

// print tells the story to people.
func (s story) print(w io.Writer) {
	fmt.Fprintf(w, "%s › %s\n", s.Instance, s.Subscription)
	if s.Matched {
		fmt.Fprintln(w, "  matched")
	} else {
		fmt.Fprintln(w, "  not matched: this subscription does not take the event")
	}
	fmt.Fprint(w, indented(s.Conditions.String(), "    "))
	if len(s.Fields) > 0 {
		fmt.Fprintln(w, "  fields")
		for _, f := range s.Fields {
			f.print(w)
		}
	}
	if s.Batch != nil {
		fmt.Fprintf(w, "  batch of at most %d: %s\n", s.Batch.Size, orNone(s.Batch.Key))
	}
	for _, r := range s.Requests {
		body, _ := json.Marshal(r["json"])
		fmt.Fprintf(w, "  request: %s %s\n    %s\n", r["method"], r["url"], body)
	}
	fmt.Fprintf(w, "  → %s", s.Outcome)
	if s.Reason != "" {
		fmt.Fprintf(w, ": %s", s.Reason)
	}
	fmt.Fprint(w, "\n\n")
}

func (f fieldStory) print(w io.Writer) {
	value := string(f.Value)
	if value == "" {
		value = "absent"
	}
	fmt.Fprintf(w, "    %-24s %s\n", f.Field, clipped(value))
	if f.From != "" {
		fmt.Fprintf(w, "    %-24s   from %s\n", "", f.From)
	}
	if f.Note != "" {
		mapped := ""
		if len(f.Mapped) > 0 && string(f.Mapped) != string(f.Value) {
			mapped = "was " + clipped(string(f.Mapped)) + "; "
		}
		fmt.Fprintf(w, "    %-24s   %s%s\n", "", mapped, f.Note)
	}
}

// clipped is a value that fits on a line.
func clipped(text string) string {
	const most = 100
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

func orNone(key string) string {
	if key == "" {
		return "with all others of the subscription"
	}
	return "with others of " + strings.TrimSuffix(key, ",")
}

func indented(text, margin string) string {
	return margin + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+margin) + "\n"
}
