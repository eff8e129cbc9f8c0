package state

import (
	"strings"
	"sync"
	"time"
)

// recentKey identifies an audience of an instance.
type recentKey struct{ instance, audience string }

// recentRows are rows of an audience in memory: those of its unmerged writes, and rows of the table members that were read or merged last. They
// are valid as long as audiences.merged has not changed. Every use reads the newer rows of the unmerged writes first, so that processes can
// share a database. It is safe for concurrent use; no query runs while it is locked.
type recentRows struct {
	store    *Store
	mu       sync.Mutex
	audience int64 // id of the audience's row; 0 if it is not known
	merged   int64 // audiences.merged
	seen     int64 // last row of the unmerged writes, or merged
	size     int64 // bytes of the unmerged writes
	unmerged map[string]compactRow
	read     map[string]compactRow // without isKnown for identities that have no row
}

// recentOf returns the rows of an audience in memory.
func (s *Store) recentOf(instance, audience string) *recentRows {
	if !s.keepsRecent() {
		return &recentRows{store: &Store{}} // for one use
	}
	s.recentMu.Lock()
	defer s.recentMu.Unlock()
	key := recentKey{instance, audience}
	r := s.recent[key]
	if r == nil {
		r = &recentRows{store: s}
		s.recent[key] = r
	}
	return r
}

// largestUnmerged returns the audience with the largest unmerged writes.
func (s *Store) largestUnmerged() (largest recentKey) {
	s.recentMu.Lock()
	defer s.recentMu.Unlock()
	size := int64(-1)
	for key, r := range s.recent {
		if n := r.unmergedSize(); n > size {
			largest, size = key, n
		}
	}
	return largest
}

// forgetRead forgets the rows that are not in the unmerged writes.
func (s *Store) forgetRead() {
	s.recentMu.Lock()
	defer s.recentMu.Unlock()
	for _, r := range s.recent {
		r.mu.Lock()
		s.readTotal.Add(int64(-len(r.read)))
		r.read = nil
		r.mu.Unlock()
	}
}

func (r *recentRows) unmergedSize() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.size
}

// position returns what readPending needs.
func (r *recentRows) position() (audience, seen int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.audience, r.seen
}

// resetLocked forgets all rows.
func (r *recentRows) resetLocked(audience, merged int64) {
	r.store.unmergedTotal.Add(-r.size)
	r.store.readTotal.Add(int64(-len(r.read)))
	r.audience, r.merged, r.seen, r.size, r.unmerged, r.read = audience, merged, merged, 0, nil, nil
}

// forget forgets a deleted audience.
func (r *recentRows) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resetLocked(0, 0)
}

// view adds unmerged writes that follow the id after, and returns copies of rows, the identities that it does not have, and the
// last row of the unmerged writes that they include. ok is false if they do not continue what is in memory: they must be read again.
func (r *recentRows) view(row *audienceRow, writes []unmergedWrite, after int64, identities []string, maxAhead time.Duration) (found map[string]*memberRow, missing []string, seen int64, ok bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.audience != row.id || r.merged != row.merged {
		r.resetLocked(row.id, row.merged)
	}
	if after > r.seen {
		return nil, nil, 0, false, nil
	}
	for _, w := range writes {
		if err := r.addLocked(w); err != nil {
			return nil, nil, 0, false, err
		}
	}
	found = make(map[string]*memberRow, len(identities))
	for _, identity := range identities {
		c, exists := r.unmerged[identity]
		if !exists {
			c, exists = r.read[identity]
		}
		switch {
		case !exists:
			missing = append(missing, identity)
		case c.flags&isKnown != 0 && found[identity] == nil:
			e := c.expand(identity)
			e.at = clampTime(e.at, e.delivered, e.confirmed, maxAhead)
			found[identity] = e
		}
	}
	return found, missing, r.seen, true, nil
}

// addLocked adds an unmerged write, unless it is there.
func (r *recentRows) addLocked(w unmergedWrite) error {
	if w.id <= r.seen {
		return nil
	}
	if r.unmerged == nil {
		r.unmerged = map[string]compactRow{}
	}
	err := w.decode(false, func(identity string, c compactRow, _ []historyRow) {
		c.flags |= isKnown
		r.unmerged[identity] = c
	})
	if err != nil {
		r.resetLocked(r.audience, r.merged)
		return err
	}
	r.seen = w.id
	r.size += int64(len(w.changes))
	r.store.unmergedTotal.Add(int64(len(w.changes)))
	return nil
}

// written adds a write that was committed after a view, if nothing else happened since.
func (r *recentRows) written(row *audienceRow, w unmergedWrite) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.audience == row.id && r.merged == row.merged && r.seen == w.id-1 {
		_ = r.addLocked(w) // if it is damaged, the next view reports it
	}
}

// keep keeps rows that were read from the table members after a view.
func (r *recentRows) keep(row *audienceRow, identities []string, rows map[string]*memberRow) {
	if !r.store.keepsRecent() {
		return
	}
	if r.store.readTotal.Load() > r.store.limits.read {
		r.store.forgetRead()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.audience != row.id || r.merged != row.merged {
		return
	}
	if r.read == nil {
		r.read = map[string]compactRow{}
	}
	before := len(r.read)
	for _, identity := range identities {
		if _, exists := r.read[identity]; exists {
			continue
		}
		c := compactRow{}
		if e := rows[identity]; e != nil {
			c = e.compact()
		}
		r.read[strings.Clone(identity)] = c
	}
	r.store.readTotal.Add(int64(len(r.read) - before))
}

// wasMerged says that they were merged, up to a write. The rows stay in memory, unless another process has changed the audience since they
// were read.
func (r *recentRows) wasMerged(before *audienceRow, merged int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.audience != before.id || r.merged != before.merged || r.seen != merged {
		r.resetLocked(before.id, merged)
		return
	}
	r.store.unmergedTotal.Add(-r.size)
	r.store.readTotal.Add(int64(len(r.unmerged) - len(r.read)))
	r.merged, r.size, r.read, r.unmerged = merged, 0, r.unmerged, nil
}
