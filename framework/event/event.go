// Package event holds what flows through Landfall: an Event, which is a JSON object kept as its bytes, and the
// Values read from it or built from them.
//
// Parse validates the bytes and indexes them in one pass; afterwards paths are read by hopping over the index, and
// only what is asked for is decoded. Numbers keep their digits and objects keep their order. The package knows
// nothing of mappings, queries or destinations. Events, Values and Paths are immutable and safe for concurrent use.
package event

import (
	"errors"
	"fmt"
	"unsafe"
)

// Bounds of what comes from outside. A text beyond them is refused with the bound named.
const (
	MaxBytes = 10 << 20 // bytes of one event
	MaxDepth = 200      // objects and arrays inside each other
)

// ErrNotObject is wrapped by Parse for JSON that is not an object.
var ErrNotObject = errors.New("an event must be a JSON object")

// Event is one JSON object. The zero Event is not valid; use Parse.
type Event struct {
	root Value
}

// Parse reads one event. It keeps raw, which must not be modified afterwards. Each byte that is not UTF-8 is read
// as U+FFFD. The error is a *SyntaxError, or wraps ErrNotObject.
func Parse(raw []byte) (Event, error) {
	root, err := ParseValue(raw)
	if err != nil {
		return Event{}, err
	}
	if root.Kind() != Object {
		return Event{}, fmt.Errorf("%w, but this is %s", ErrNotObject, root.Kind().WithArticle())
	}
	return Event{root}, nil
}

// Value is the event as a whole.
func (e Event) Value() Value { return e.root }

// Raw is the event's JSON as it came. It must not be modified.
func (e Event) Raw() string { return e.root.doc().textOf(e.root.node()) }

// ParseValue reads any JSON text under the bounds of an event, with or without a byte order mark. It keeps raw, which must not be
// modified afterwards.
func ParseValue(raw []byte) (Value, error) {
	if len(raw) > MaxBytes {
		return Value{}, &SyntaxError{Offset: MaxBytes, Message: fmt.Sprintf("larger than %d MB", MaxBytes>>20)}
	}
	if len(raw) == 0 {
		return Value{}, &SyntaxError{Message: "unexpected end of the text"}
	}
	if c := raw[0]; c >= 0x80 || c == 0 || len(raw) > 1 && raw[1] == 0 { // no JSON begins so
		rest, err := WithoutBOM(raw)
		if err != nil {
			return Value{}, &SyntaxError{Message: err.Error()}
		}
		if len(rest) == 0 {
			return Value{}, &SyntaxError{Message: "unexpected end of the text"}
		}
		raw = rest
	}
	return parseText(unsafe.String(&raw[0], len(raw)))
}

// ParseString is ParseValue for a string.
func ParseString(text string) (Value, error) {
	return ParseValue(unsafe.Slice(unsafe.StringData(text), len(text)))
}

// MustParse is ParseString for texts that are known to be valid, such as constants. It panics where they are not.
func MustParse(text string) Value {
	v, err := ParseString(text)
	if err != nil {
		panic(err)
	}
	return v
}

// SyntaxError says where a text stops being JSON, or which bound it breaks.
type SyntaxError struct {
	Offset  int // bytes from the start of the text
	Message string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s at byte %d", e.Message, e.Offset)
}
