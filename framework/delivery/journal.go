package delivery

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/compressed"
	"github.com/landfall-dev/landfall/internal/pause"
)

// Limits of the journal.
const (
	maxJournaled     = 16 << 20              // bytes of groups that wait to be transferred; beyond it, writes wait
	hurriedBytes     = 4 << 20               // bytes of groups that are transferred at once; a group of that size is not journaled
	transferBytes    = 8 << 20               // bytes of the groups of a transfer
	transferInterval = 50 * time.Millisecond // between the starts of transfers
	transferRetry    = 100 * time.Millisecond
	transferTimeout  = 10 * time.Second // of each write of a transfer
	journalIdle      = time.Second      // after which an empty journal is purged
)

// journal makes groups of events durable before they are in the log: each group is one message of the journal's stream, and is transferred to
// the log in the background, together with others.
//
// A group has events of several partitions, so in the log it is several messages. The embedded server writes several messages as an atomic
// batch, for which it creates a directory with files and deletes it again: about fifteen operations that wait for the disk, where one message
// takes one. A queue on a cluster has no journal.
type journal struct {
	queue *Queue
	wake  chan struct{} // has a value if there is something to transfer, or closed is set
	hurry chan struct{} // has a value if the next transfer must not wait
	done  chan struct{}

	process   string // random, for the ids of the groups that this process writes; used by the publisher only, as the next three
	groups    int    // that this process has written
	uncertain bool   // the latest write has failed, but its group may be in the journal
	text      []byte // a buffer for the next group
	data      []byte // likewise, compressed

	unpurged int       // bytes that are transferred and not purged; used by transferLoop only, as the next two
	usedAt   time.Time // of the latest transfer
	packed   []byte    // a buffer for the messages of the next transfer

	mu          sync.Mutex // guards the fields below
	waiting     []journalGroup
	bytes       int    // of waiting
	written     uint64 // the latest group that was written
	transferred uint64 // the latest group that is in the log
	failure     error  // of the latest transfer
	unfinished  unfinishedTransfer
	moved       chan struct{}
	closed      bool
}

// journalGroup is a group of the journal that is not in the log yet.
type journalGroup struct {
	id      string
	seq     uint64 // in the journal
	records []record
	bytes   int
	unsure  bool // the journal may have an earlier group whose write has failed, so that after a crash both would be transferred
}

// openJournal returns the queue's journal and begins to transfer what an earlier process has left in it. The caller closes it.
func openJournal(ctx context.Context, q *Queue) (*journal, error) {
	j := &journal{queue: q, wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), done: make(chan struct{}), moved: make(chan struct{}), process: rand.Text()[:10]}
	if err := j.recoverGroups(ctx); err != nil {
		return nil, fmt.Errorf("reading the journal: %w", err)
	}
	notify(j.wake)
	go j.transferLoop()
	return j, nil
}

// notify puts a value into a channel that has a buffer of one.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// write makes a group durable. It waits while too much is waiting to be transferred, and fails while the log is full.
func (j *journal) write(ctx context.Context, records []record) error {
	if err := j.waitForSpace(ctx); err != nil {
		return err
	}
	for len(records) > 0 {
		text, n := encodeGroup(j.text, records, maxGroupText(j.queue.store.MaxMessage()))
		data := compressed.Append(j.data[:0], text)
		j.text, j.data = keptBuffer(text), keptBuffer(data)
		j.groups++
		g := journalGroup{id: fmt.Sprint(j.process, ".", j.groups), records: records[:n], bytes: len(text), unsure: j.uncertain}
		var err error
		g.seq, err = j.queue.appendMessage(ctx, journalStream, eventlog.Write{Subject: compressedSubject, Header: map[string]string{journalHeader: g.id}, Data: data})
		if j.uncertain = err != nil; err != nil {
			return err
		}
		j.add(g)
		records = records[n:]
	}
	return nil
}

// waitForSpace waits until less than maxJournaled waits to be transferred. It fails while the log is full, and if a transfer fails meanwhile.
func (j *journal) waitForSpace(ctx context.Context) error {
	return j.await(ctx, func() bool { return j.bytes < maxJournaled && !errors.Is(j.failure, ErrFull) })
}

// settle waits until everything that was written is in the log. It fails if the log is full or a transfer fails meanwhile.
func (j *journal) settle(ctx context.Context) error {
	j.mu.Lock()
	target := j.written
	j.mu.Unlock()
	return j.await(ctx, func() bool { return j.transferred >= target })
}

