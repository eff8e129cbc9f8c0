package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Update returns the text of a case file in which the expectations of failed cases are replaced by their actual results. The rest of
// the file, including comments in YAML, does not change. results must be those of the file, in order. If a result cannot become an
// expectation (see Result.Updatable), Update returns an error that names each such case.
func Update(file string, text []byte, results []Result) ([]byte, error) {
	var refused fault.Problems
	for _, r := range results {
		if !r.Passed() && !r.Updatable() {
			refused = append(refused, fault.Problem{File: file, Line: r.Case.Line, Column: 1, Message: "the case cannot be updated: " + r.Problems[0]})
		}
	}
	switch {
	case len(refused) > 0:
		return nil, refused
	case IsNDJSON(file):
		return updateLines(text, results), nil
	case len(results) != 1 || results[0].Passed():
		return text, nil
	case filepath.Ext(file) == ".json":
		whole := withExpectation(results[0])
		var out bytes.Buffer
		if err := json.Indent(&out, whole.AppendJSON(nil), "", "  "); err != nil {
			return nil, err
		}
		return append(out.Bytes(), '\n'), nil
	}
	return updateYAML(text, results[0])
}

func withExpectation(r Result) event.Value {
	var members []event.Member
	for key, v := range r.Case.body.Members() {
		if key == "expect" {
			v = r.Actual
		}
		members = append(members, event.Member{Key: key, Value: v})
	}
	return event.NewObject(members)
}

func updateLines(text []byte, results []Result) []byte {
	failed := map[int]Result{}
	for _, r := range results {
		if !r.Passed() {
			failed[r.Case.Line] = r
		}
	}
	var out bytes.Buffer
	line := 0
	for raw := range bytes.Lines(text) {
		line++
		if r, ok := failed[line]; ok {
			raw = append(withExpectation(r).AppendJSON(nil), '\n')
		}
		out.Write(raw)
	}
	return out.Bytes()
}

// updateYAML replaces the lines from expect: to the next key at the margin.
func updateYAML(text []byte, r Result) ([]byte, error) {
	var out bytes.Buffer
	inside, found := false, false
	for raw := range bytes.Lines(text) {
		if c := raw[0]; c != ' ' && c != '\n' && c != '\r' && c != '-' && c != '#' {
			inside = bytes.HasPrefix(raw, []byte("expect:"))
			if inside {
				found = true
				block, err := yamlBlock(r.Actual)
				if err != nil {
					return nil, err
				}
				fmt.Fprintf(&out, "expect:\n%s", block)
			}
		}
		if !inside {
			out.Write(raw)
		}
	}
	if !found {
		return nil, fmt.Errorf("%s: no line starts with expect:, so there is nothing to replace", r.Case.File)
	}
	return out.Bytes(), nil
}

// yamlBlock returns a value as an indented block of YAML.
func yamlBlock(v event.Value) (string, error) {
	block, err := yaml.JSONToYAML(v.AppendJSON(nil))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for line := range strings.Lines(string(block)) {
		b.WriteString("  " + line)
	}
	return b.String(), nil
}
