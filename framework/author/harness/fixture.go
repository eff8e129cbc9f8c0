// Package fixture runs case files: what a mapping, a query, fields or a destination must make of events.
//
// A file holds one case (JSON, YAML) or many (NDJSON). The package knows the runtime and the languages, and gets the
// destinations from its caller. Cases are independent of each other; a Suite is safe for concurrent use.
package harness

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
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
	Line int // where it begins, from 1
	Name string
	body event.Value
}

// Body is the case as it is written.
func (c Case) Body() event.Value { return c.body }

// Instance is the instance that a case of a destination describes. Its one subscription takes every event where the case names an
// action.
func (c Case) Instance(d *destination.Definition) (config.Instance, error) {
	return instanceOf(c.body, d)
}

// Events are the events of a case of a destination.
func (c Case) Events() ([]event.Event, error) {
	_, events, err := eventsOf(c.body)
	return events, err
}

// Result is how a case went.
type Result struct {
	Case     Case
	Problems []string    // how what came differs from what was expected; empty where the case passed
	Actual   event.Value // an expectation that the case would pass; empty or absent if there is none
}

// Updatable reports whether the actual result can replace the expectation of the case. It cannot if the case itself is wrong,
// for example if its destination or its action does not exist: the new expectation would accept that error for ever.
func (r Result) Updatable() bool { return r.Actual.Len() > 0 }

// Passed tells whether everything came as expected.
func (r Result) Passed() bool { return len(r.Problems) == 0 }

// Suite runs cases against these destinations.
type Suite struct {
	Registry *destination.Registry
}

// MaxFile bounds a file of cases.
const MaxFile = 256 << 20

// Parse reads a file of cases. The error is a fault.Problems: every case that is not one, with its place.
func Parse(file string, text []byte) ([]Case, error) {
	if len(text) > MaxFile {
		return nil, fault.Problems{{File: file, Message: fmt.Sprintf("larger than %d MB", MaxFile>>20)}}
	}
	if isLines(file) {
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

func isLines(file string) bool {
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
			problems = append(problems, fault.Problem{File: file, Line: line, Column: 1, Message: "the line is no JSON: " + err.Error()})
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

// Run runs a case. What goes wrong is part of the result.
func (s *Suite) Run(ctx context.Context, c Case) Result {
	var actual event.Value
	var problems []string
	expect := c.body.Get("expect")
	switch {
	case c.body.Get("destination").Exists():
		actual, problems = s.destination(ctx, c.body, expect)
	case c.body.Get("fields").Exists():
		actual, problems = fields(c.body, expect)
	case c.body.Get("subscribe").Exists():
		actual, problems = query(c.body, expect)
	default:
		actual, problems = mapped(c.body, expect)
	}
	return Result{Case: c, Problems: problems, Actual: actual}
}
