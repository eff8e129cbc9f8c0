// Package schemas contains the JSON Schemas of the files that users write: destination definitions, configs, fixtures, mappings and
// the rules of sandboxes.
// Editors use the schemas, and Check validates files with them.
//
// A schema describes only the form of a file. The packages that load a file check what it means. Everything here is safe for
// concurrent use.
package schemas

import (
	"cmp"
	"embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

//go:embed *.schema.json
var files embed.FS

// Kind is a kind of file.
type Kind string

// The kinds. Each value is the name of a schema file.
const (
	Destination Kind = "destination"
	Config      Kind = "config"
	Fixture     Kind = "fixture"
	Mapping     Kind = "mapping"
	Sandbox     Kind = "sandbox"
)

// Kinds returns all kinds.
func Kinds() []Kind { return []Kind{Destination, Config, Fixture, Mapping, Sandbox} }

// Text returns the JSON Schema of a kind as JSON text. It panics if the kind is unknown.
func Text(kind Kind) []byte {
	text, err := files.ReadFile(string(kind) + ".schema.json")
	if err != nil {
		panic(fmt.Sprintf("schemas: unknown kind %q", kind))
	}
	return text
}

// Description returns what files of a kind are, in a sentence. It panics if the kind is unknown.
func Description(kind Kind) string {
	return event.MustParse(string(Text(kind))).Get("description").Str()
}

// compiledSchema is a schema ready for validation, and its JSON text as a Value for looking up what a keyword demands.
type compiledSchema struct {
	schema *jsonschema.Schema
	value  event.Value
}

// compileAll compiles every schema once.
var compileAll = sync.OnceValue(func() map[Kind]compiledSchema {
	m := map[Kind]compiledSchema{}
	for _, kind := range Kinds() {
		text := string(Text(kind))
		url := "https://landfall.dev/schemas/" + string(kind) + ".schema.json"
		compiler := jsonschema.NewCompiler()
		if err := compiler.AddResource(url, strings.NewReader(text)); err != nil {
			panic(err)
		}
		m[kind] = compiledSchema{compiler.MustCompile(url), event.MustParse(text)}
	}
	return m
})

// Check returns a problem for every part of v that does not match the schema of its kind, sorted by pointer.
func Check(kind Kind, v event.Value) fault.Problems {
	c := compileAll()[kind]
	err := c.schema.Validate(v.Any())
	if err == nil {
		return nil
	}
	wrong, ok := err.(*jsonschema.ValidationError)
	if !ok {
		return fault.ProblemsOf(err)
	}
	e := explainer{schema: c.value, instance: v}
	e.explain(wrong)
	slices.SortFunc(e.problems, func(a, b fault.Problem) int {
		return cmp.Or(strings.Compare(a.Pointer, b.Pointer), strings.Compare(a.Message, b.Message))
	})
	return e.problems
}
