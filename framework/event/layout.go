package event

import "unsafe"

// Value is one JSON value, or none (Absent). It is read lazily from the document it lies in, or built with
// NewArray, NewObject and their like. Compare two with Equal, not with ==.
//
// A Value is two words, since payloads, items and verdicts are full of them: what it is, and a pointer to the bytes of a scalar's
// text, to the document that a container lies in, or to what a container was built of. The methods of this file are all that
// knows so. They are safe because a value is only made by the functions here, each with the pointer that its first word tells of,
// and never changed; the pointer keeps alive what it points to.
type Value struct {
	meta uint64         // a container's node; else its kind, escapedNode and length alone; or isBuilt and a kind
	at   unsafe.Pointer // *byte, nil for an empty text; *document; or *built
}

const isBuilt = 1 << 4

// scalar is a number of these digits, or a string of this content.
func scalar(kind Kind, text string) Value {
	v := Value{meta: uint64(len(text))<<lengthShift | uint64(kind)}
	if text != "" {
		v.at = unsafe.Pointer(unsafe.StringData(text))
	}
	return v
}

// within is a container of a document.
func within(d *document, container node) Value {
	return Value{meta: uint64(container), at: unsafe.Pointer(d)}
}

// of is a container of what was built.
func of(b *built, kind Kind) Value {
	return Value{meta: isBuilt | uint64(kind), at: unsafe.Pointer(b)}
}

// Kind tells what v is.
func (v Value) Kind() Kind { return Kind(v.meta & kindMask) }

// text is the digits of a number, the content of a string, and "" for any other kind.
func (v Value) text() string {
	if kind := v.Kind(); kind != String && kind != Number {
		return ""
	}
	return unsafe.String((*byte)(v.at), int(v.meta>>lengthShift))
}

// escaped tells whether a string's text holds escapes that are not yet decoded.
func (v Value) escaped() bool { return v.meta&escapedNode != 0 }

// built is what a container was built of, nil for one that lies in a document and for what is no container.
func (v Value) built() *built {
	if v.meta&isBuilt == 0 {
		return nil
	}
	return (*built)(v.at)
}

// doc is the document that a container which was not built lies in, and node which it is.
func (v Value) doc() *document { return (*document)(v.at) }
func (v Value) node() node     { return node(v.meta) }
