package event

import (
	"strings"
	"unsafe"
)

// Limits of what ParseBatch tries.
const (
	minItem      = 64 // bytes of an item on average; shorter items take less memory in one document
	itemHead     = 8  // bytes with which an item is expected to begin like the one before it
	maxMisguided = 8  // wrong guesses of where an item ends, after which it guesses no more
)

// ParseBatch parses the object of a request with many events. It is like ParseValue, but if it can, it parses each item of the array name
// by itself: the fast scanner reads an item of a long text too, and expects the keys of those before. Then it returns them as items, and an
// object with an empty array in their place. Otherwise items is nil. An item may be nested as deeply as an event.
func ParseBatch(raw []byte, name string) (object Value, items []Value, err error) {
	if len(raw) > 0 && len(raw) <= MaxBytes {
		if object, items, ok := splitBatch(unsafe.String(&raw[0], len(raw)), name); ok {
			return object, items, nil
		}
	}
	object, err = ParseValue(raw)
	return object, nil, err
}

// splitBatch parses the items of a batch, and what is around them. It looks for both without checking the text, as parsing both checks it.
// ok is false if ParseValue should parse the text: it may be invalid, or unusual.
func splitBatch(text, name string) (object Value, items []Value, ok bool) {
	start := findArray(text, name)
	if start < 0 {
		return object, nil, false
	}
	s := itemSplitter{text: text, separator: ","}
	items, end := s.parseItems(start)
	if end < 0 {
		return object, nil, false
	}
	object, err := parseText(text[:start] + text[end:])
	if err != nil {
		return object, nil, false
	}
	list := object.Get(name) // the last one, if the key is repeated
	return object, items, list.Kind() == Array && list.Len() == 0 && list.doc().textNode(list.node()).start() == start-len("[")
}

// itemSplitter parses the items of an array one by one.
type itemSplitter struct {
	text      string
	separator string // between the items before, with spaces
	expected  string // the end of an item and the beginning of the next one
	misguided int    // wrong guesses
}

// parseItems parses the items from pos on, all of which must be objects. It returns where the array ends, or -1.
func (s *itemSplitter) parseItems(pos int) (items []Value, end int) {
	first := skipSpace(s.text, pos)
	if strings.HasPrefix(s.text[first:], "]") {
		return []Value{}, first
	}
	for pos = first; pos < len(s.text) && s.text[pos] == '{'; {
		item, end := s.parseItem(pos)
		if end < 0 {
			break
		}
		items = append(items, item)
		pos = skipSpace(s.text, end)
		if strings.HasPrefix(s.text[pos:], "]") {
			return items, pos
		}
		if !strings.HasPrefix(s.text[pos:], ",") || len(items) > 2*minItem && pos-first < len(items)*minItem {
			break
		}
		pos = skipSpace(s.text, pos+1)
		s.separator = s.text[end:pos]
	}
	return nil, -1
}

// parseItem parses the item that begins at start. It returns where it ends, or -1.
func (s *itemSplitter) parseItem(start int) (item Value, end int) {
	if s.misguided < maxMisguided {
		if end := s.guessEnd(start); end > start {
			if item, err := parseText(s.text[start:end]); err == nil {
				return item, end // no object is the beginning of another one
			}
		}
		s.misguided++
	}
	if end = skipValue(s.text, start); end < 0 {
		return item, -1
	}
	item, err := parseText(s.text[start:end])
	if err != nil {
		return item, -1
	}
	return item, end
}

// guessEnd returns where the item that begins at start probably ends: before one that begins like it, or at the end of the array. It may be
// too early or too late.
func (s *itemSplitter) guessEnd(start int) int {
	rest := s.text[start:min(start+maxShort, len(s.text))]
	head := rest[:min(itemHead, len(rest))]
	if known, ok := strings.CutPrefix(s.expected, "}"+s.separator); !ok || known != head {
		s.expected = "}" + s.separator + head
	}
	if at := strings.Index(rest, s.expected); at > 0 {
		return start + at + len("}")
	}
	return start + strings.LastIndex(rest, "}]") + len("}")
}

// findArray returns where the content of the first array with a name begins in an object, or -1.
func findArray(text, name string) int {
	pos := skipSpace(text, 0)
	for opening := "{"; strings.HasPrefix(text[pos:], opening); opening = "," {
		key := skipSpace(text, pos+1)
		end := skipString(text, key)
		if end < 0 {
			return -1
		}
		if pos = skipSpace(text, end); !strings.HasPrefix(text[pos:], ":") {
			return -1
		}
		pos = skipSpace(text, pos+1)
		if strings.HasPrefix(text[pos:], "[") && text[key+1:end-1] == name {
			return pos + 1
		}
		if pos = skipValue(text, pos); pos < 0 {
			return -1
		}
		pos = skipSpace(text, pos)
	}
	return -1
}

// skipSpace returns the offset of the first byte from pos on that is no space.
func skipSpace(text string, pos int) int {
	for pos < len(text) && isSpace(text[pos]) {
		pos++
	}
	return pos
}

// skipString returns where the string at pos ends, or -1.
func skipString(text string, pos int) int {
	if !strings.HasPrefix(text[pos:], `"`) {
		return -1
	}
	for pos++; pos < len(text); pos++ {
		switch text[pos] {
		case '"':
			return pos + 1
		case '\\':
			pos++
		}
	}
	return -1
}

// skipValue returns where the value at pos ends, or -1. It checks neither the value nor its brackets.
func skipValue(text string, pos int) int {
	for depth := 0; pos < len(text); pos++ {
		switch text[pos] {
		case '"':
			if pos = skipString(text, pos); pos < 0 || depth == 0 {
				return pos
			}
			pos--
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return pos + 1
			}
		case ',':
			if depth == 0 {
				return pos
			}
		}
		if depth < 0 {
			return pos
		}
	}
	return -1
}
