package console

import (
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// argumentKind is the kind of an argument's input.
type argumentKind string

const (
	kindMapping argumentKind = "mapping" // a value of the event, a fixed value, or another directive
	kindList    argumentKind = "list"    // of mappings
	kindChoice  argumentKind = "choice"
	kindFlag    argumentKind = "flag"
	kindText    argumentKind = "text"
)

// argumentSpec describes one argument of a directive.
type argumentSpec struct {
	Key      string // "" if the directive has no names for its arguments
	Kind     argumentKind
	Required bool
	Choices  []string // of a choice
	Long     bool     // a text that can have several lines
	Texts    bool     // a mapping, or the items of a list, can be texts only
	Min, Max int      // items of a list; Max is 0 without a limit
}

// directiveSpec describes a directive as its card needs it.
type directiveSpec struct {
	Name, Summary string
	Arguments     []argumentSpec
}

// directiveSpecs returns the directives, in the order of their table.
func directiveSpecs() []directiveSpec {
	var list []directiveSpec
	for _, d := range mapping.Directives() {
		list = append(list, directiveSpec{d.Name, d.Summary, argumentSpecs(event.MustParse(d.Schema))})
	}
	return list
}

func findDirective(name string) (directiveSpec, bool) {
	for _, d := range directiveSpecs() {
		if d.Name == name {
			return d, true
		}
	}
	return directiveSpec{}, false
}

// argumentSpecs returns the arguments in the schema of a directive: those with names, or the only one.
func argumentSpecs(schema event.Value) []argumentSpec {
	properties := schema.Get("properties")
	if properties.Kind() != event.Object {
		a := argumentSpecOf("", schema)
		a.Required = true
		return []argumentSpec{a}
	}
	var list []argumentSpec
	for key, property := range properties.Members() {
		a := argumentSpecOf(key, property)
		for _, name := range schema.Get("required").Items() {
			a.Required = a.Required || name.Str() == key
		}
		if a.Kind == kindText && !a.Required { // its input says whether it is left out or empty
			a.Kind = kindMapping
		}
		list = append(list, a)
	}
	return list
}

// argumentSpecOf returns the argument with a schema. One that has no input of its own is a mapping, which can be edited as JSON.
func argumentSpecOf(key string, schema event.Value) argumentSpec {
	a := argumentSpec{Key: key, Kind: kindMapping}
	switch {
	case schema.Get("enum").Len() > 0:
		a.Kind = kindChoice
		for _, choice := range schema.Get("enum").Items() {
			a.Choices = append(a.Choices, choice.Text())
		}
	case schema.Get("type").Str() == "boolean":
		a.Kind = kindFlag
	case schema.Get("type").Str() == "string":
		const maxLine = 100
		length, limited := schema.Get("maxLength").Float(), schema.Get("maxLength").Exists()
		a.Kind, a.Long, a.Texts = kindText, !limited || length > maxLine, true
	case schema.Get("type").Str() == "array":
		a.Kind, a.Texts = kindList, schema.Get("items").Get("type").Str() == "string"
		a.Min, a.Max = int(schema.Get("minItems").Float()), int(schema.Get("maxItems").Float())
	}
	return a
}
