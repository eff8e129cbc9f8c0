package delivery

import (
	"slices"
	"sync"
	"time"
)

// An event is a duplicate if its messageId was accepted within dedupeTime and the last dedupeCount events of its partition.
const (
	dedupeTime  = 10 * time.Minute
	dedupeCount = 1 << 16
)

// recentIDs are the hashes of the messageIds that a partition has read recently.
type recentIDs struct {
	mu    sync.Mutex // guards the fields below
	ids   map[uint64]struct{}
	order []seenID
}

type seenID struct {
	id  uint64
	seq uint64
	at  int64 // in milliseconds since 1970
}

func newRecentIDs() *recentIDs {
	return &recentIDs{ids: map[uint64]struct{}{}}
}

func (r *recentIDs) isEmpty() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.order) == 0
}

// addID remembers the hash of an id and reports whether it was known. It forgets ids that are too old by the time of the log.
func (r *recentIDs) addID(sum, seq uint64, at int64) (known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known = r.ids[sum]; known {
		return true
	}
	r.dropBeforeLocked(at - dedupeTime.Milliseconds())
	r.ids[sum] = struct{}{}
	r.order = append(r.order, seenID{sum, seq, at})
	return false
}

// dropBeforeLocked forgets the ids that were accepted before a time, and the oldest ones if there is no place for another.
func (r *recentIDs) dropBeforeLocked(before int64) {
	n := 0
	for n < len(r.order) && (r.order[n].at < before || len(r.order)-n >= dedupeCount) {
		delete(r.ids, r.order[n].id)
		n++
	}
	if n > 0 && cap(r.order)-len(r.order) < n {
		r.order = slices.Clone(r.order[n:])
		return
	}
	r.order = r.order[n:]
}

// oldestBefore returns the page of the oldest remembered id, or 0 if that is not before low.
func (r *recentIDs) oldestBefore(low uint64) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.order) == 0 || r.order[0].seq >= low {
		return 0
	}
	return r.order[0].seq
}
