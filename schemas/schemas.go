// Package schemas holds the JSON Schemas of the files that people write — definitions, configs, cases and mappings — for
// editors to use and for Check to hold files against.
//
// The schemas see a file's form only; what its parts mean is checked by the packages that read them. Everything here is
// safe for concurrent use.
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

// The kinds, by the names of their schemas.
const (
	Destination Kind = "destination"
	Config      Kind = "config"
	Fixture     Kind = "fixture"
	Mapping     Kind = "mapping"
)

// Kinds are all kinds.
func Kinds() []Kind { return []Kind{Destination, Config, Fixture, Mapping} }

// Text is the JSON Schema of a kind.
func Text(kind Kind) []byte {
	text, err := files.ReadFile(string(kind) + ".schema.json")
	if err != nil {
		panic(fmt.Sprintf("schemas: there is no kind %q", kind))
	}
	return text
}

// compiled holds a schema ready for use, and as a value, in which the words of errors are looked up.
type compiled struct {
	schema *jsonschema.Schema
	value  event.Value
}

// all compiles every schema once.
var all = sync.OnceValue(func() map[Kind]compiled {
	m := map[Kind]compiled{}
	for _, kind := range Kinds() {
		text := string(Text(kind))
		url := "https://landfall.dev/schemas/" + string(kind) + ".schema.json"
		compiler := jsonschema.NewCompiler()
		if err := compiler.AddResource(url, strings.NewReader(text)); err != nil {
			panic(err)
		}
		m[kind] = compiled{compiler.MustCompile(url), event.MustParse(text)}
	}
	return m
})

// Check is every place at which a value is not of the form of its kind.
func Check(kind Kind, v event.Value) fault.Problems {
	c := all()[kind]
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
