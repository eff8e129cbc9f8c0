package event

// node is one word of the index of a document. A scalar is one word: what it is, where it begins and how long it is, quotes
// included. A container is two: the second says how many members or items it has, and which node follows it and all that is
// inside. What is inside a container comes between, for an object its keys and values in turn.
type node uint64

// The bits of a node: 28 of its length, 28 of its start, its kind, and whether it is a string with escapes. A text is at most
// three times MaxBytes long, where every byte of it becomes U+FFFD.
const (
	placeBits   = 28
	placeMask   = 1<<placeBits - 1
	kindShift   = 2 * placeBits
	escapedNode = node(1) << 63
)

func newNode(kind Kind, start, end int) node {
	return node(kind)<<kindShift | node(start)<<placeBits | node(end-start)
}

// newSpan is the second word of a container.
func newSpan(next, size int) node { return node(next)<<32 | node(size) }

func (n node) kind() Kind      { return Kind(n>>kindShift) & 7 }
func (n node) start() uint32   { return uint32(n>>placeBits) & placeMask }
func (n node) length() uint32  { return uint32(n) & placeMask }
func (n node) end() uint32     { return n.start() + n.length() }
func (n node) escaped() bool   { return n&escapedNode != 0 }
func (n node) container() bool { return n>>kindShift&7 >= node(Array) }

// document is a text and its index.
type document struct {
	text  string
	index []node
}

// after is the node behind the one at a place and all that is inside that one.
func (d *document) after(at uint32) uint32 {
	if d.index[at].container() {
		return d.end(at)
	}
	return at + 1
}

// end is the node behind a container, and size how many members or items it has. What is inside begins two nodes behind it.
func (d *document) end(container uint32) uint32 { return uint32(d.index[container+1] >> 32) }
func (d *document) size(container uint32) int   { return int(uint32(d.index[container+1])) }
