// Package source reads what people write, YAML or JSON, and knows the place of each part of it, so that a mistake can be
// shown where it stands.
//
// It knows the form of the text and nothing of its meaning. A Document is immutable and safe for concurrent use.
package yamldoc

import (
	"fmt"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// MaxBytes bounds a text.
const MaxBytes = 1 << 20

// Document is a text that has been read.
type Document struct {
	name   string
	value  event.Value
	values map[string]place  // of values, by JSON pointer
	keys   map[string]place  // of the keys they stand behind
	texts  map[string]string // of plain scalars that are no strings, by JSON pointer
}

// place is where something begins, both from 1.
type place struct{ line, column int }

// Parse reads a text as YAML 1.2, of which JSON is a part: plain true, false, null, ~ and numbers are what they look like,
// everything else plain is a string; anchors, aliases and merge keys are followed. A key that is written twice is a
// mistake. The error is a fault.Problems.
func Parse(name string, text []byte) (*Document, error) {
	if len(text) > MaxBytes {
		return nil, fault.Problems{{File: name, Message: fmt.Sprintf("the text is larger than %d MB", MaxBytes>>20)}}
	}
	d := &Document{name: name, values: map[string]place{}, keys: map[string]place{}, texts: map[string]string{}}
	text, err := event.WithoutBOM(text)
	if err != nil {
		return nil, fault.Problems{{File: name, Line: 1, Column: 1, Message: err.Error()}}
	}
	value, err := d.read(text)
	if err != nil {
		return nil, err
	}
	d.value = value
	return d, nil
}

// Name is the name that the text was read under.
func (d *Document) Name() string { return d.name }

// Value is what the text says; objects are in its order. It is null where the text is empty.
func (d *Document) Value() event.Value { return d.value }

// Place is the line and column, from 1, of the value at a JSON pointer; of the nearest one round it where there is none.
func (d *Document) Place(pointer string) (line, column int) { return nearest(d.values, pointer) }

// KeyPlace is the place of the key that the value at a JSON pointer stands behind.
func (d *Document) KeyPlace(pointer string) (line, column int) {
	if p, ok := d.keys[pointer]; ok {
		return p.line, p.column
	}
	return d.Place(pointer)
}

func nearest(places map[string]place, pointer string) (line, column int) {
	for {
		if p, ok := places[pointer]; ok {
			return p.line, p.column
		}
		at := strings.LastIndexByte(pointer, '/')
		if at < 0 {
			return 1, 1
		}
		pointer = pointer[:at]
	}
}

// Locate gives each problem the file and its place in it, by its pointer; the order becomes that of the text. A problem with
// an excerpt keeps it: its own line and column are those inside of a string.
func (d *Document) Locate(problems fault.Problems) fault.Problems {
	located := make(fault.Problems, len(problems))
	for i, p := range problems {
		p.File = d.name
		p.Line, p.Column = d.Place(p.Pointer)
		located[i] = p
	}
	sortByPlace(located)
	return located
}
