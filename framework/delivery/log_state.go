package delivery

import (
	"cmp"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/internal/storedtime"
)

// logStateSubject is where the state of the log is stored, in the stream of checkpoints. Programs of earlier versions ignore it,
// as they take it for a member that has left.
const logStateSubject = "proc.log.state"

// Limits of what is remembered about losses.
const (
	maxLostRanges    = 100     // ranges
	maxDamagedFiles  = 100     // damaged files
	maxListedDeleted = 1 << 18 // pages that are listed one by one; if more are gone, they count as one range
	leaderGrace      = 10 * time.Second
	olderGrace       = 5 * time.Minute // longer than the minute between the trims of an earlier version
)

// logState is what is recorded about the log outside the log, so that losses can be detected.
type logState struct {
	Created int64  `json:"created"` // when the stream was created, in nanoseconds since 1970; identifies the log
	Trimmed uint64 `json:"trimmed"` // pages up to this one were trimmed
	High    uint64 `json:"high"`    // the last page seen
	// Orphaned means that the log had events and no checkpoint was stored, so that the position at which to start is unknown
	// until an operator repairs the checkpoints.
	Orphaned bool `json:"orphaned,omitempty"`
	// Hold is until when nothing may be trimmed, in seconds since 1970, because a backup is being taken.
	Hold    int64         `json:"hold,omitempty"`
	Lost    []LostRange   `json:"lost,omitempty"`
	Damaged []DamagedFile `json:"damaged,omitempty"`
}

// maxHold is longer than a hold lasts. One that ends later was set while the clock was ahead, and was not ended.
const maxHold = 24 * time.Hour

// isHeld reports whether nothing may be trimmed.
func (s *logState) isHeld(now time.Time) bool {
	return storedtime.Holds(time.Unix(s.Hold, 0), now, maxHold)
}

// LostRange is a range of pages that were written and are gone without having been trimmed.
type LostRange struct {
	First    uint64    `json:"first"`
	Last     uint64    `json:"last"`
	Found    time.Time `json:"found"`
	Accepted bool      `json:"accepted,omitempty"` // acknowledged by an operator
}

// Pages returns the number of pages in the range.
func (r LostRange) Pages() uint64 { return r.Last - r.First + 1 }

// DamagedFile is a file of the queue with damaged records.
type DamagedFile struct {
	eventlog.FileDamage
	Found time.Time `json:"found"`
}

// rangesOf returns the ranges of sequences.
func rangesOf(seqs []uint64) (list []LostRange) {
	slices.Sort(seqs)
	for _, seq := range seqs {
		if n := len(list); n > 0 && list[n-1].Last+1 == seq {
			list[n-1].Last = seq
			continue
		}
		list = append(list, LostRange{First: seq, Last: seq})
	}
	return list
}

// afterView returns the state after a view of the log. older means that a process of an earlier version is running, which does
// not record what it trims.
func (s logState) afterView(v logView, deleted []LostRange, short, older bool) logState {
	s.Lost = slices.DeleteFunc(slices.Clone(s.Lost), func(r LostRange) bool { return r.Accepted && r.Last < v.first })
	now := time.Now().UTC().Truncate(time.Second)
	if v.first > s.Trimmed+1 && v.last > 0 {
		if !older {
			for _, r := range v.withoutRewritten([]LostRange{{First: s.Trimmed + 1, Last: v.first - 1}}) {
				s.addLost(r.First, r.Last, now)
			}
		}
		s.Trimmed = v.first - 1
	}
	for _, r := range deleted { // a process that has ended while it trimmed has deleted some pages up to Trimmed, and not always the first
		s.addLost(max(r.First, s.Trimmed+1), r.Last, now)
	}
	switch {
	case short:
		s.addLost(v.last+1, s.High, now)
		s.High = v.last
		s.Trimmed = min(s.Trimmed, v.last)
	case v.last > s.High:
		s.High = v.last
	}
	if v.last >= s.High {
		s.Created = v.created
	}
	return s
}

// addLost adds the parts of a range that are not in the lost ranges yet.
func (s *logState) addLost(first, last uint64, now time.Time) {
	var found []LostRange
	for _, r := range s.Lost { // sorted, without overlaps
		if r.Last < first || first > last {
			continue
		}
		if end := min(last, r.First-1); first <= end {
			found = append(found, LostRange{First: first, Last: end, Found: now})
		}
		first = max(first, r.Last+1)
	}
	if first <= last {
		found = append(found, LostRange{First: first, Last: last, Found: now})
	}
	s.Lost = append(slices.Clone(s.Lost), found...)
	slices.SortFunc(s.Lost, func(a, b LostRange) int { return cmp.Compare(a.First, b.First) })
	for len(s.Lost) > maxLostRanges { // beyond the limit, the last ranges are merged
		n := len(s.Lost)
		s.Lost[n-2].Last, s.Lost[n-2].Accepted = s.Lost[n-1].Last, s.Lost[n-2].Accepted && s.Lost[n-1].Accepted
		s.Lost = s.Lost[:n-1]
	}
}

func (s logState) equal(t logState) bool {
	return s.Created == t.Created && s.Trimmed == t.Trimmed && s.High == t.High && s.Orphaned == t.Orphaned && s.Hold == t.Hold &&
		slices.Equal(s.Lost, t.Lost) && len(s.Damaged) == len(t.Damaged)
}
