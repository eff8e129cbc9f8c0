// Package harness runs case files. A case states what a mapping, a query, fields or a destination must produce for an event.
//
// A file contains one case (JSON, YAML) or several (NDJSON). The package imports no destination: the caller passes a registry. Cases do
// not affect each other, and a Suite is safe for concurrent use.
package harness

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/schemas"
)

// Case is one case of a file.
type Case struct {
	File string
	Line int // its first line, from 1
	Name string
	body event.Value
}

// Body returns the case as the file has it.
func (c Case) Body() event.Value { return c.body }

// Instance returns the instance that a case of a destination describes. If the case names an action, the instance has one
// subscription, which takes every event unless the case has a query.
func (c Case) Instance(d *destination.Definition) (config.Instance, error) {
	return caseInstance(c.body, d)
}

// Events returns the events of a case of a destination.
func (c Case) Events() ([]event.Event, error) {
	_, events, err := caseEvents(c.body)
	return events, err
}

// Result is the result of running a case.
type Result struct {
	Case     Case
	Problems []string    // differences from the expectation; empty if the case passed
	Actual   event.Value // an expectation with which the case passes; empty or absent if there is none
}

// Updatable reports whether the actual result can replace the expectation of the case. It cannot if the case itself is wrong,
// for example if its destination or its action does not exist: the new expectation would accept that error from then on.
func (r Result) Updatable() bool { return r.Actual.Len() > 0 }

// Places returns the places at which the result differs from the expectation, as JSON pointers such as /results/0/outcome. If the case
// did not pass although no place differs, for example because its settings were refused, it returns the whole, "".
func (r Result) Places() []string {
	var places []string
	for key, got := range r.Actual.Members() {
		for _, d := range diffValues(fault.PointerKey(key), r.Case.body.Get("expect").Get(key), got) {
			places = append(places, d.place)
		}
	}
	if places == nil && !r.Passed() {
		return []string{""}
	}
	return places
}

// Passed reports whether the case gave what it expects.
func (r Result) Passed() bool { return len(r.Problems) == 0 }

// Suite runs cases. Registry has the destinations that cases can use.
type Suite struct {
	Registry *destination.Registry
}

// MaxFile is the largest size of a case file in bytes.
const MaxFile = 256 << 20

// Parse reads a case file. The error is a fault.Problems with every invalid case and its place.
func Parse(file string, text []byte) ([]Case, error) {
	if len(text) > MaxFile {
		return nil, fault.Problems{{File: file, Message: fmt.Sprintf("larger than %d MB", MaxFile>>20)}}
	}
	if IsNDJSON(file) {
		return parseLines(file, text)
	}
	doc, err := yamldoc.Parse(file, text)
	if err != nil {
		return nil, err
	}
	if problems := schemas.Check(schemas.Fixture, doc.Value()); len(problems) > 0 {
		return nil, doc.Locate(problems)
	}
	name := doc.Value().Get("name").Str()
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	}
	return []Case{{File: file, Line: 1, Name: name, body: doc.Value()}}, nil
}

// HasCases reports whether a file is for cases: unless it can be read and no value in it has a key that only cases have. Configs and events have
// none.
func HasCases(file string, text []byte) bool {
	if !IsNDJSON(file) {
		doc, err := yamldoc.Parse(file, text)
		return err != nil || HasCaseKey(doc.Value())
	}
	found := false
	for raw := range bytes.Lines(text) {
		v, err := event.ParseValue(bytes.TrimSpace(raw))
		if err == nil && HasCaseKey(v) {
			return true
		}
		found = found || err == nil
	}
	return !found
}

// HasCaseKey reports whether a value has a key that only cases have.
func HasCaseKey(v event.Value) bool {
	return slices.ContainsFunc([]string{"expect", "mapping", "subscribe", "fields", "destination"}, func(key string) bool { return v.Get(key).Exists() })
}

// IsNDJSON reports whether a file has a case in each line.
func IsNDJSON(file string) bool {
	extension := filepath.Ext(file)
	return extension == ".ndjson" || extension == ".jsonl"
}

func parseLines(file string, text []byte) ([]Case, error) {
	var cases []Case
	var problems fault.Problems
	line := 0
	for raw := range bytes.Lines(text) {
		line++
		if len(bytes.TrimSpace(raw)) == 0 {
			continue
		}
		v, err := event.ParseValue(bytes.TrimSpace(raw))
		if err != nil {
			problems = append(problems, fault.Problem{File: file, Line: line, Column: 1, Message: "the line is not JSON: " + err.Error()})
			continue
		}
		wrong := schemas.Check(schemas.Fixture, v)
		for _, p := range wrong {
			p.File, p.Line, p.Column = file, line, 1
			problems = append(problems, p)
		}
		cases = append(cases, Case{File: file, Line: line, Name: v.Get("name").Str(), body: v})
	}
	return cases, problems.Err()
}

// Run runs a case. Errors are part of the result.
func (s *Suite) Run(ctx context.Context, c Case) Result {
	var actual event.Value
	var problems []string
	expect := c.body.Get("expect")
	switch {
	case c.body.Get("destination").Exists():
		actual, problems = s.runDestination(ctx, c.body, expect)
	case c.body.Get("fields").Exists():
		actual, problems = runFields(c.body, expect)
	case c.body.Get("subscribe").Exists():
		actual, problems = runQuery(c.body, expect)
	default:
		actual, problems = runMapping(c.body, expect)
	}
	return Result{Case: c, Problems: problems, Actual: actual}
}