// await waits until the journal is in a state, which is checked with its mutex held.
func (j *journal) await(ctx context.Context, reachedLocked func() bool) error {
	for waited := false; ; waited = true {
		j.mu.Lock()
		reached, moved, err := reachedLocked(), j.moved, j.failure
		j.mu.Unlock()
		if reached {
			return nil
		}
		if waited && err != nil || errors.Is(err, ErrFull) {
			return err
		}
		notify(j.hurry)
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// isEmpty reports whether everything that was written is in the log.
func (j *journal) isEmpty() bool { return j.waitingBytes() == 0 }

// waitingBytes returns how many bytes wait to be transferred.
func (j *journal) waitingBytes() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.bytes
}

func (j *journal) add(g journalGroup) {
	j.mu.Lock()
	j.waiting, j.bytes, j.written = append(j.waiting, g), j.bytes+g.bytes, g.seq
	full := j.bytes >= hurriedBytes
	j.mu.Unlock()
	notify(j.wake)
	if full {
		notify(j.hurry)
	}
}

// close transfers what is waiting and stops. If that fails, the next process transfers it.
func (j *journal) close() {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	notify(j.wake)
	notify(j.hurry)
	<-j.done
}

// transferLoop transfers groups until close.
func (j *journal) transferLoop() {
	defer close(j.done)
	for {
		select {
		case <-j.wake:
		case <-time.After(journalIdle):
			j.purgeIfIdle()
			continue
		}
		for {
			groups, closed := j.nextGroups()
			if len(groups) == 0 {
				if closed {
					j.purge(true)
					return
				}
				break
			}
			began := time.Now()
			err := j.transfer(groups)
			j.noteResult(groups, err)
			if err != nil && closed {
				return
			}
			j.pauseAfter(began, err)
		}
	}
}

// pauseAfter waits until the next transfer.
func (j *journal) pauseAfter(began time.Time, err error) {
	if err != nil {
		_ = pause.For(context.Background(), transferRetry)
		return
	}
	j.usedAt = time.Now()
	if j.unpurged >= maxJournaled {
		j.purge(false)
	}
	timer := time.NewTimer(time.Until(began.Add(transferInterval)))
	defer timer.Stop()
	select {
	case <-j.hurry:
	case <-timer.C:
	}
}

// nextGroups returns the groups of the next transfer, which stay waiting: those of an unfinished one.
func (j *journal) nextGroups() (groups []journalGroup, closed bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if n := j.unfinished.groupsIn(j.waiting); n > 0 {
		return j.waiting[:n:n], j.closed
	}
	bytes, n := 0, 0
	for n < len(j.waiting) && (n == 0 || bytes+j.waiting[n].bytes <= transferBytes) {
		bytes += j.waiting[n].bytes
		n++
	}
	return j.waiting[:n:n], j.closed
}

// transfer writes groups to the log. The last message has the id of the last group.
func (j *journal) transfer(groups []journalGroup) error {
	n := 0
	for i := range groups {
		n += len(groups[i].records)
	}
	records := make([]record, 0, n)
	for i := range groups {
		records = append(records, groups[i].records...)
	}
	messages, used := packInto(j.packed, records, j.queue.mixesSources())
	j.packed = keptBuffer(used)
	step := min(len(messages), maxMessages)
	if j.queue.writesSingly(step) && !slices.ContainsFunc(groups, func(g journalGroup) bool { return g.unsure }) {
		step = 1
	}
	return j.writeTransfer(groups[len(groups)-1].id, messages, step)
}

// noteResult removes groups that were transferred.
func (j *journal) noteResult(groups []journalGroup, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failure = err; err == nil {
		j.transferred = groups[len(groups)-1].seq
		if j.waiting = j.waiting[len(groups):]; len(j.waiting) == 0 {
			j.waiting = nil
		}
		for i := range groups {
			j.bytes -= groups[i].bytes
			j.unpurged += groups[i].bytes
		}
	} else {
		j.queue.config.Log.Debug("transferring accepted events to the log: trying again", "error", err)
	}
	close(j.moved)
	j.moved = make(chan struct{})
}

// purgeIfIdle purges the journal and drops the buffer of transfers if nothing was transferred for a while.
func (j *journal) purgeIfIdle() {
	j.packed = nil
	if j.unpurged > 0 && time.Since(j.usedAt) >= journalIdle {
		j.purge(true)
	}
}

// purge deletes the groups that are in the log. While others are being written, the latest group stays, because deleting all messages of a stream
// costs the embedded server more.
func (j *journal) purge(all bool) {
	if j.unpurged == 0 || !j.queue.canDeleteSafely() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), transferTimeout)
	defer cancel()
	if err := j.forgetTransferred(ctx, all); err != nil {
		j.queue.config.Log.Debug("purging the journal: trying again", "error", err)
		return
	}
	j.unpurged = 0
}

// forgetTransferred deletes the groups that are in the log, or all but the latest. It must come before the deletion of events, after which the
// log may no longer say that they were transferred.
func (j *journal) forgetTransferred(ctx context.Context, all bool) error {
	j.mu.Lock()
	before := j.transferred
	j.mu.Unlock()
	if all {
		before++
	}
	return j.queue.store.PurgeBefore(ctx, journalStream, before)
}

// keptBuffer returns the buffer to keep for the next group or transfer: nil if this one is much larger than most need.
func keptBuffer(buffer []byte) []byte {
	if cap(buffer) > 2*transferBytes {
		return nil
	}
	return buffer
}
