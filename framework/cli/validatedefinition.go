package cli

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// checkDefinition finds the mistakes in a destination's definition: those that keep it from being loaded, what the suite of all
// destinations finds in a definition, and those of the files beside it. Missing descriptions and misspelt members of events are warnings.
func (c *validateCommand) checkDefinition(path string, text []byte) (problems, warnings fault.Problems) {
	d, problems := destination.ReadDefinition(path, text)
	beside := checkBesideDefinition(path, d, len(problems) == 0)
	if d == nil {
		return append(problems, beside...), nil
	}
	var found fault.Problems
	for _, f := range d.Lint(c.lintOptions(path, d)) {
		if f.Advice {
			warnings.Add(f.Pointer, "%s", f.Message)
		} else {
			found.Add(f.Pointer, "%s", f.Message)
		}
	}
	problems.AddNew(d.Document.Locate(found))
	problems.AddNew(d.Document.Locate(undeliverablePresets(d, problems)))
	for _, p := range misspeltMembers(d) {
		if place, _, _ := strings.Cut(p.Pointer, "/@"); !hasUnder(problems, place) { // otherwise it may follow from the problem
			warnings = append(warnings, p)
		}
	}
	return append(problems, beside...), d.Document.Locate(warnings)
}

// undeliverablePresets returns a problem for each part of a preset for which every event is refused. It leaves out what follows from the known
// problems of the preset, or of the fields of its action.
func undeliverablePresets(d *destination.Definition, known fault.Problems) (problems fault.Problems) {
	for i, p := range d.Presets {
		action := d.Action(p.Action)
		if p.Type != "automatic" || action == nil { // others are completed by the user
			continue
		}
		if hasUnder(known, fmt.Sprintf("/presets/%d", i)) || hasUnder(known, "/actions"+fault.PointerKey(action.Key)+"/fields") {
			continue
		}
		wrong, _ := runtime.CheckMapping(action.Fields, destination.Overlay(action.DefaultMapping(), p.Mapping))
		for _, w := range wrong {
			if place := placeOfDefault(action, p, w.Pointer); place != "" {
				problems.AddNew(fault.Problems{{Pointer: place, Message: w.Message}}) // once for all presets
			} else {
				problems.Add(fmt.Sprintf("/presets/%d/mapping%s", i, w.Pointer), "%s", w.Message)
			}
		}
	}
	return problems
}

// placeOfDefault returns the place of the part of a default that a preset has at a pointer into its whole mapping; "" if it is the preset's own.
func placeOfDefault(a *destination.ActionDefinition, p destination.Preset, pointer string) string {
	for _, f := range a.Fields {
		if rest, ok := strings.CutPrefix(pointer+"/", fault.PointerKey(f.Key)+"/"); ok && f.Default.Exists() && !p.Mapping.Get(f.Key).Exists() {
			return strings.TrimSuffix("/actions"+fault.PointerKey(a.Key)+"/fields"+fault.PointerKey(f.Key)+"/default/"+rest, "/")
		}
	}
	return ""
}

// hasUnder reports whether a list has a problem at a place or inside of it.
func hasUnder(list fault.Problems, place string) bool {
	return slices.ContainsFunc(list, func(p fault.Problem) bool { return p.Pointer == place || strings.HasPrefix(p.Pointer, place+"/") })
}

// misspeltMembers returns a problem for each path of a default, a preset or a query that reads a misspelt member of events.
func misspeltMembers(d *destination.Definition) (problems fault.Problems) {
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
