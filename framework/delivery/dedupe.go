package delivery

import (
	"sync"
	"time"
)

// An event is a duplicate if its messageId was accepted within dedupeTime and the last dedupeCount events of its partition.
const (
	dedupeTime  = 10 * time.Minute
	dedupeCount = 1 << 16
)

// recentIDs are the hashes of the messageIds that a partition has read recently. Each instance has its own for each partition. An id has about 30
// bytes, and looking for one reads memory that is not cached.
type recentIDs struct {
	mu     sync.Mutex // guards the fields below
	ids    hashSet
	order  []uint64 // the ids as they were added, from the index first on
	first  int
	pages  []idPage // of order
	oldest uint64   // the page of the oldest id that the newest page was compared with; 0 if there is none
}

// idPage is a page of the log with n remembered ids.
type idPage struct {
	seq uint64
	at  int64 // in milliseconds since 1970
	n   int
}

func newRecentIDs() *recentIDs { return &recentIDs{} }

func (r *recentIDs) isEmpty() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ids.n == 0
}

// addIDs remembers the ids of these ranges of a page, except 0, and returns the indexes of those that were known. It forgets ids that are too
// old by the time of the log. As nothing else happens in between, the processor reads the memory for several ids at once.
func (r *recentIDs) addIDs(seq uint64, at int64, ids []uint64, ranges []eventRange) (known map[int]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := at - dedupeTime.Milliseconds()
	r.dropLocked(before)
	n := len(r.order) - r.first
	for _, own := range ranges {
		for i := own.from; i < own.to; i++ {
			switch id := ids[i]; {
			case id == 0:
			case r.ids.add(id):
				r.order = append(r.order, id)
			case known == nil:
				known = map[int]bool{i: true}
			default:
				known[i] = true
			}
		}
	}
	if added := len(r.order) - r.first - n; added > 0 {
		r.pages = append(r.pages, idPage{seq: seq, at: at, n: added})
	}
	r.oldest = 0
	if len(r.pages) > 0 {
		r.oldest = r.pages[0].seq
	}
	r.dropLocked(before)
	return known
}

// dropLocked forgets the ids that were accepted before a time, and the oldest ones if there are too many.
func (r *recentIDs) dropLocked(before int64) {
	for len(r.pages) > 0 && (r.pages[0].at < before || len(r.order)-r.first > dedupeCount) {
		r.ids.remove(r.order[r.first])
		r.first++
		if r.pages[0].n--; r.pages[0].n == 0 {
			r.pages = r.pages[1:]
		}
	}
	if r.first > len(r.order)/2 {
		r.order = r.order[:copy(r.order, r.order[r.first:])]
		r.first = 0
	}
}

// oldestBefore returns the page from which the ids are read again after a restart, or 0 if that is not before low. The newest page may have events
// without a verdict, which are then compared again, so it is the page of the oldest id that they were compared with, which may be forgotten since.
func (r *recentIDs) oldestBefore(low uint64) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.oldest >= low {
		return 0
	}
	return r.oldest
}

// hashSet is a set of hashes other than 0, with linear probing.
type hashSet struct {
	slots []uint64 // 0 for none; their number is a power of two
	n     int
}

// smallestSet is the number of slots of a set with few hashes.
const smallestSet = 64

// add adds a hash and reports whether it was not in the set.
func (s *hashSet) add(hash uint64) bool {
	if len(s.slots) == 0 || s.n >= len(s.slots)/4*3 {
		s.grow()
	}
	mask := uint64(len(s.slots) - 1)
	i := hash & mask
	for ; s.slots[i] != 0; i = (i + 1) & mask {
		if s.slots[i] == hash {
			return false
		}
	}
	s.slots[i] = hash
	s.n++
	return true
}

func (s *hashSet) grow() {
	old := s.slots
	s.slots, s.n = make([]uint64, max(2*len(old), smallestSet)), 0
	for _, hash := range old {
		if hash != 0 {
			s.add(hash)
		}
	}
}

// remove removes a hash that is in the set, and closes the gap: a hash behind it moves there unless its own place is behind the gap.
func (s *hashSet) remove(hash uint64) {
	mask := uint64(len(s.slots) - 1)
	gap := hash & mask
	for s.slots[gap] != hash {
		gap = (gap + 1) & mask
	}
	for i := (gap + 1) & mask; s.slots[i] != 0; i = (i + 1) & mask {
		if own := s.slots[i] & mask; (i-own)&mask >= (i-gap)&mask {
			s.slots[gap], gap = s.slots[i], i
		}
	}
	s.slots[gap] = 0
	s.n--
}
