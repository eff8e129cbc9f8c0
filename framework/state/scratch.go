package state

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"slices"

	"github.com/landfall-dev/landfall/internal/textfile"
)

// Scratch is a temporary set of identities, to compare more identities than fit into memory. It collects them in memory, and writes sorted runs
// to a file without a name, which are merged when the set is read. Close deletes it. It is not safe for concurrent use.
type Scratch struct {
	file  *os.File
	runs  []scratchRun // in the file, one after the other
	text  []byte       // identities in memory, one after the other
	ends  []uint32     // where each ends in text
	limit int          // bytes of text and ends in memory
	err   error        // after which the set is incomplete

	duplicates int    // found so far by the merges of finished readings
	noted      bool   // identities have notes
	note       string // of the identity that a comparison is at
}

// scratchRun is a part of the file with sorted identities.
type scratchRun struct {
	start, end int64
	count      int
}

// scratchMemory limits the identities in memory before a run is written.
const scratchMemory = 24 << 20

var errScratchClosed = errors.New("the set is closed")

// NewScratch creates an empty set in the system's temporary directory.
func NewScratch(context.Context) (*Scratch, error) {
	file, err := textfile.Unnamed("landfall-scratch")
	if err != nil {
		return nil, fmt.Errorf("creating a scratch file: %w", err)
	}
	return &Scratch{file: file, limit: scratchMemory}, nil
}

// Close deletes the set.
func (s *Scratch) Close() error {
	s.text, s.ends, s.err = nil, nil, errScratchClosed
	return s.file.Close()
}

// Add adds identities.
func (s *Scratch) Add(ctx context.Context, identities []string) error {
	for _, identity := range identities {
		s.text = append(s.text, identity...)
		s.ends = append(s.ends, uint32(len(s.text)))
	}
	if s.err == nil {
		s.err = ctx.Err()
	}
	if s.err == nil && len(s.text)+8*len(s.ends) >= s.limit {
		s.err = s.writeRun()
	}
	if s.err != nil {
		return fmt.Errorf("writing the scratch file: %w", s.err)
	}
	return nil
}

// noteMark separates an identity, whose zero bytes toSQL escapes, from its note. It is smaller than all bytes of such an identity, so that notes
// do not change the order.
const noteMark = "\x00"

// AddNoted adds an identity and a note. Of several notes of an identity, the one with the smallest bytes is kept. All identities of a set are added
// with notes, or none.
func (s *Scratch) AddNoted(ctx context.Context, identity, note string) error {
	s.noted = true
	return s.Add(ctx, []string{toSQL.Replace(identity) + noteMark + note})
}

// Note returns the note of the identity that a comparison has passed to its function; "" if it has none, or the set does not have the identity.
func (s *Scratch) Note() string { return s.note }

// withoutNote returns the identity of an entry, and its note.
func (s *Scratch) withoutNote(entry []byte) (identity, note []byte) {
	if !s.noted {
		return entry, nil
	}
	identity, note, _ = bytes.Cut(entry, []byte(noteMark))
	if bytes.IndexByte(identity, escapeByte) >= 0 {
		identity = []byte(fromSQL.Replace(string(identity)))
	}
	return identity, note
}

// Duplicates returns how many identities were added more than once. It is known after the set was read to its end, as Ledger.Compare does.
func (s *Scratch) Duplicates() int { return s.duplicates }

// sorted returns the identities in memory in byte order. They refer to s.text.
func (s *Scratch) sorted() [][]byte {
	list := make([][]byte, len(s.ends))
	start := uint32(0)
	for i, end := range s.ends {
		list[i] = s.text[start:end:end]
		start = end
	}
	sortIdentities(list)
	return list
}

