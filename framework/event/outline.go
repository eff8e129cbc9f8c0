package event

import (
	"strings"
	"sync/atomic"
)

// outline is what texts with the same keys in the same order have in common. Events of one origin usually have few outlines.
//
// The leaves of a text are its values other than objects: strings, numbers, true, false, null and arrays, whatever they contain. The gaps are the
// rest: the keys and the brackets of objects, with the spaces between them. In {"a":{"b":1,"c":[2]}} the leaves are 1 and [2], and the gaps are
// {"a":{"b": and ,"c": and }}. The scanner compares the gaps of a text with those that it knows, and scans only the leaves (expected.go). The index
// of such a text has no nodes but those of its leaves: the outline knows the rest. FuzzOutline compares it with the index of the full scanner.
type outline struct {
	gaps    []gap
	entries []outlineEntry // the index of a text without its leaves; their positions begin at outlinePositions
	root    node
	used    atomic.Bool // a text had it

	longNodes []node // the index of the only document with this outline, if it needs full nodes; then there is nothing else
}

// gap is the text between two leaves, before the first, or after the last.
type gap struct {
	text  string
	depth int // the number of objects that are open after it
}

// outlineEntry stands for one node of the index of each document with an outline.
type outlineEntry struct {
	kind    entryKind
	compact bool   // the text of an object is what AppendJSON writes, if its leaves are
	key     string // of a key, without quotes
	object  node   // of an object; its content is at positions of the outline
	leaf    int    // the number of a leaf
	start   place  // of a key, or of the text of an object
	end     place  // of the text of an object
}

type entryKind uint8

const (
	keyEntry entryKind = iota
	leafEntry
	objectEntry
	textEntry // precedes the content of an object, like a node without a kind
)

// place is an offset in the texts with an outline, which depends on the lengths of the leaves before it.
type place struct {
	leaves int // before it
	after  int // bytes between the last of them, or the beginning of the text, and it
}

const (
	// outlinePositions is the first position of an outline's entries in the index of a document. Leaves and the content of arrays have
	// smaller positions.
	outlinePositions = maxShort + 1

	maxEntries = 2000 // of an outline
)

// leaves returns the number of leaves.
func (o *outline) leaves() int { return len(o.gaps) - 1 }

// entry returns the entry at a position of the index.
func (o *outline) entry(at int) *outlineEntry { return &o.entries[at-outlinePositions] }

// findMember returns the position of the value of a key in an object whose content is between two positions, or 0.
func (o *outline) findMember(from, to int, key string) int {
	for at := from; at < to; at += 2 {
		if o.entry(at).key == key {
			return at + 1
		}
	}
	return 0
}

// isOutlined reports whether a position of the index is that of an entry of the document's outline.
func (d *document) isOutlined(at int) bool { return at >= outlinePositions && d.shortNodes != nil }

// outlinedNode returns the node that an entry of the document's outline stands for.
func (d *document) outlinedNode(e *outlineEntry) node {
	switch e.kind {
	case leafEntry:
		return d.leaf(e.leaf)
	case objectEntry:
		return e.object
	case keyEntry:
		start := d.offsetOf(e.start)
		return newNode(String, start, start+len(`"`+`"`)+len(e.key))
	default:
		return newNode(Absent, d.offsetOf(e.start), d.offsetOf(e.end))
	}
}

// leaf returns the node of a leaf of the document's outline. The leaves are the last nodes of the index.
func (d *document) leaf(i int) node {
	return d.shortNodes[len(d.shortNodes)-d.outline.leaves()+i].node()
}

// offsetOf returns where a place is in the document's text.
func (d *document) offsetOf(p place) int {
	if p.leaves == 0 {
		return p.after
	}
	last := d.leaf(p.leaves - 1)
	if last.kind() == Array {
		last = d.textNode(last)
	}
	return last.end() + p.after
}

// hasCompactLeaves reports whether the leaves of an object are what AppendJSON writes. e is the object's textEntry.
func (d *document) hasCompactLeaves(e *outlineEntry) bool {
	if !e.compact {
		return false
	}
	for i := e.start.leaves; i < e.end.leaves; i++ {
		if n := d.leaf(i); n.escaped() || n.kind() == Array && !d.isCompact(n) {
			return false
		}
	}
	return true
}

// outliner makes the outline of a document. The outline shares no memory with the document's text.
type outliner struct {
	*outline
	doc     *document
	leafEnd int // of the last leaf
}

// outlineOf returns the outline of a document; nil if it is of no use for others: the document is not an object with leaves, it is large, a key has
// escapes, or an object has a key twice.
func outlineOf(d *document) *outline {
	b := outliner{outline: &outline{}, doc: d}
	root := b.addValue(d.root(), 0)
	if root.kind != objectEntry || len(b.gaps) == 0 || len(b.entries) > maxEntries {
		return nil
	}
	b.root, b.gaps = root.object, append(b.gaps, gap{text: strings.Clone(d.text[b.leafEnd:])})
	return b.outline
}

// addValue adds a value within depth objects and returns its entry. The kind of the result is keyEntry if the document should have no outline.
func (b *outliner) addValue(value node, depth int) outlineEntry {
	if value.kind() == Object {
		return b.addObject(value, depth+1)
	}
	text := value
	if value.kind() == Array {
		text = b.doc.textNode(value)
	}
	b.gaps = append(b.gaps, gap{strings.Clone(b.doc.text[b.leafEnd:text.start()]), depth})
	b.leafEnd = text.end()
	return outlineEntry{kind: leafEntry, leaf: len(b.gaps) - 1}
}

// addObject is addValue for an object.
func (b *outliner) addObject(object node, depth int) outlineEntry {
	first := len(b.entries) + 1
	from, to := contentRange(object)
	if b.entries = append(b.entries, make([]outlineEntry, 1+to-from)...); len(b.entries) > maxEntries || b.doc.hasDuplicateKeys(object) {
		return outlineEntry{}
	}
	text := b.doc.textNode(object)
	start := b.placeOf(text.start())
	for i := range (to - from) / 2 {
		key := b.doc.node(from + 2*i)
		b.entries[first+2*i] = outlineEntry{key: strings.Clone(b.doc.keyText(key)), start: b.placeOf(key.start())}
		value := b.addValue(b.doc.node(from+2*i+1), depth)
		if key.escaped() || value.kind == keyEntry {
			return outlineEntry{}
		}
		b.entries[first+2*i+1] = value
	}
	b.entries[first-1] = outlineEntry{kind: textEntry, start: start, end: b.placeOf(text.end()), compact: b.doc.isCompact(object)}
	first += outlinePositions
	return outlineEntry{kind: objectEntry, object: newNode(Object, first, first+(to-from)/2)}
}

// placeOf returns the place of an offset after the last leaf.
func (b *outliner) placeOf(offset int) place { return place{len(b.gaps), offset - b.leafEnd} }

// pathCache holds where a Path led in the last outline that it was read from.
type pathCache struct {
	last   atomic.Pointer[pathPlace]
	misses atomic.Uint32
}

// pathPlace is where a Path leads in documents with an outline, as far as it leads through objects.
type pathPlace struct {
	outline  *outline
	at       int // in the index; 0, which is no value, if the path leads to no member
	followed int // number of segments
}

// replaceAfter is the number of reads from other outlines after which a pathCache takes the next one.
const replaceAfter = 16

// store replaces the place if it is the first, or if many reads had another outline.
func (c *pathCache) store(p pathPlace) {
	if c.last.Load() == nil || c.misses.Add(1)%replaceAfter == 0 {
		c.last.Store(&p)
	}
}
