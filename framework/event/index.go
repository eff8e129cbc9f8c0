package event

// node is one entry of a document's index. A scalar's node holds where its text starts and how long it is, quotes included. A
// container's node holds where its content starts in the index and how many members or items it has. The content is contiguous (an
// object's keys and values alternate) and is preceded by a node without a kind, which holds where the text of the container is. The
// last node of an index is the root.
type node uint64

// A node's bits are its kind, whether it is a string with escapes, 28 bits of length and 28 bits of start. A text is at most three
// times MaxBytes long, when every byte is replaced by U+FFFD. A Value uses the same layout.
const (
	kindMask    = 1<<3 - 1
	escapedNode = 1 << 3
	lengthShift = 8
	startShift  = lengthShift + 28
	lengthMask  = 1<<28 - 1
)

// newNode returns a scalar whose text is between two offsets, a container whose content is between two positions of the index,
// or, without a kind, the node that holds where a container's text is. In the content of an object a key and its value count as
// one.
func newNode(kind Kind, start, end int) node {
	return node(start)<<startShift | node(end-start)<<lengthShift | node(kind)
}

func (n node) kind() Kind    { return Kind(n & kindMask) }
func (n node) start() int    { return int(n >> startShift) }
func (n node) length() int   { return int(n>>lengthShift) & lengthMask }
func (n node) end() int      { return n.start() + n.length() }
func (n node) escaped() bool { return n&escapedNode != 0 }

// shortNode is a node in half the memory, for texts of up to maxShort bytes: kind and escape bit as in a node, 12 bits of length
// and 16 bits of start. One without a kind has 16 bits for where a container's text ends instead.
type shortNode uint32

const (
	maxShort         = 1<<16 - 1 // bytes of a document's text
	maxShortLength   = 1<<12 - 1
	shortLengthShift = 4
	shortStartShift  = 16
)

func newShortNode(kind Kind, start, end int) shortNode {
	return shortNode(start)<<shortStartShift | shortNode(end-start)<<shortLengthShift | shortNode(kind)
}

func (s shortNode) start() int { return int(s >> shortStartShift) }

// end returns where a container's text ends. It is for shortNodes without a kind.
func (s shortNode) end() int { return int(s & maxShort) }

// node returns the shortNode as a node. It must have a kind.
func (s shortNode) node() node {
	n := node(s)
	start, length := n>>shortStartShift, n>>shortLengthShift&maxShortLength
	return start<<startShift | length<<lengthShift | n&(kindMask|escapedNode)
}

// document is a JSON text and its index, which consists of shortNodes if these suffice. If its outline is known, the index has only the content of
// arrays, followed by the leaves.
type document struct {
	text       string
	shortNodes []shortNode // nil if the index needs full nodes, which the outline then holds
	outline    *outline    // nil if it is not known
}

// newDocument returns a document with an index of n shortNodes. If they are few, they are allocated with it.
func newDocument(text string, n int) *document {
	switch { // in steps of the sizes that the allocator has
	case n <= 16:
		d := &struct {
			document
			inline [16]shortNode
		}{}
		d.text, d.shortNodes = text, d.inline[:n:n]
		return &d.document
	case n <= 28:
		d := &struct {
			document
			inline [28]shortNode
		}{}
		d.text, d.shortNodes = text, d.inline[:n:n]
		return &d.document
	case n <= 44:
		d := &struct {
			document
			inline [44]shortNode
		}{}
		d.text, d.shortNodes = text, d.inline[:n:n]
		return &d.document
	case n <= 68:
		d := &struct {
			document
			inline [68]shortNode
		}{}
		d.text, d.shortNodes = text, d.inline[:n:n]
		return &d.document
	}
	return &document{text: text, shortNodes: make([]shortNode, n)}
}

// node returns the node at a position of the index.
func (d *document) node(at int) node {
	switch {
	case d.shortNodes == nil:
		return d.outline.longNodes[at]
	case at >= outlinePositions:
		return d.outlinedNode(d.outline.entry(at))
	}
	return d.shortNodes[at].node()
}

// root returns the node of the whole text.
func (d *document) root() node {
	switch {
	case d.shortNodes == nil:
		return d.node(len(d.outline.longNodes) - 1)
	case d.outline != nil:
		return d.outline.root
	}
	return d.node(len(d.shortNodes) - 1)
}

// contentRange returns where a container's content begins and ends in the index.
func contentRange(container node) (from, to int) {
	n := container.length()
	if container.kind() == Object {
		n *= 2
	}
	return container.start(), container.start() + n
}

// textNode returns the node that says where the text of a container is.
func (d *document) textNode(container node) node {
	at := container.start() - 1
	if d.shortNodes == nil || at >= outlinePositions {
		return d.node(at)
	}
	s := d.shortNodes[at]
	return newNode(Absent, s.start(), s.end())
}

// containerText returns the JSON text of a container.
func (d *document) containerText(container node) string {
	n := d.textNode(container)
	return d.text[n.start():n.end()]
}
