package state

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
)

// rowVersions are the rows of unmerged writes in the order of their identities, those of an identity oldest first. They are decoded one after the other.
type rowVersions struct {
	texts      []rowText
	rows       []rowVersion // that are not read yet
	identities int          // different ones at the beginning
	added      []historyRow // of the row that was read last
}

// rowVersion is the place of a row.
type rowVersion struct {
	first uint64 // the bytes of the identity after those that all identities begin with
	text  uint32 // number in texts
	at    uint32
}

// newRowVersions returns the rows of writes, oldest first.
func newRowVersions(writes []unmergedWrite) (*rowVersions, error) {
	v := &rowVersions{}
	common, begun := "", false
	for _, w := range writes {
		text := newRowText(w.changes)
		v.texts = append(v.texts, text)
		err := text.each(func(identity string, at uint32) {
			if !begun {
				common, begun = identity, true
			}
			for !strings.HasPrefix(identity, common) {
				common = common[:len(common)-1]
			}
			v.rows = append(v.rows, rowVersion{text: uint32(len(v.texts) - 1), at: at})
		})
		if err != nil {
			return nil, err
		}
	}
	v.sort(len(common))
	return v, nil
}

// sort sorts the rows, whose identities begin with the same bytes, and counts the identities.
func (v *rowVersions) sort(common int) {
	for i := range v.rows {
		var first [8]byte
		copy(first[:], v.identity(&v.rows[i])[common:])
		v.rows[i].first = binary.BigEndian.Uint64(first[:])
	}
	slices.SortFunc(v.rows, func(a, b rowVersion) int {
		if a.first != b.first {
			return cmp.Compare(a.first, b.first)
		}
		return cmp.Or(strings.Compare(v.identity(&a), v.identity(&b)), cmp.Compare(a.text, b.text), cmp.Compare(a.at, b.at))
	})
	for i := range v.rows {
		if i == 0 || !v.same(&v.rows[i-1], &v.rows[i]) {
			v.identities++
		}
	}
}

func (v *rowVersions) identity(row *rowVersion) string { return v.texts[row.text].identity(row.at) }

// same reports whether two rows have the same identity.
func (v *rowVersions) same(a, b *rowVersion) bool {
	return a.first == b.first && v.identity(a) == v.identity(b)
}

// next sets e to the next identity's row as the last of its versions leaves it, with the new history of all of them. It returns false at the end. The
// history is valid until the next call.
func (v *rowVersions) next(e *memberRow) bool {
	if len(v.rows) == 0 {
		return false
	}
	v.added = v.added[:0]
	for more := true; more; {
		row := &v.rows[0]
		text := &v.texts[row.text]
		r := &rowReader{rest: text.text[row.at:]}
		identity := r.text()
		c, last := r.decodeState(text.base)
		v.added = r.appendHistory(v.added, last)
		v.rows = v.rows[1:]
		if more = len(v.rows) > 0 && v.same(row, &v.rows[0]); !more {
			*e = c.row(identity)
		}
	}
	e.changed, e.added = true, v.added[max(0, len(v.added)-MaxHistory):]
	return true
}

// all returns the rows that next would return.
func (v *rowVersions) all() []*memberRow {
	list := make([]*memberRow, 0, v.identities)
	for e := new(memberRow); v.next(e); e = new(memberRow) {
		e.added = slices.Clone(e.added)
		list = append(list, e)
	}
	return list
}
