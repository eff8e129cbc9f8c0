package event

// node is one word of the index of a document. Of a scalar it says where its text begins and how long that is, quotes included; of
// a container, where in the index what is inside begins and how many members or items that are. These lie side by side, for an
// object keys and values in turn, behind one word that says where the text of the container is. The last word of an index is the
// whole.
type node uint64

// The bits of a node: its kind, whether it is a string with escapes, 28 of a length and 28 of a place. A text is at most three
// times MaxBytes long, where every byte of it becomes U+FFFD. A Value begins with the same bits.
const (
	kindMask    = 1<<3 - 1
	escapedNode = 1 << 3
	lengthShift = 8
	placeShift  = lengthShift + 28
	lengthMask  = 1<<28 - 1
	placeless   = 1<<placeShift - 1 // what a node is, but for its place
)

// newNode is a scalar whose text is between two places, or without a kind the word that says where a container's text is.
func newNode(kind Kind, start, end int) node {
	return node(start)<<placeShift | node(end-start)<<lengthShift | node(kind)
}

// newContainer is a container that has size members or items, the first one at a place in the index.
func newContainer(kind Kind, first, size int) node {
	return node(first)<<placeShift | node(size)<<lengthShift | node(kind)
}

func (n node) kind() Kind    { return Kind(n & kindMask) }
func (n node) place() int    { return int(n >> placeShift) }
func (n node) length() int   { return int(n>>lengthShift) & lengthMask }
func (n node) end() int      { return n.place() + n.length() }
func (n node) escaped() bool { return n&escapedNode != 0 }

// document is a text and its index.
type document struct {
	text  string
	index []node
}

// root is the whole.
func (d *document) root() node { return d.index[len(d.index)-1] }

// inside is what lies in a container.
func (d *document) inside(container node) []node {
	first, n := container.place(), container.length()
	if container.kind() == Object {
		n *= 2
	}
	return d.index[first : first+n]
}

// textOf is the JSON of a container.
func (d *document) textOf(container node) string {
	where := d.index[container.place()-1]
	return d.text[where.place():where.end()]
}