// sortIdentities sorts identities in byte order. It compares the eight bytes after their common prefix as numbers first.
func sortIdentities(list [][]byte) {
	if len(list) == 0 {
		return
	}
	common := list[0]
	for _, identity := range list {
		common = common[:commonPrefix(common, identity)]
	}
	keys := make([]sortKey, len(list))
	for i, identity := range list {
		var first [8]byte
		copy(first[:], identity[len(common):])
		keys[i] = sortKey{binary.BigEndian.Uint64(first[:]), identity}
	}
	slices.SortFunc(keys, func(a, b sortKey) int {
		if c := cmp.Compare(a.first, b.first); c != 0 {
			return c
		}
		return bytes.Compare(a.identity, b.identity)
	})
	for i := range keys {
		list[i] = keys[i].identity
	}
}

// sortKey is an identity with the eight bytes after the common prefix.
type sortKey struct {
	first    uint64
	identity []byte
}

// commonPrefix returns the length of the longest common prefix.
func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// writeRun writes the identities in memory to the end of the file: the length of each and its bytes, in order.
func (s *Scratch) writeRun() error {
	run := scratchRun{count: len(s.ends)}
	if len(s.runs) > 0 {
		run.start = s.runs[len(s.runs)-1].end
	}
	w := bufio.NewWriterSize(s.file, 256<<10)
	var length [binary.MaxVarintLen64]byte
	for _, identity := range s.sorted() {
		_, _ = w.Write(length[:binary.PutUvarint(length[:], uint64(len(identity)))])
		_, _ = w.Write(identity)
	}
	err := w.Flush()
	if err == nil {
		run.end, err = s.file.Seek(0, io.SeekCurrent)
	}
	if err != nil {
		return err
	}
	s.runs = append(s.runs, run)
	s.text, s.ends = s.text[:0], s.ends[:0]
	return nil
}

// scratchCursor reads a Scratch in byte order, each identity once.
type scratchCursor struct {
	scratch    *Scratch
	sources    scratchSources
	identity   string
	note       string
	ok         bool // there is an identity
	duplicates int
}

