package event

import (
	"slices"
	"strings"
)

// expectedGap is a gap that a scanner knows, and what may follow it. Outlines that begin with the same gaps share these.
type expectedGap struct {
	gap
	first     uint64         // the first eight bytes
	firstMask uint64         // of the bytes of first that belong to the gap
	last      uint64         // the last eight bytes, if there are more than eight
	lastAt    int            // where last begins; 0 if there is none
	outline   *outline       // of the texts that end after the gap; nil if a leaf follows
	next      []*expectedGap // what may follow the leaf after the gap; the longest first, as one may be the beginning of another
}

func newExpectedGap(g gap) *expectedGap {
	e := &expectedGap{gap: g}
	for i := range min(len(g.text), 8) {
		e.first |= uint64(g.text[i]) << (i * 8)
		e.firstMask |= 0xff << (i * 8)
	}
	if len(g.text) > 8 {
		e.lastAt = len(g.text) - 8
		e.last = loadWord(g.text[e.lastAt:])
	}
	return e
}

// nextAt returns the gap at pos, if it is one of those that may follow e; otherwise nil.
func (e *expectedGap) nextAt(text string, pos int) *expectedGap {
	for _, n := range e.next {
		if strings.HasPrefix(text[pos:], n.text) {
			return n
		}
	}
	return nil
}

// with returns e with the gaps of an outline from number i on after it.
func (e *expectedGap) with(o *outline, i int) *expectedGap {
	changed := *e
	if i == len(o.gaps) {
		changed.outline = o
		return &changed
	}
	changed.next = slices.Clone(e.next)
	at := slices.IndexFunc(e.next, func(n *expectedGap) bool { return n.text == o.gaps[i].text })
	if at >= 0 {
		changed.next[at] = e.next[at].with(o, i+1)
		return &changed
	}
	at = slices.IndexFunc(e.next, func(n *expectedGap) bool { return len(n.text) < len(o.gaps[i].text) })
	if at < 0 {
		at = len(e.next)
	}
	changed.next = slices.Insert(changed.next, at, newExpectedGap(o.gaps[i]).with(o, i+1))
	return &changed
}

// scanLeaves scans a text whose gaps are expected. It sets d.leaves to the nodes of the leaves, and appends the content of arrays to d.index. It
// returns the text's outline, or nil if the outline is not known or the text may be invalid.
func (d *fastScanner) scanLeaves(text string) *outline {
	g := d.known.start.Load()
	if g == nil {
		return nil
	}
	pos, n, leaves := 0, 0, d.leaves[:cap(d.leaves)]
	for {
		g, pos, n = scanPlainLeaves(text, d.marks, g, pos, leaves, n)
		if g = g.nextAt(text, pos); g == nil {
			return nil
		}
		if pos += len(g.text); pos == len(text) {
			d.leaves = leaves[:n]
			return g.outline
		}
		leaf, end, ok := d.scanLeaf(text, pos, g.depth)
		if !ok {
			return nil
		}
		if n == len(leaves) {
			leaves = append(leaves, make([]shortNode, max(n, 64))...)
		}
		leaves[n] = leaf
		pos, n = end, n+1
	}
}

// scanLeaf scans any leaf within depth objects.
func (d *fastScanner) scanLeaf(text string, pos, depth int) (leaf shortNode, end int, ok bool) {
	if c := text[pos]; c == '"' || c == '[' {
		return d.scan(text, pos, MaxDepth-depth)
	}
	leaf, end = fastScalar(text, pos)
	return leaf, end, end >= 0
}

// scanPlainLeaves is the part of scanLeaves for most gaps and leaves. It calls no functions, so that its state stays in registers. It
// begins at pos, after the gap g and n leaves, and returns these for the place where it stops: before a gap with a leaf that only
// scanLeaves can scan, near the end of the text, or if leaves is full.
func scanPlainLeaves(text string, marks textMarks, g *expectedGap, pos int, leaves []shortNode, n int) (*expectedGap, int, int) {
gaps:
	for n < len(leaves) {
	candidates:
		for _, e := range g.next {
			last := pos + e.lastAt
			if last+8 > len(text) {
				return g, pos, n
			}
			if (loadWord(text[pos:pos+8])^e.first)&e.firstMask != 0 || e.lastAt > 0 && loadWord(text[last:last+8]) != e.last {
				continue
			}
			for i := 8; i < e.lastAt; i += 8 {
				if loadWord(text[pos+i:pos+i+8]) != loadWord(e.text[i:i+8]) {
					continue candidates
				}
			}
			start := pos + len(e.text)
			if start >= len(text) {
				return g, pos, n
			}
			end, kind := start+1, Number
			switch c := text[start]; {
			case c == '"':
				end, kind = marks.next(end), String
				if end >= len(text) || text[end] != '"' {
					return g, pos, n
				}
				end++
			case c-'1' < 9:
				for end < len(text) && text[end]-'0' <= 9 {
					end++
				}
				if end < len(text) && (text[end] == '.' || text[end]|0x20 == 'e') {
					return g, pos, n
				}
			case strings.HasPrefix(text[start:], "true"):
				end, kind = start+4, True
			case strings.HasPrefix(text[start:], "false"):
				end, kind = start+5, False
			default:
				return g, pos, n
			}
			if end-start > maxShortLength {
				return g, pos, n
			}
			leaves[n] = newShortNode(kind, start, end)
			g, pos, n = e, end, n+1
			continue gaps
		}
		break
	}
	return g, pos, n
}
