package event

import "unsafe"

// Value is one JSON value, or no value (Absent). It is read lazily from the document that holds it, or built with NewArray,
// NewObject and similar functions. Compare Values with Equal, not with ==.
//
// A Value is two words, because payloads and results consist of many of them: one word that describes it, and a pointer to the text
// of a scalar, to the document that holds a parsed container, or to the content of a built one. Only the methods in this file
// depend on this layout. The unsafe pointers are sound because only the functions in this file create a Value, each with the
// pointer type that its first word implies. A Value never changes, and its pointer keeps the data alive.
type Value struct {
	meta uint64         // a parsed container's node; kind, escapedNode and length of a scalar; isBuilt and kind of a built container
	at   unsafe.Pointer // *byte (nil for an empty text), *document or *built
}

const isBuilt = 1 << 4

// newScalar returns a number with these digits, or a string with this content.
func newScalar(kind Kind, text string) Value {
	v := Value{meta: uint64(len(text))<<lengthShift | uint64(kind)}
	if text != "" {
		v.at = unsafe.Pointer(unsafe.StringData(text))
	}
	return v
}

// parsedContainer returns the Value of a container in a document.
func parsedContainer(d *document, container node) Value {
	return Value{meta: uint64(container), at: unsafe.Pointer(d)}
}

// builtContainer returns the Value of a container built in Go.
func builtContainer(b *built, kind Kind) Value {
	return Value{meta: isBuilt | uint64(kind), at: unsafe.Pointer(b)}
}

// Kind returns the kind of v.
func (v Value) Kind() Kind { return Kind(v.meta & kindMask) }

// text returns the digits of a number, the raw content of a string, or "" for any other kind.
func (v Value) text() string {
	if kind := v.Kind(); kind != String && kind != Number {
		return ""
	}
	return unsafe.String((*byte)(v.at), int(v.meta>>lengthShift))
}

// escaped reports whether a string's text holds escapes that are not decoded yet.
func (v Value) escaped() bool { return v.meta&escapedNode != 0 }

// built returns the content of a container that was built in Go, or nil for any other value.
func (v Value) built() *built {
	if v.meta&isBuilt == 0 {
		return nil
	}
	return (*built)(v.at)
}

// doc and node return the document and the node of a parsed container.
func (v Value) doc() *document { return (*document)(v.at) }
func (v Value) node() node     { return node(v.meta) }
