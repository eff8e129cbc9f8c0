package delivery

import (
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/dispatch/budget"
)

// Status is the progress of an instance. The partitions of other processes are as in their last checkpoints.
type Status struct {
	Instance   string           `json:"instance"`
	Counts     map[string]int64 `json:"counts"`     // events, replayed, unmatched, duplicate, unreadable, delivered, skipped, dead, parked, dropped
	Partitions int              `json:"partitions"` // that this process owns
	Waiting    int              `json:"waiting"`    // tasks in memory of this process
	Behind     int              `json:"behind"`     // events that this process has not read, estimated
	Lag        time.Duration    `json:"lagNs"`      // age of the oldest unfinished event
	Parked     int              `json:"parkedKeys"`
	Paused     bool             `json:"paused"` // the remote asked to wait
	Until      time.Time        `json:"pausedUntil,omitzero"`
	Retried    int64            `json:"retried"`             // retries by this process
	Stopped    string           `json:"stopped,omitempty"`   // why nothing is delivered until an operator logs in; "" if not suspended
	Unowned    []int            `json:"unowned,omitempty"`   // partitions without an owner; Behind and Lag include them
	Delivering bool             `json:"delivering"`          // this server delivers, unless it waits for a remote or an operator
	Findings   []Finding        `json:"findings,omitempty"`  // findings that concern the instance
	Removed    bool             `json:"gone,omitempty"`      // no longer in the config: only its remaining data is shown
	Members    int              `json:"members,omitempty"`   // in its ledger, if it was removed
	InBrowser  bool             `json:"inBrowser,omitempty"` // pages perform its actions, so the numbers of deliveries are empty
	// Limits are what is used and left of the limits of this process; nil if nothing limits it.
	Limits *budget.GateStatus `json:"limits,omitempty"`
	// ExpectedEnd is when the waiting events will be finished, estimated from those of the last hour; zero if unknown.
	ExpectedEnd time.Time `json:"expectedEnd,omitzero"`
}

// Status returns the status of all instances, sorted by id.
func (r *Runner) Status() []Status {
	list := []Status{}
	health := r.Health(r.ctx)
	r.eachWorker(func(w *worker) {
		s := r.workerStatus(w)
		s.addFindings(health)
		list = append(list, s)
	})
	slices.SortFunc(list, func(a, b Status) int { return strings.Compare(a.Instance, b.Instance) })
	return list
}

func (r *Runner) workerStatus(w *worker) Status {
	s := Status{Instance: w.id, Counts: map[string]int64{}}
	w.mu.Lock()
	defer w.mu.Unlock()
	s.Stopped = w.suspendReason
	until := w.dispatcher.StatsLocked().PausedUntil
	s.Partitions, s.Paused, s.Retried = len(w.partitions), time.Now().Before(until), w.retries
	if s.Paused {
		s.Until = until
	}
	for n := range r.queue.partitions {
		counts := map[string]int64(nil)
		if p := w.partitions[n]; p != nil {
			counts = maps.Clone(p.counts)
			s.Waiting += p.taskCount
			unread, _ := p.cursor.unread()
			s.Behind += int(math.Ceil(float64(unread) * p.eventsPerPage))
			s.Parked += len(p.parked.keys)
			if len(p.openPages) > 0 {
				s.Lag = max(s.Lag, time.Since(time.UnixMilli(p.openPages[0].acceptedMillis)))
			}
		} else if seen, ok := r.leases.latestOf(checkpointSubject(w.id, n)); ok {
			counts = parseCheckpoint(seen.data).Counts
			s.addUnowned(r.survey.unownedAt(partitionID{w.id, n}), n)
		}
		for k, v := range counts {
			s.Counts[k] += v
		}
	}
	s.addLimitsLocked(w, time.Now())
	return s
}

// addFindings adds the findings that concern the instance.
func (s *Status) addFindings(h Health) {
	s.Delivering = true
	for _, f := range h.Findings {
		if f.Instance == "" || f.Instance == s.Instance {
			s.Findings = append(s.Findings, f)
			s.Delivering = s.Delivering && f.Stops != StopsDelivery && f.Stops != StopsBoth
		}
	}
}

// unownedAt returns what is known about a partition without an owner, nil if it has one.
func (s *survey) unownedAt(at partitionID) *unownedPartition {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unowned[at]
}

// addUnowned adds a partition without an owner. It does nothing if u is nil.
func (s *Status) addUnowned(u *unownedPartition, n int) {
	if u == nil {
		return
	}
	s.Unowned = append(s.Unowned, n)
	s.Behind += u.pages * u.perPage
	if !u.oldest.IsZero() {
		s.Lag = max(s.Lag, time.Since(u.oldest))
	}
}

// Sizes returns the stored bytes by stream: events, park and dead.
func (q *Queue) Sizes() (map[string]uint64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	sizes := map[string]uint64{}
	for _, name := range []string{eventsStream, parkStream, deadStream} {
		info, err := q.store.Info(ctx, name)
		if err != nil {
			return nil, err
		}
		sizes[strings.ToLower(name)] = info.Bytes
	}
	return sizes, nil
}
