package delivery

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/internal/pause"
)

// leases is what this process knows about the checkpoints and the members, the processes on the queue. It compares no clocks: a
// lease has expired if this process has not seen its checkpoint change for the length of a lease.
type leases struct {
	queue *Queue
	lease time.Duration // length of a lease
	ready chan struct{} // closed when all existing messages have been read
	once  sync.Once     // closes ready

	mu     sync.Mutex               // guards the fields below
	latest map[string]latestMessage // by subject
	newest time.Time                // when the newest message was stored, by the clock of the log
}

// latestMessage is the newest message of a subject.
type latestMessage struct {
	revision  uint64
	header    map[string]string
	data      []byte
	changedAt time.Time // when this process received it
	since     time.Time // since when its subject has changed at least once in a lease; zero if it did when this process started
	loadedAt  time.Time // when it was stored, by the clock of the log, if it was there when this process started
}

// isAlive reports whether a heartbeat came within the length of a lease and says that its member is alive.
func (s latestMessage) isAlive(lease time.Duration) bool {
	return time.Since(s.changedAt) < lease && string(s.data) == memberAlive
}

func newLeases(q *Queue, lease time.Duration) *leases {
	return &leases{queue: q, lease: lease, latest: map[string]latestMessage{}, ready: make(chan struct{})}
}

// watchStream follows the stream of checkpoints until ctx ends.
func (l *leases) watchStream(ctx context.Context) {
	for ctx.Err() == nil {
		if err := l.followStream(ctx); err != nil && ctx.Err() == nil {
			l.queue.config.Log.Debug("reading the checkpoints", "error", err)
			_ = pause.For(ctx, time.Second)
		}
	}
}

func (l *leases) followStream(ctx context.Context) error {
	reader, err := l.queue.store.Read(ctx, checkpointsStream, eventlog.Query{Filters: []string{"book.>", "proc.>"}, Newest: true})
	if err != nil {
		return err
	}
	defer reader.Close()
	for ready := false; ; {
		if !ready && reader.Pending() == 0 {
			ready = true
			l.markReady()
		}
		m, err := reader.Next(ctx)
		if err != nil {
			return err
		}
		l.recordMessage(m)
	}
}

func (l *leases) markReady() { l.once.Do(func() { close(l.ready) }) }

func (l *leases) isReady() bool {
	select {
	case <-l.ready:
		return true
	default:
		return false
	}
}

func (l *leases) recordMessage(m eventlog.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known, ok := l.latest[m.Subject]
	if m.Sequence <= known.revision {
		return
	}
	latest := latestMessage{revision: m.Sequence, header: m.Header, data: slices.Clone(m.Data), changedAt: time.Now(), since: known.since}
	switch ready := l.isReady(); {
	case !ready:
		latest.loadedAt = m.Time
	case !ok || time.Since(known.changedAt) >= l.lease:
		latest.since = time.Now()
	}
	if m.Time.After(l.newest) {
		l.newest = m.Time
	}
	l.latest[m.Subject] = latest
}

// recordWrite records a message that this process has written.
func (l *leases) recordWrite(w eventlog.Write, revision uint64) {
	l.recordMessage(eventlog.Message{Subject: w.Subject, Header: w.Header, Data: w.Data, Sequence: revision})
}

// forgetSubject removes a subject whose messages were deleted.
func (l *leases) forgetSubject(subject string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.latest, subject)
}

func (l *leases) latestOf(subject string) (latestMessage, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.latest[subject]
	return s, ok
}

// checkpointsInUse returns, by subject, the checkpoints of the instances that a live member other than self delivers to, and those
// without an owner that were released less than a lease ago.
func (l *leases) checkpointsInUse(self string) map[string]checkpoint {
	alive := l.aliveMembers()
	instanceOf := func(subject string) string { return subject[:strings.LastIndexByte(subject, '.')] }
	l.mu.Lock()
	defer l.mu.Unlock()
	checkpoints, inUse := map[string]checkpoint{}, map[string]bool{}
	for subject, s := range l.latest {
		if !strings.HasPrefix(subject, "book.") {
			continue
		}
		cp := parseCheckpoint(s.data)
		checkpoints[subject] = cp
		if _, isAlive := slices.BinarySearch(alive, cp.Owner); isAlive && cp.Owner != self {
			inUse[instanceOf(subject)] = true
		}
	}
	maps.DeleteFunc(checkpoints, func(subject string, cp checkpoint) bool {
		released := cp.Owner == "" && time.Since(l.latest[subject].changedAt) < l.lease
		return !inUse[instanceOf(subject)] && !released
	})
	return checkpoints
}

// aliveMembers returns the members that are alive, sorted.
func (l *leases) aliveMembers() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for subject, s := range l.latest {
		if name, ok := strings.CutPrefix(subject, "proc."); ok && s.isAlive(l.lease) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// What a member publishes about itself.
const (
	memberAlive = "here"
	memberLeft  = "gone"
)

// assignmentHeader of a heartbeat says how its member assigns partitions. Earlier versions do not send it.
const (
	assignmentHeader = "Landfall-Assignment"
	assignmentStable = "stable" // with assignPartitions
)

// sendHeartbeat publishes that a member is alive or has left.
func (l *leases) sendHeartbeat(ctx context.Context, name, status string) error {
	w := eventlog.Write{Subject: "proc." + name, Header: map[string]string{assignmentHeader: assignmentStable}, Data: []byte(status)}
	seq, err := l.queue.appendMessage(ctx, checkpointsStream, w)
	if err == nil {
		l.recordWrite(w, seq)
	}
	return err
}

var errLeaseLost = errors.New("another process has the partition")

// writeCheckpoint replaces a revision of a checkpoint for its owner and returns the new revision. It returns errLeaseLost if
// another process has written the checkpoint.
func (l *leases) writeCheckpoint(ctx context.Context, owner, subject string, revision uint64, cp checkpoint) (uint64, error) {
	for {
		m := cp.toMessage(subject, revision)
		seq, err := l.queue.appendMessage(ctx, checkpointsStream, m)
		if err == nil {
			l.recordWrite(m, seq)
			return seq, nil
		}
		if !errors.Is(err, eventlog.ErrConflict) {
			return 0, err
		}
		// The stored checkpoint may be an earlier write of this process whose answer was lost.
		last, err := l.queue.store.Last(ctx, checkpointsStream, subject)
		if errors.Is(err, eventlog.ErrNotFound) || err == nil && last.Sequence <= revision {
			// The conflicting write was proposed to the cluster, but the server that answered has not applied it yet.
			if err := pause.For(ctx, 20*time.Millisecond); err != nil {
				return 0, err
			}
			continue
		}
		if err != nil {
			return 0, err
		}
		l.recordMessage(last)
		if owner == "" || ownerOf(last.Data) != owner {
			return 0, errLeaseLost
		}
		revision = last.Sequence
	}
}