// newCursor returns a cursor at the first identity.
func (s *Scratch) newCursor(ctx context.Context) (*scratchCursor, error) {
	if s.err != nil {
		return nil, fmt.Errorf("reading the scratch file: %w", s.err)
	}
	c := &scratchCursor{scratch: s}
	if len(s.ends) > 0 {
		c.sources = append(c.sources, &scratchSource{list: s.sorted()})
	}
	for _, run := range s.runs {
		part := io.NewSectionReader(s.file, run.start, run.end-run.start)
		c.sources = append(c.sources, &scratchSource{left: run.count, reader: bufio.NewReaderSize(part, 256<<10)})
	}
	for i := 0; i < len(c.sources); {
		ok, err := c.sources[i].next()
		switch {
		case err != nil:
			return nil, fmt.Errorf("reading the scratch file: %w", err)
		case ok:
			i++
		default:
			c.sources = slices.Delete(c.sources, i, i+1)
		}
	}
	heap.Init(&c.sources)
	if err := c.advance(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// advance moves to the next identity; ok is false at the end.
func (c *scratchCursor) advance(ctx context.Context) error {
	before, had := c.identity, c.ok
	for len(c.sources) > 0 {
		source := c.sources[0]
		identity, note := c.scratch.withoutNote(source.identity)
		duplicate := had && string(identity) == before
		if !duplicate {
			c.identity, c.note, c.ok = string(identity), string(note), true
		} else {
			c.duplicates++
		}
		ok, err := source.next()
		switch {
		case err != nil:
			return fmt.Errorf("reading the scratch file: %w", err)
		case ok:
			heap.Fix(&c.sources, 0)
		default:
			heap.Pop(&c.sources)
		}
		if !duplicate {
			return ctx.Err()
		}
	}
	c.ok, c.scratch.duplicates = false, c.duplicates
	return ctx.Err()
}

// Each calls f for every identity in byte order, with its note or "".
func (s *Scratch) Each(ctx context.Context, f func(identity, note string) error) error {
	c, err := s.newCursor(ctx)
	for err == nil && c.ok {
		if err = f(c.identity, c.note); err == nil {
			err = c.advance(ctx)
		}
	}
	return err
}

// scratchSource is a sorted run of identities: those in memory, or a part of the file.
type scratchSource struct {
	list     [][]byte
	reader   *bufio.Reader
	left     int // identities in the rest of the part
	buffer   []byte
	identity []byte // the current one
}

// next moves to the next identity; ok is false at the end.
func (r *scratchSource) next() (ok bool, err error) {
	if r.reader == nil {
		if ok = len(r.list) > 0; ok {
			r.identity, r.list = r.list[0], r.list[1:]
		}
		return ok, nil
	}
	if r.left == 0 {
		return false, nil
	}
	r.left--
	length, err := binary.ReadUvarint(r.reader)
	if err == nil {
		r.buffer = slices.Grow(r.buffer[:0], int(length))[:length]
		_, err = io.ReadFull(r.reader, r.buffer)
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	r.identity = r.buffer
	return err == nil, err
}

// scratchSources is a heap of runs by their current identities.
type scratchSources []*scratchSource

func (h scratchSources) Len() int           { return len(h) }
func (h scratchSources) Less(i, j int) bool { return bytes.Compare(h[i].identity, h[j].identity) < 0 }
func (h scratchSources) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *scratchSources) Push(x any)        { *h = append(*h, x.(*scratchSource)) }
func (h *scratchSources) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// Compare calls f for every identity in the scratch set, in the ledger's audience, or in both, in byte order. listed says that the
// set has the identity. The membership's Identity is empty if the ledger does not have it.
func (l *Ledger) Compare(ctx context.Context, audienceID string, s *Scratch, f func(identity string, listed bool, membership Membership) error) error {
	each := func(visit func(string, Membership) error) error {
		return l.Each(ctx, audienceID, "", func(m Membership) error { return visit(m.Identity, m) })
	}
	return compareWith(ctx, s, each, f)
}

// CompareStates is Compare for the states alone, which costs a third of the time.
func (l *Ledger) CompareStates(ctx context.Context, audienceID string, s *Scratch, f func(identity string, listed bool, state MemberState) error) error {
	each := func(visit func(string, MemberState) error) error { return l.eachState(ctx, audienceID, visit) }
	return compareWith(ctx, s, each, f)
}

// Pair is an identity that one of two scratch sets has, or both, with its notes.
type Pair struct {
	Identity     string
	InA, InB     bool
	NoteA, NoteB string
}

// CompareSets calls f for every identity of two scratch sets, in byte order.
func CompareSets(ctx context.Context, a, b *Scratch, f func(Pair) error) error {
	each := func(visit func(string, *string) error) error {
		return b.Each(ctx, func(identity, note string) error { return visit(identity, &note) })
	}
	return compareWith(ctx, a, each, func(identity string, inA bool, noteB *string) error {
		p := Pair{Identity: identity, InA: inA, NoteA: a.note, InB: noteB != nil}
		if p.InB {
			p.NoteB = *noteB
		}
		return f(p)
	})
}

// compareWith merges a scratch set with rows in byte order.
func compareWith[T any](ctx context.Context, s *Scratch, each func(visit func(identity string, row T) error) error, f func(identity string, listed bool, row T) error) error {
	list, err := s.newCursor(ctx)
	if err != nil {
		return err
	}
	var none T
	visit := func(listed bool, identity string, row T) error {
		if s.note = ""; listed {
			s.note = list.note
		}
		return f(identity, listed, row)
	}
	err = each(func(identity string, row T) error {
		for list.ok && list.identity < identity {
			if err := visit(true, list.identity, none); err != nil {
				return err
			}
			if err := list.advance(ctx); err != nil {
				return err
			}
		}
		if list.ok && list.identity == identity {
			if err := visit(true, identity, row); err != nil {
				return err
			}
			return list.advance(ctx)
		}
		return visit(false, identity, row)
	})
	for err == nil && list.ok {
		if err = visit(true, list.identity, none); err == nil {
			err = list.advance(ctx)
		}
	}
	return err
}
