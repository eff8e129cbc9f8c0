package cli

import (
	"fmt"
	"path/filepath"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// checkDefinition finds the mistakes in a destination's definition: those that keep it from being loaded, and what the suite of
// all destinations finds in a definition. Missing descriptions are warnings.
func (c *validateCommand) checkDefinition(path string, text []byte) (problems, warnings fault.Problems) {
	d, err := destination.ParseDefinition(path, text)
	if err != nil {
		return fault.ProblemsOf(err), nil
	}
	for _, f := range d.Lint(c.lintOptions(path, d)) {
		p := fault.Problem{File: path, Pointer: f.Pointer, Message: f.Message}
		if f.Advice {
			warnings = append(warnings, p)
		} else {
			problems = append(problems, p)
		}
	}
	problems = append(problems, undeliverablePresets(path, d)...)
	warnings = append(warnings, misspeltMembers(path, d)...)
	return d.Document.Locate(problems), d.Document.Locate(warnings)
}

// undeliverablePresets returns a problem for each part of a preset for which every event is refused.
func undeliverablePresets(path string, d *destination.Definition) (problems fault.Problems) {
	for i, p := range d.Presets {
		if p.Type != "automatic" { // others are completed by the user
			continue
		}
		action := d.Action(p.Action)
		wrong, _ := runtime.CheckMapping(action.Fields, destination.Overlay(action.DefaultMapping(), p.Mapping))
		for _, w := range wrong {
			problems = append(problems, fault.Problem{File: path, Pointer: fmt.Sprintf("/presets/%d/mapping%s", i, w.Pointer), Message: w.Message})
		}
	}
	return problems
}

// misspeltMembers returns a problem for each path of a default, a preset or a query that reads a misspelt member of events.
func misspeltMembers(path string, d *destination.Definition) (problems fault.Problems) {
	add := func(place string, found fault.Problems) { problems.AddUnder(place, found.Err()) }
	for _, a := range d.Actions {
		place := "/actions" + fault.PointerKey(a.Key)
		for _, f := range a.Fields {
			add(place+"/fields"+fault.PointerKey(f.Key)+"/default", runtime.CheckSpelling(f.Default))
		}
		if query, err := fql.Compile(a.DefaultSubscription); err == nil {
			add(place+"/defaultSubscription", runtime.CheckQuerySpelling(query))
		}
	}
	for i, p := range d.Presets {
		place := fmt.Sprintf("/presets/%d", i)
		add(place+"/mapping", runtime.CheckSpelling(p.Mapping))
		if query, err := fql.Compile(p.Subscribe); err == nil {
			add(place+"/subscribe", runtime.CheckQuerySpelling(query))
		}
	}
	for i := range problems {
		problems[i].File = path
	}
	return problems
}

// lintOptions returns what is known about a definition from its location: destination.yaml is in a directory with the
// destination's name. An action without a request needs a handler: one of this program, or one in Go files beside the
// definition, which only the compiler can find.
func (c *validateCommand) lintOptions(path string, d *destination.Definition) destination.LintOptions {
	var o destination.LintOptions
	dir := filepath.Dir(path)
	if filepath.Base(path) == destination.DefinitionFile {
		o.Directory = dir
	}
	if sources, _ := textfile.Glob(dir, "*.go"); len(sources) > 0 {
		return o
	}
	var entry destination.Entry
	if registry, err := c.catalog().RegistryFor(nil); err == nil {
		entry, _ = registry.Find(d.Slug)
	}
	o.Performs = func(action string) bool {
		_, ok := entry.Plugin.Actions[action]
		return ok
	}
	return o
}
