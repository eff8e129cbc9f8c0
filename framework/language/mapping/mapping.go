// Package mapping turns events into payloads: a mapping is a JSON value in which directives such as
// {"@path": "$.userId"} stand for what is found in, or made of, an event.
//
// Compile checks a mapping once and reports every mistake with its place; Resolve then runs it without parsing
// anything. The package knows nothing of fields, destinations or delivery. A Mapping is immutable and safe for
// concurrent use. README.md beside this file is the language's reference.
package mapping

import (
	"fmt"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Bounds. A mapping or a result beyond them is an error that names the bound.
const (
	MaxBytes  = 1 << 20        // bytes of a mapping as JSON
	MaxDepth  = event.MaxDepth // values inside each other in a mapping
	MaxOutput = event.MaxBytes // bytes of what a mapping makes of one event, and of any part on the way
)

// Mapping is a compiled mapping.
type Mapping struct {
	root     node
	text     event.Value
	warnings fault.Problems
}

// Warnings returns what is valid in a mapping and yet most likely a mistake, with a JSON pointer into the mapping for each: a
// filter of @liquid that does not exist changes nothing.
func (m *Mapping) Warnings() fault.Problems { return m.warnings }

// node is a part of a compiled mapping.
type node interface {
	// resolve makes the part's value from an event. What it returns may hold absent members.
	resolve(v event.Value) (event.Value, error)
}

// Compile checks a mapping and prepares it. The error is a fault.Problems with a JSON pointer into the mapping for each
// mistake.
func Compile(mapping event.Value) (*Mapping, error) {
	if mapping.Size() > MaxBytes {
		return nil, fault.Problems{{Message: fmt.Sprintf("should be at most %d MB but is larger", MaxBytes>>20)}}
	}
	c := &compiler{}
	root := c.root(mapping)
	if err := c.problems.Err(); err != nil {
		return nil, err
	}
	return &Mapping{root: root, text: mapping, warnings: c.warnings}, nil
}

// MustCompile is Compile for mappings that are known to be valid. It panics where they are not.
func MustCompile(text string) *Mapping {
	m, err := Compile(event.MustParse(text))
	if err != nil {
		panic(err)
	}
	return m
}

// Resolve makes a payload from an event, which is absent where a lone directive finds nothing. The error is a
// *fault.Error for this event alone.
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

// Value is the mapping as it was written.
func (m *Mapping) Value() event.Value { return m.text }

// tooLarge is the error of a value beyond MaxOutput.
func tooLarge(place string) error {
	return failed(place, "makes more than %d MB of this event", MaxOutput>>20)
}

// failed is the error of a directive that cannot do its work on an event.
func failed(place, format string, args ...any) error {
	e := fault.Invalid("mapping %s "+format, append([]any{place}, args...)...)
	e.Place = place
	return e
}

// literal is a value that stands for itself.
type literal struct{ value event.Value }

func (n literal) resolve(event.Value) (event.Value, error) { return n.value, nil }

// object is a plain object that holds a directive somewhere.
type object struct {
	place  string
	shape  *event.Shape
	nodes  []node
	output bool // the object is part of the payload as it is: nothing looks for its absent members
}

func (n *object) resolve(v event.Value) (event.Value, error) {
	values := make([]event.Value, len(n.nodes))
	for i := range n.nodes {
		value, err := n.nodes[i].resolve(v)
		if err != nil {
			return event.Value{}, err
		}
		values[i] = value
	}
	if n.output {
		return bounded(event.NewRecord(n.shape, values), n.place)
	}
	return bounded(event.NewSlots(n.shape, values), n.place)
}

// array is a plain array that holds a directive somewhere.
type array struct {
	place string
	items []node
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
	return bounded(event.NewArray(items), n.place)
}

// bounded is v, or an error where it is beyond MaxOutput.
func bounded(v event.Value, place string) (event.Value, error) {
	if v.Size() > MaxOutput {
		return event.Value{}, tooLarge(place)
	}
	return v, nil
}
