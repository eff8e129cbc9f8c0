package event

// node is one part of the index of a document. Of a scalar it says where its text begins and how long that is, quotes included; of
// a container, where in the index what is inside begins and how many members or items that are. These lie side by side, for an
// object keys and values in turn, behind one node without a kind that says where the text of the container is. The last node of an
// index is the whole.
type node uint64

// The bits of a node: its kind, whether it is a string with escapes, 28 of a length and 28 of a place. A text is at most three
// times MaxBytes long, where every byte of it becomes U+FFFD. A Value begins with the same bits.
const (
	kindMask    = 1<<3 - 1
	escapedNode = 1 << 3
	lengthShift = 8
	placeShift  = lengthShift + 28
	lengthMask  = 1<<28 - 1
)

// newNode is a scalar whose text is between two places, a container whose content is between two places of the index, or without
// a kind the node that says where a container's text is. The content of an object counts a key and its value as one.
func newNode(kind Kind, start, end int) node {
	return node(start)<<placeShift | node(end-start)<<lengthShift | node(kind)
}

func (n node) kind() Kind    { return Kind(n & kindMask) }
func (n node) place() int    { return int(n >> placeShift) }
func (n node) length() int   { return int(n>>lengthShift) & lengthMask }
func (n node) end() int      { return n.place() + n.length() }
func (n node) escaped() bool { return n&escapedNode != 0 }

// short is a node in half the room, for texts up to maxShort bytes: kind and escape as in a node, 12 bits of a length and 16 of a
// place. One without a kind has 16 bits of where a container's text ends in place of those.
type short uint32

const (
	maxShort         = 1<<16 - 1 // bytes of the text of a document
	maxShortLength   = 1<<12 - 1
	shortLengthShift = 4
	shortPlaceShift  = 16
)

func newShort(kind Kind, start, end int) short {
	return short(start)<<shortPlaceShift | short(end-start)<<shortLengthShift | short(kind)
}

func (s short) place() int { return int(s >> shortPlaceShift) }

// end is where a container's text ends, of a short without a kind.
func (s short) end() int { return int(s & maxShort) }

// document is a text and its index, which is of shorts where these are enough.
type document struct {
	text   string
	shorts []short // nil where nodes are needed
	nodes  *[]node // seldom there, so no more than a pointer
}

// node is the node at a place in the index.
func (d *document) node(at int) node {
	if d.shorts == nil {
		return (*d.nodes)[at]
	}
	s := node(d.shorts[at])
	place, length := s>>shortPlaceShift, s>>shortLengthShift&maxShortLength
	return place<<placeShift | length<<lengthShift | s&(kindMask|escapedNode)
}

// root is the whole.
func (d *document) root() node {
	if d.shorts == nil {
		return d.node(len(*d.nodes) - 1)
	}
	return d.node(len(d.shorts) - 1)
}

// inside is where in the index what lies in a container begins and ends.
func inside(container node) (from, to int) {
	n := container.length()
	if container.kind() == Object {
		n *= 2
	}
	return container.place(), container.place() + n
}

// textOf is the JSON of a container.
func (d *document) textOf(container node) string {
	at := container.place() - 1
	if d.shorts == nil {
		n := d.node(at)
		return d.text[n.place():n.end()]
	}
	s := d.shorts[at]
	return d.text[s.place():s.end()]
}
