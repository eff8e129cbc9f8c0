// Package yamldoc reads and edits documents that users write in YAML or JSON. It records the position of every value, so that
// errors can name the line and column.
//
// It handles the syntax of a document and knows nothing about its meaning. A Document is immutable and safe for concurrent use.
package yamldoc

import (
	"fmt"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// MaxBytes is the maximum size of a text in bytes.
const MaxBytes = 1 << 20

// Document is a parsed text.
type Document struct {
	name           string
	value          event.Value
	valuePositions map[string]position // positions of values, by JSON pointer
	keyPositions   map[string]position // positions of their keys, by the JSON pointer of the value
	scalarTexts    map[string]string   // texts of plain scalars that are not strings, by JSON pointer
	nonNumbers     map[string]string   // texts of YAML's .nan and .inf, by JSON pointer
}

// position is where something begins. Both numbers count from 1.
type position struct{ line, column int }

// Parse parses a text as YAML 1.2, which includes JSON, or as JSON if the name ends in .json. The text should be UTF-8. Plain true, false, null, ~ and numbers are values of these types, and every
// other plain scalar is a string. Anchors, aliases and merge keys are resolved. A duplicate key is an error. The error is a
// fault.Problems.
func Parse(name string, text []byte) (*Document, error) {
	d, problems := Read(name, text)
	if len(problems) > 0 {
		return nil, problems
	}
	return d, nil
}

// Read is Parse for checks: if nothing but duplicate keys is wrong, it also returns the document, so that more mistakes of it can be found. It has what
// is written under either of the keys; of values that cannot be joined it has the first.
func Read(name string, text []byte) (*Document, fault.Problems) {
	if len(text) > MaxBytes {
		return nil, fault.Problems{{File: name, Message: fmt.Sprintf("the text is larger than %d MB", MaxBytes>>20)}}
	}
	d := &Document{name: name, valuePositions: map[string]position{}, keyPositions: map[string]position{}, scalarTexts: map[string]string{}, nonNumbers: map[string]string{}}
	text, err := event.WithoutBOM(text)
	if err != nil {
		return nil, fault.Problems{{File: name, Line: 1, Column: 1, Message: err.Error()}}
	}
	for _, check := range []func([]byte) error{d.checkEncoding, d.checkDepth, d.checkJSON} {
		if err := check(text); err != nil {
			return nil, fault.ProblemsOf(err)
		}
	}
	readable, problems := d.parseText(text)
	if !readable {
		return nil, problems
	}
	return d, problems
}

// Name returns the name that was passed to Parse.
func (d *Document) Name() string { return d.name }

// Value returns the content of the document. Objects keep the order of the text. It is null for an empty text.
func (d *Document) Value() event.Value { return d.value }

// Position returns the line and column, from 1, of the value at a JSON pointer. If there is no such value, it returns the position
// of the nearest value that would contain it.
func (d *Document) Position(pointer string) (line, column int) {
	return nearestPosition(d.valuePositions, pointer)
}

// KeyPosition returns the position of the key of the value at a JSON pointer.
func (d *Document) KeyPosition(pointer string) (line, column int) {
	if p, ok := d.keyPositions[pointer]; ok {
		return p.line, p.column
	}
	return d.Position(pointer)
}

func nearestPosition(places map[string]position, pointer string) (line, column int) {
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

// Locate sets the file, line and column of each problem by its pointer and sorts the problems by position. A problem keeps its
// excerpt, whose line and column are relative to a string in the document.
func (d *Document) Locate(problems fault.Problems) fault.Problems {
	located := make(fault.Problems, len(problems))
	for i, p := range problems {
		p.File = d.name
		p.Line, p.Column = d.Position(p.Pointer)
		located[i] = p
	}
	sortByPosition(located)
	return located
}
