package mapping

import (
	"strings"
	"sync"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/reference"
)

// directives is the table of directives by name.
type directives map[string]directive

func directivesByName() directives {
	byName := directives{}
	for _, d := range directiveTable() {
		byName[d.name] = d
	}
	return byName
}

// Directives lists the directives, each with the JSON Schema of its argument, in which # is the schema of a mapping.
func Directives() []reference.Entry {
	var list []reference.Entry
	for _, d := range directiveTable() {
		list = append(list, reference.Entry{Name: d.name, Summary: d.summary, Schema: d.schema()})
	}
	return list
}

// schema returns a JSON Schema, in which # is the schema of a mapping.
type schema func() string

// anySchema is the JSON Schema of any mapping.
const anySchema = `{"$ref": "#"}`

func fixedSchema(text string) schema { return func() string { return text } }

// objectSchema returns the schema of an object with these properties and no others. In properties, any, short and flag are the
// schemas of any mapping, of a text of at most 10 characters and of a boolean.
func objectSchema(properties string, required ...string) schema {
	return func() string {
		short := strings.NewReplacer(": any", ": "+anySchema, ": short", `: {"type": "string", "maxLength": 10}`, ": flag", `: {"type": "boolean"}`)
		text := `{"type": "object", "properties": {` + short.Replace(properties) + "}"
		if len(required) > 0 {
			text += `, "required": ["` + strings.Join(required, `", "`) + `"]`
		}
		return text + `, "additionalProperties": false}`
	}
}

// optionKeysByName returns for each directive the keys of the object that it takes, or nil if it takes something else. They are read from its schema
// once, when a mapping uses the directive.
var optionKeysByName = sync.OnceValue(func() map[string]func() []string {
	byName := map[string]func() []string{}
	for _, d := range directiveTable() {
		byName[d.name] = sync.OnceValue(d.readOptionKeys)
	}
	return byName
})

func (d directive) readOptionKeys() (keys []string) {
	for key := range event.MustParse(d.schema()).Get("properties").Members() {
		keys = append(keys, key)
	}
	return keys
}

// Reference is a path that the argument of a directive reads.
type Reference struct {
	Path    event.Path
	Pointer string // to its text in the argument
}

// readsFunc returns the paths that an argument reads, and whether it reads nothing else.
type readsFunc func(v event.Value) (list []Reference, complete bool)

// References returns the paths that a directive reads itself, as far as they are constant: settings.region and settings.zone for an
// @expr of settings.region + settings["zone"]. ok is false if the directive reads the event only through mappings in its argument.
func References(directive string, argument event.Value) (list []Reference, ok bool) {
	reads := directivesByName()[directive].reads
	if reads == nil {
		return nil, false
	}
	list, _ = reads(argument)
	return list, true
}

// ReadsEvent reports whether the result of a directive depends on the event, apart from the mappings in its argument.
func ReadsEvent(directive string, argument event.Value) bool {
	reads := directivesByName()[directive].reads
	if reads == nil {
		return false
	}
	list, complete := reads(argument)
	return len(list) > 0 || !complete
}

func readsPath(v event.Value) (list []Reference, complete bool) {
	switch v.Kind() {
	case event.String:
		return []Reference{{Path: event.NewPath(v.Str())}}, true
	case event.Array:
		var keys []string
		for _, key := range v.Items() {
			keys = append(keys, key.Str())
		}
		return []Reference{{Path: event.PathOf(keys...)}}, true
	}
	return nil, false
}

func readsArrayPath(v event.Value) (list []Reference, complete bool) {
	if first := v.Index(0); first.IsString() {
		return []Reference{{event.NewPath(first.Str()), "/0"}}, true
	}
	return nil, false
}

func readsTemplate(v event.Value) (list []Reference, complete bool) {
	for _, p := range newTemplate(v.Str(), "").parts {
		if !p.last {
			list = append(list, Reference{Path: p.path})
		}
	}
	return list, v.IsString()
}
