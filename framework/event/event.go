// Package event defines the data that flows through Landfall: an Event is a JSON object that keeps its original bytes, and a Value
// is any JSON value, read from those bytes or built in Go.
//
// Parse validates the text and indexes it in one pass. Paths are then read through the index, and a value is decoded only
// when it is read. Numbers keep their digits and objects keep the order of their keys. The package knows nothing about mappings,
// queries or destinations. Events, Values and Paths are immutable and safe for concurrent use.
package event

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"
)

// Limits of a parsed text. A text that exceeds one is refused with an error that names the limit.
const (
	MaxBytes = 10 << 20 // size of one event in bytes
	MaxDepth = 200      // nesting depth of objects and arrays
)

// ErrNotObject is the error that Parse wraps when the JSON text is not an object.
var ErrNotObject = errors.New("an event must be a JSON object")

// Event is one JSON object. The zero Event is not valid; use Parse.
type Event struct {
	root Value
}

// Parse parses one event. It keeps raw, which must not be modified afterwards. Each byte that is not valid UTF-8 is read as U+FFFD.
// The error is a *SyntaxError, or wraps ErrNotObject.
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

// Value returns the event as a Value.
func (e Event) Value() Value { return e.root }

// Raw returns the event's JSON text as it was received. It must not be modified.
func (e Event) Raw() string { return e.root.Raw() }

// ParseValue parses any JSON text, with or without a byte order mark, within the limits of an event. It keeps raw, which must not
// be modified afterwards. The error is a *SyntaxError.
func ParseValue(raw []byte) (Value, error) {
	if len(raw) > MaxBytes {
		return Value{}, &SyntaxError{Offset: MaxBytes, Message: fmt.Sprintf("the text is larger than %d MB", MaxBytes>>20), Whole: true}
	}
	if len(raw) == 0 {
		return Value{}, &SyntaxError{Message: "the text is empty", Whole: true}
	}
	if c := raw[0]; c >= 0x80 || c == 0 || len(raw) > 1 && raw[1] == 0 { // no JSON text begins like this
		rest, err := WithoutBOM(raw)
		if err != nil {
			return Value{}, &SyntaxError{Message: err.Error(), Whole: true}
		}
		if len(rest) == 0 {
			return Value{}, &SyntaxError{Message: "the text is empty", Whole: true}
		}
		raw = rest
	}
	return parseText(unsafe.String(&raw[0], len(raw)))
}

// ParseString is like ParseValue for a string.
func ParseString(text string) (Value, error) {
	return ParseValue(unsafe.Slice(unsafe.StringData(text), len(text)))
}

// MustParse is like ParseString but panics on an error. It is for constants and other texts that are known to be valid.
func MustParse(text string) Value {
	v, err := ParseString(text)
	if err != nil {
		panic(err)
	}
	return v
}

// SyntaxError reports where a text is not valid JSON, or which limit it exceeds.
type SyntaxError struct {
	Offset  int // bytes from the start of the text
	Message string
	Whole   bool // it concerns the whole text, such as its encoding
}

func (e *SyntaxError) Error() string {
	if e.Whole {
		return e.Message
	}
	what, advice, found := strings.Cut(e.Message, ": ")
	text := fmt.Sprintf("%s at byte %d", what, e.Offset)
	if found {
		text += ": " + advice
	}
	return text
}
