package state

import (
	"maps"
	"slices"
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
	audience int64     // id of the audience's row; 0 if it is not known
	merged   int64     // audiences.merged
	seen     int64     // last row of the unmerged writes, or merged
	unmerged *rowTable // nil if there are none
	size     int64     // bytes of the unmerged writes of unmerged
	merging  *rowTable // those that are being merged; nil if none are
	until    int64     // last row of the unmerged writes that is being merged
	saving   bool      // the transaction that ends the merge commits next; before, another process may have merged up to the same row, and changed rows
	read     *rowTable // without isKnown for identities that have no row

	mergingSize int64 // bytes of the unmerged writes of merging
	readSize    int64 // bytes of read in Store.readTotal
	isNew       bool  // the audience has no rows but those of its unmerged writes
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
		s.dropIdleLocked()
		r = &recentRows{store: s}
		s.recent[key] = r
	}
	return r
}

// leastRecent is the number of audiences in memory up to which those without rows in memory stay.
const leastRecent = 1024

// dropIdleLocked drops the audiences without rows in memory whenever the number of audiences has doubled. Store.recentMu is locked.
func (s *Store) dropIdleLocked() {
	if len(s.recent) < max(leastRecent, 2*s.recentKept) {
		return
	}
	maps.DeleteFunc(s.recent, func(_ recentKey, r *recentRows) bool { return r.dropIfIdle() })
	s.recentKept = len(s.recent)
}

// dropIfIdle reports whether there are no rows in memory, and the caller may drop them. Callers that still use them then keep no rows for others.
func (r *recentRows) dropIfIdle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.unmerged.len() > 0 || r.merging != nil || r.read.len() > 0 {
		return false
	}
	r.resetLocked(0, 0)
	r.store = &Store{}
	return true
}

// largestUnmerged returns the audience with the largest unmerged writes. Audiences whose flush has failed just now come last.
func (s *Store) largestUnmerged() (largest recentKey, found bool) {
	s.recentMu.Lock()
	defer s.recentMu.Unlock()
	failing, size := s.flusher.failing(), int64(0)
	for key, r := range s.recent {
		n := r.unmergedSize()
		if failing[key] {
			n = min(n, 1)
		}
		if n > size {
			largest, size, found = key, n, true
		}
	}
	return largest, found
}

// forgetRead forgets the rows that are not in the unmerged writes.
func (s *Store) forgetRead() {
	s.recentMu.Lock()
	defer s.recentMu.Unlock()
	for _, r := range s.recent {
		r.mu.Lock()
		r.setReadLocked(nil)
		r.mu.Unlock()
	}
}

// isMerging reports whether unmerged writes are being merged.
func (r *recentRows) isMerging() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.merging != nil
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
	r.store.unmergedTotal.Add(-r.size - r.mergingSize)
	r.setReadLocked(nil)
	r.audience, r.merged, r.seen, r.size, r.unmerged = audience, merged, merged, 0, nil
	r.merging, r.mergingSize, r.saving, r.isNew = nil, 0, false, false
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
	switch {
	case r.audience == row.id && r.merged == row.merged:
	case r.audience == row.id && r.merging != nil && r.saving && r.until == row.merged: // it was saved just now
		r.finishMergeLocked()
	default:
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
	r.eachFoundLocked(identities, func(identity string, c compactRow, exists bool) {
		switch {
		case !exists && r.isNew:
		case !exists:
			missing = append(missing, identity)
		case c.flags&isKnown != 0 && found[identity] == nil:
			e := c.expand(identity)
			e.at = clampTime(e.at, e.delivered, e.confirmed, maxAhead)
			found[identity] = e
		}
	})
	return found, missing, r.seen, true, nil
}

// eachFoundLocked calls visit with the newest row of each identity.
func (r *recentRows) eachFoundLocked(identities []string, visit func(identity string, c compactRow, exists bool)) {
	tables := [...]*rowTable{r.unmerged, r.merging, r.read}
	var places [preloadedRows]rowSlot
	for group := range slices.Chunk(identities, preloadedRows) {
		for i, identity := range group {
			places[i].hash = hashIdentity(identity)
		}
		for _, rows := range tables {
			rows.preload(places[:len(group)])
		}
		for i, identity := range group {
			c, exists := compactRow{}, false
			for t := 0; t < len(tables) && !exists; t++ {
				c, exists = tables[t].find(identity, places[i].hash)
			}
			visit(identity, c, exists)
		}
	}
}

// addLocked adds an unmerged write, unless it is there.
func (r *recentRows) addLocked(w unmergedWrite) error {
	if w.id <= r.seen {
		return nil
	}
	if r.unmerged == nil {
		r.unmerged = &rowTable{}
	}
	if err := r.unmerged.add(w.changes); err != nil {
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

// setReadLocked replaces the rows that were read or merged, or says that they have changed.
func (r *recentRows) setReadLocked(rows *rowTable) {
	size := rows.size()
	r.store.readTotal.Add(size - r.readSize)
	r.read, r.readSize = rows, size
}

// limitRead forgets the rows that are not in the unmerged writes if they are too many.
func (s *Store) limitRead() {
	if s.readTotal.Load() > s.limits.read {
		s.forgetRead()
	}
}

// keep keeps rows that were read from the table members or from files after a view.
func (r *recentRows) keep(row *audienceRow, identities []string, rows map[string]*memberRow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.store.keepsRecent() || r.audience != row.id || r.merged != row.merged {
		return
	}
	if r.read == nil {
		r.read = &rowTable{}
	}
	r.read.keep(identities, rows)
	r.setReadLocked(r.read)
}

// keepNone keeps that, after a view, neither the table members nor files have rows of the audience. Rows that a merge saves there are also in the
// unmerged writes until it ends, and then merged is another one.
func (r *recentRows) keepNone(row *audienceRow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.isNew = r.audience == row.id && r.merged == row.merged
}

// beginMerge moves the rows of the unmerged writes to those that are being merged. It returns nil if there are none.
func (r *recentRows) beginMerge() *ledgerMerge {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.audience == 0 || r.unmerged.len() == 0 || r.merging != nil {
		return nil
	}
	r.merging, r.mergingSize, r.until, r.unmerged, r.size = r.unmerged, r.size, r.seen, nil, 0
	return &ledgerMerge{audience: r.audience, merged: r.merged, until: r.until}
}

// abandonMerge moves the rows that are being merged back.
func (r *recentRows) abandonMerge() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.merging == nil {
		return
	}
	r.merging.addAll(r.unmerged)
	r.unmerged, r.size, r.merging, r.mergingSize, r.saving = r.merging, r.size+r.mergingSize, nil, 0, false
}

// saveMerge says that the rows of a merge are saved if the current transaction commits, which has the audience locked.
func (r *recentRows) saveMerge(m *ledgerMerge) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.saving = r.isMergingLocked(m)
}

// finishMerge says that the rows of a merge are saved. They stay in memory.
func (r *recentRows) finishMerge(m *ledgerMerge) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isMergingLocked(m) {
		r.finishMergeLocked()
	}
}

func (r *recentRows) isMergingLocked(m *ledgerMerge) bool {
	return r.audience == m.audience && r.merged == m.merged && r.merging != nil && r.until == m.until
}

func (r *recentRows) finishMergeLocked() {
	r.store.unmergedTotal.Add(-r.mergingSize)
	r.setReadLocked(r.merging)
	r.merged, r.merging, r.mergingSize, r.saving, r.isNew = r.until, nil, 0, false, false
}
