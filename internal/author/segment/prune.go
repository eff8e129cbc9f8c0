package segment

import (
	"fmt"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// pruneInvalid removes the parts of a definition that Landfall refuses, one by one, and reports them.
func (r *reader) pruneInvalid(v event.Value) (event.Value, error) {
	const most = 10_000 // parts
	for range most {
		parsed, err := destination.ParseDefinition("", v.AppendJSON(nil))
		problems := fault.ProblemsOf(err)
		if err == nil {
			problems = invalidDefaults(parsed)
		}
		if len(problems) == 0 {
			return v, nil
		}
		p := problems[0]
		part := droppablePart(p.Pointer)
		smaller, dropped := removeAt(v, event.PointerSteps(part))
		if part == "" || !dropped || smaller.Get("actions").Len() == 0 {
			return v, fmt.Errorf("nothing that Landfall supports is left: %w", err)
		}
		r.addNote(r.sourcePointer(part, p.Pointer), "is not imported: %s", p.Message)
		r.shiftPresets(part)
		v = smaller
	}
	return v, fmt.Errorf("more than %d parts cannot be imported", most)
}

// invalidDefaults returns the problems of the defaults of a definition that parses.
func invalidDefaults(d *destination.Definition) (list fault.Problems) {
	for _, f := range d.Lint(destination.LintOptions{}) {
		if f.Check == destination.CheckDefaults && strings.HasSuffix(f.Pointer, "/default") {
			list.Add(f.Pointer, "%s", f.Message)
		}
	}
	return list
}

// droppablePart returns the pointer of the part to remove if there is a problem at pointer: a whole field, or a whole mapping.
func droppablePart(pointer string) string {
	steps := strings.Split(pointer, "/")
	for i, step := range steps {
		inField := i > 2 && (steps[i-2] == "fields" || steps[i-2] == "properties" || steps[1] == "presets" && i == 3 || steps[1] == "audienceFields" && i == 3)
		if inField && slices.Contains([]string{"default", "mapping", "choices", "required", "depends_on"}, step) {
			if step == "mapping" {
				return strings.Join(steps[:3], "/") // a preset without its mapping is another one
			}
			return strings.Join(steps[:i+1], "/")
		}
	}
	switch last := steps[len(steps)-1]; {
	case len(steps) == 4 && steps[1] == "presets":
		return strings.Join(steps[:3], "/")
	case len(steps) > 2 && (last == "type" || last == "label" || last == "title"):
		return strings.Join(steps[:len(steps)-1], "/")
	}
	return pointer
}

// removeAt returns a value without the part at a place.
func removeAt(v event.Value, steps []string) (event.Value, bool) {
	if len(steps) == 0 {
		return v, false
	}
	dropped := false
	change := func(key string, m event.Value) (event.Value, bool) {
		if key != steps[0] {
			return m, true
		}
		if len(steps) == 1 {
			dropped = true
			return m, false
		}
		m, dropped = removeAt(m, steps[1:])
		return m, true
	}
	if v.Kind() == event.Array {
		var items []event.Value
		for i, item := range v.Items() {
			if m, keep := change(fmt.Sprint(i), item); keep {
				items = append(items, m)
			}
		}
		return event.NewArray(items), dropped
	}
	if v.Kind() != event.Object {
		return v, false
	}
	var members []event.Member
	for key, m := range v.Members() {
		if m, keep := change(key, m); keep {
			members = append(members, event.Member{Key: key, Value: m})
		}
	}
	return event.NewObject(members), dropped
}

// sourcePointer returns the place in the metadata from which a part of the definition comes.
func (r *reader) sourcePointer(part, pointer string) string {
	for p := pointer; p != ""; p = p[:strings.LastIndexByte(p, '/')] {
		if from, ok := r.origin[p]; ok {
			return from + pointer[len(p):]
		}
	}
	return r.root + part
}

// shiftPresets updates the places of the presets after a removed one.
func (r *reader) shiftPresets(part string) {
	var gone int
	if n, _ := fmt.Sscanf(part, "/presets/%d", &gone); n != 1 || strings.Count(part, "/") != 2 {
		return
	}
	for i := gone; ; i++ {
		next, ok := r.origin[fmt.Sprintf("/presets/%d", i+1)]
		if !ok {
			delete(r.origin, fmt.Sprintf("/presets/%d", i))
			return
		}
		r.origin[fmt.Sprintf("/presets/%d", i)] = next
	}
}

// dropUnknownMappings removes from presets the mappings of fields that their actions do not have, such as fields that were not imported.
func (r *reader) dropUnknownMappings(v event.Value) event.Value {
	var presets []event.Value
	for i, preset := range v.Get("presets").Items() {
		fields := v.Get("actions").Get(preset.Get("action").Str()).Get("fields")
		mapping := preset.Get("mapping")
		for key := range mapping.Members() {
			if fields.Get(key).Exists() {
				continue
			}
			place := fmt.Sprintf("/presets/%d", i)
			r.addNote(r.sourcePointer(place, place), "the mapping of %s is not imported: the action %s has no such field", key, preset.Get("action").Str())
			preset, _ = removeAt(preset, []string{"mapping", key})
		}
		if mapping.Len() > 0 && preset.Get("mapping").Len() == 0 {
			preset = preset.Without("mapping")
		}
		presets = append(presets, preset)
	}
	if presets == nil {
		return v
	}
	return destination.Overlay(v, event.NewObject([]event.Member{{Key: "presets", Value: event.NewArray(presets)}}))
}
