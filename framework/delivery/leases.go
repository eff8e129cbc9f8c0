package delivery

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// leases is what this process knows about the checkpoints and the members, the processes on the queue. It compares no clocks: a
// lease has expired if this process has not seen its checkpoint change for the length of a lease.
type leases struct {
	queue  *Queue
	mu     sync.Mutex
	latest map[string]latestMessage // by subject
	ready  chan struct{}            // closed when all existing messages have been read
	once   sync.Once                // guards closing ready
}

// latestMessage is the newest message of a subject.
type latestMessage struct {
	revision  uint64
	data      []byte
	changedAt time.Time // when this process received it
}

func newLeases(q *Queue) *leases {
	return &leases{queue: q, latest: map[string]latestMessage{}, ready: make(chan struct{})}
}

// watchStream follows the stream of checkpoints until ctx ends.
func (l *leases) watchStream(ctx context.Context) {
	for ctx.Err() == nil {
		if err := l.followStream(ctx); err != nil && ctx.Err() == nil {
			l.queue.config.Log.Debug("reading the checkpoints", "error", err)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
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
		l.recordMessage(m.Subject, m.Sequence, m.Data)
	}
}

func (l *leases) markReady() { l.once.Do(func() { close(l.ready) }) }

func (l *leases) recordMessage(subject string, revision uint64, data []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := l.latest[subject]; revision > known.revision {
		l.latest[subject] = latestMessage{revision, slices.Clone(data), time.Now()}
	}
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

// ownedCheckpoints returns the checkpoints with an owner, by subject.
func (l *leases) ownedCheckpoints() map[string]checkpoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	checkpoints := map[string]checkpoint{}
	for subject, s := range l.latest {
		if strings.HasPrefix(subject, "book.") {
			if cp := parseCheckpoint(s.data); cp.Owner != "" {
				checkpoints[subject] = cp
			}
		}
	}
	return checkpoints
}

// aliveMembers returns the members with a heartbeat within the length of a lease, sorted.
func (l *leases) aliveMembers(lease time.Duration) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for subject, s := range l.latest {
		if name, ok := strings.CutPrefix(subject, "proc."); ok && time.Since(s.changedAt) < lease && string(s.data) == memberAlive {
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

// sendHeartbeat publishes that a member is alive or has left.
func (l *leases) sendHeartbeat(ctx context.Context, name, status string) error {
	subject := "proc." + name
	seq, err := l.queue.appendMessage(ctx, checkpointsStream, eventlog.Write{Subject: subject, Data: []byte(status)})
	if err == nil {
		l.recordMessage(subject, seq, []byte(status))
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
			l.recordMessage(subject, seq, m.Data)
			return seq, nil
		}
		if !errors.Is(err, eventlog.ErrConflict) {
			return 0, err
		}
		// The stored checkpoint may be an earlier write of this process whose answer was lost.
		last, err := l.queue.store.Last(ctx, checkpointsStream, subject)
		if errors.Is(err, eventlog.ErrNotFound) || err == nil && last.Sequence <= revision {
			// The conflicting write was proposed to the cluster, but the server that answered has not applied it yet.
			if err := eventlog.SleepContext(ctx, 20*time.Millisecond); err != nil {
				return 0, err
			}
			continue
		}
		if err != nil {
			return 0, err
		}
		l.recordMessage(subject, last.Sequence, last.Data)
		if owner == "" || parseCheckpoint(last.Data).Owner != owner {
			return 0, errLeaseLost
		}
		revision = last.Sequence
	}
}
