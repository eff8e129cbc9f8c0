package cli

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
	"github.com/landfall-dev/landfall/internal/author/harness"
	"github.com/landfall-dev/landfall/internal/author/suite"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// isSandbox reports whether a file has the rules of a simulated API: it has its name or its routes.
func isSandbox(path string, v event.Value) bool {
	return filepath.Base(path) == destination.SandboxFile || v.Get("routes").Exists() && !v.Get("destinations").Exists()
}

// isCase reports whether a file has a case.
func isCase(v event.Value) bool {
	isConfig := v.Get("destinations").Exists() || v.Get("sources").Exists()
	return !isConfig && harness.HasCaseKey(v)
}

func checkSandbox(path string, text []byte) fault.Problems {
	_, err := sandbox.ParseDeclared(path, text, nil)
	return fault.ProblemsOf(err)
}

func checkCase(path string, text []byte) fault.Problems {
	_, err := harness.Parse(path, text)
	return fault.ProblemsOf(err)
}

// checkBesideDefinition finds the mistakes of the files that belong to the definition d at path, which may be nil: of its simulated API and of its
// cases. Whether the actions of cases exist is only known if the definition is valid.
func checkBesideDefinition(path string, d *destination.Definition, valid bool) (problems fault.Problems) {
	if filepath.Base(path) != destination.DefinitionFile {
		return nil
	}
	dir := filepath.Dir(path)
	check := func(file string, find func(file string, text []byte) fault.Problems) {
		text, err := textfile.ReadAtMost(file, harness.MaxFile)
		if err != nil {
			problems = append(problems, fault.Problem{File: file, Message: fault.FileReason(err)})
			return
		}
		problems = append(problems, find(file, text)...)
	}
	if file := filepath.Join(dir, destination.SandboxFile); isFile(file) {
		check(file, checkSandbox)
	}
	slug := filepath.Base(dir)
	if d != nil && d.Slug != "" {
		slug = d.Slug
	}
	files, err := suite.CaseFiles(dir, slug)
	if err != nil {
		return append(problems, fault.Problem{File: dir, Message: fault.FileReason(err)})
	}
	for _, file := range files {
		check(file, func(file string, text []byte) fault.Problems {
			if !valid {
				return checkCase(file, text)
			}
			return checkCaseOf(d, file, text)
		})
	}
	return problems
}

// checkCaseOf finds the mistakes of a case file of a destination: also actions that it does not have, unless the case expects an error.
func checkCaseOf(d *destination.Definition, file string, text []byte) fault.Problems {
	cases, err := harness.Parse(file, text)
	problems := fault.ProblemsOf(err)
	for _, c := range cases {
		body := c.Body()
		action := body.Get("action").Str()
		if action == "" || d.Action(action) != nil || body.Get("expect").Get("error").Exists() || !slices.Contains(d.Names(), body.Get("destination").Str()) {
			continue
		}
		p := fault.Problem{File: file, Line: c.Line, Column: 1, Pointer: "/action", Message: fmt.Sprintf("%s has no action %q%s", d.Name, action, fault.DidYouMean(action, d.ActionKeys()))}
		if doc, err := yamldoc.Parse(file, text); err == nil && !harness.IsNDJSON(file) {
			p.Line, p.Column = doc.Position(p.Pointer)
		}
		problems = append(problems, p)
	}
	return problems
}
