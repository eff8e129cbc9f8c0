// Package mapping turns events into payloads. A mapping is a JSON value in which directives such as {"@path": "$.userId"} are
// replaced by values that are read from, or computed from, an event.
//
// Compile checks a mapping once and reports every mistake with its position. Resolve then runs it without parsing anything. The
// package knows nothing about fields, destinations or delivery. A Mapping is immutable and safe for concurrent use. README.md
// beside this file is the reference of the language.
package mapping

import (
	"fmt"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Limits. A mapping or result that exceeds one is refused with an error that names the limit.
const (
	MaxBytes  = 1 << 20        // size of a mapping as JSON in bytes
	MaxDepth  = event.MaxDepth // nesting depth of a mapping
	MaxOutput = event.MaxBytes // size in bytes of the result for one event, and of any intermediate value
)

// Mapping is a compiled mapping.
type Mapping struct {
	root     node
	text     event.Value
	warnings fault.Problems
}

// Warnings returns likely mistakes in a valid mapping, with a JSON pointer into the mapping for each: unknown filters of @liquid and
// keys of directives, which have no effect, and directives whose result is always absent.
func (m *Mapping) Warnings() fault.Problems { return m.warnings }

// node is a part of a compiled mapping.
type node interface {
	// resolve returns the part's value for an event. The value may have holes.
	resolve(v event.Value) (event.Value, error)
	// describe says on one line where the value comes from, as it applies to an event. The name of a directive is its first word.
	describe(v event.Value) string
}

// Compile compiles a mapping. The error is a fault.Problems with a JSON pointer into the mapping for each mistake.
func Compile(mapping event.Value) (*Mapping, error) {
	if mapping.Size() > MaxBytes {
		return nil, fault.Problems{{Message: fmt.Sprintf("should be at most %d MB but is larger", MaxBytes>>20)}}
	}
	c := &compiler{directives: directivesByName(), optionKeys: optionKeysByName()}
	root := c.compileRoot(mapping)
	if err := c.problems.Err(); err != nil {
		return nil, err
	}
	return &Mapping{root: root, text: mapping, warnings: c.warnings}, nil
}

// MustCompile is like Compile but panics on an error. It is for mappings that are known to be valid.
func MustCompile(text string) *Mapping {
	m, err := Compile(event.MustParse(text))
	if err != nil {
		panic(err)
	}
	return m
}

// Resolve returns the payload for an event. The result is absent if the mapping is a single directive that finds nothing. The error
// is a *fault.Error and concerns only this event.
func (m *Mapping) Resolve(v event.Value) (event.Value, error) {
	if v.Kind() != event.Object {
		return event.Value{}, fault.Invalid("mapping needs an object but got %s", v.Kind().WithArticle())
	}
	out, err := m.root.resolve(v)
	if err != nil {
		return event.Value{}, err
	}
	return out.WithoutHoles(), nil
}

// Value returns the source of the mapping.
func (m *Mapping) Value() event.Value { return m.text }

// tooLarge returns the error of a value that exceeds MaxOutput.
func tooLarge(pointer string) error {
	return mappingError(pointer, "produces more than %d MB for this event", MaxOutput>>20)
}

// mappingError returns the error of a directive that failed for an event.
func mappingError(pointer, format string, args ...any) error {
	e := fault.Invalid("mapping %s "+format, append([]any{pointer}, args...)...)
	e.Pointer = pointer
	return e
}

// literal is a constant value.
type literal struct{ value event.Value }

func (n literal) resolve(event.Value) (event.Value, error) { return n.value, nil }

func (n literal) describe(event.Value) string { return "literal " + truncateText(n.value.JSON()) }

// object is an object that contains a directive at any depth.
type object struct {
	pointer string
	shape   *event.Shape
	nodes   []node
	copied  bool // the object is copied to the payload, so absent members need no holes
}

func (n *object) resolve(v event.Value) (event.Value, error) {
	made, err := event.BuildObject(n.shape, !n.copied, func(i int) (event.Value, error) { return n.nodes[i].resolve(v) })
	if err != nil {
		return event.Value{}, err
	}
	return checkSize(made, n.pointer)
}

func (n *object) describe(event.Value) string {
	return "object of " + truncateText(strings.Join(n.shape.Keys(), ", "))
}

// array is an array that contains a directive at any depth.
type array struct {
	pointer string
	items   []node
}

func (n *array) resolve(v event.Value) (event.Value, error) {
	items := make([]event.Value, len(n.items))
	for i, item := range n.items {
		value, err := item.resolve(v)
		if err != nil {
			return event.Value{}, err
		}
		items[i] = value
	}
	return checkSize(event.NewArray(items), n.pointer)
}

func (n *array) describe(event.Value) string { return fmt.Sprintf("list of %d", len(n.items)) }

// checkSize returns v, or an error if v exceeds MaxOutput.
func checkSize(v event.Value, pointer string) (event.Value, error) {
	if v.Size() > MaxOutput {
		return event.Value{}, tooLarge(pointer)
	}
	return v, nil
}
