package delivery

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// maxSingle is the largest number of messages that are written one by one if they need not be atomic. The embedded server waits for the disk once
// for each of them. For an atomic batch it waits about fifteen times, and writes the messages twice.
const maxSingle = 32

// Limits of lookInLog.
const (
	lookTimeout = 2 * time.Second
	lookBack    = time.Second // how much earlier than the write the log's time of it may be
)

// writesSingly reports whether n messages that need not be atomic are written one by one.
func (q *Queue) writesSingly(n int) bool { return n <= 1 || q.hasDisk() && n <= maxSingle }

// unfinishedTransfer is a transfer that the log may have only in part. It is completed, with the same messages, before another one begins.
type unfinishedTransfer struct {
	last    string            // id of its last group; "" if there is none
	first   uint64            // its first message in the log; 0 if none is known
	newest  *eventlog.Message // its last message in the log; nil if none is known, and during the transfer
	doubted time.Time         // since when answers to its writes were lost, so that the log may have further messages; zero if none was
}

// noteEarlier notes a message of the log, if it belongs to the transfer. The messages are noted from the newest on.
func (u *unfinishedTransfer) noteEarlier(m *eventlog.Message) {
	last := m.Header[partHeader]
	if last == "" || u.last != "" && last != u.last {
		return
	}
	if u.last == "" {
		u.last, u.newest = last, m
	}
	u.first = m.Sequence
}

// groupsIn returns how many of the waiting groups belong to the transfer.
func (u *unfinishedTransfer) groupsIn(waiting []journalGroup) int {
	return 1 + slices.IndexFunc(waiting, func(g journalGroup) bool { return u.last != "" && g.id == u.last })
}

// written returns how many of the messages of a transfer are in the log. If they are packed differently now, it is none: then the events in the log
// are skipped as duplicates.
func (u *unfinishedTransfer) written(last string, messages []eventlog.Write) int {
	if last != u.last || u.newest == nil {
		return 0
	}
	return 1 + slices.IndexFunc(messages, func(w eventlog.Write) bool {
		return w.Subject == u.newest.Subject && bytes.Equal(w.Data, u.newest.Data)
	})
}

// noteFailure notes that a write which began at a time has failed. written are the messages of the transfer before it, and newest is the last of them
// in the log.
func (u *unfinishedTransfer) noteFailure(err error, began time.Time, written []eventlog.Write, newest uint64) {
	u.newest = nil
	if n := len(written); n > 0 {
		u.newest = &eventlog.Message{Subject: written[n-1].Subject, Data: bytes.Clone(written[n-1].Data), Sequence: newest}
	}
	if u.doubted.IsZero() && !errors.Is(err, ErrFull) {
		u.doubted = began
	}
}

// writeTransfer writes the messages of a transfer, step of them together. last is the id of its last group.
func (j *journal) writeTransfer(last string, messages []eventlog.Write, step int) error {
	n := len(messages)
	addHeader(&messages[n-1], journalHeader, last)
	u, whole, err := j.resumed(last, messages)
	if whole {
		j.setUnfinished(unfinishedTransfer{})
	}
	if whole || err != nil {
		return err
	}
	newest := uint64(0) // the last message in the log
	done := u.written(last, messages)
	if done > 0 {
		newest = u.newest.Sequence
	} else {
		u.first = 0
	}
	for done < n {
		part := messages[done:min(done+step, n)]
		if done+step < n {
			addHeader(&part[step-1], partHeader, last)
		}
		began := time.Now()
		seq, whole, err := j.writePart(last, part, newest)
		switch {
		case err != nil:
			u.noteFailure(err, began, messages[:done], newest)
			j.setUnfinished(u)
			return err
		case whole:
			done = n
		case u.first == 0:
			u.first = seq - uint64(len(part)-1)
			j.setUnfinished(u)
		}
		newest = seq
		done += step
	}
	j.setUnfinished(unfinishedTransfer{})
	return nil
}

// resumed returns what the log has of a transfer, and whether that is the whole transfer. It reads the log if answers to writes were lost.
func (j *journal) resumed(last string, messages []eventlog.Write) (u unfinishedTransfer, whole bool, err error) {
	u = j.unfinished
	if u.last != last {
		return unfinishedTransfer{last: last}, false, nil
	}
	if u.doubted.IsZero() {
		return u, false, nil
	}
	known, begun, err := j.lookInLog(u.doubted)
	if err == nil && begun.written(last, messages) > 0 {
		begun.doubted = u.doubted
		u = begun
	}
	return u, err == nil && known == last, err
}

// writePart writes messages of a transfer and returns the sequence of the last one, and whether the whole transfer is in the log. newest is the last
// message that the log had of it before. If the answer is lost, writePart looks for the messages in the log.
func (j *journal) writePart(last string, messages []eventlog.Write, newest uint64) (seq uint64, whole bool, err error) {
	began := time.Now()
	_, isPart := messages[len(messages)-1].Header[partHeader]
	ctx, cancel := context.WithTimeout(context.Background(), transferTimeout)
	defer cancel()
	seq, err = j.queue.writeEvents(ctx, messages)
	if err == nil || errors.Is(err, ErrFull) {
		return seq, !isPart, err
	}
	known, begun, failed := j.lookInLog(began)
	switch {
	case failed != nil:
	case known == last:
		return 0, true, nil
	case isPart && begun.written(last, messages) > 0 && begun.newest.Sequence > newest:
		return begun.newest.Sequence, false, nil
	}
	return 0, false, err
}

// lookInLog is lastInLog for a write that began at since and was not answered. It has a timeout of its own, as the write may have used up the
// caller's, and reads nothing from before the write: that may be many messages.
func (j *journal) lookInLog(since time.Time) (id string, begun unfinishedTransfer, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	return j.lastInLog(ctx, since.Add(-lookBack))
}

func addHeader(w *eventlog.Write, name, value string) {
	if w.Header == nil {
		w.Header = map[string]string{}
	}
	w.Header[name] = value
}

func (j *journal) setUnfinished(u unfinishedTransfer) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.unfinished = u
}

// firstUnfinished returns the first message of an unfinished transfer in the log, or 0. It must not be deleted: after a crash, the log has to say
// what is left to do.
func (j *journal) firstUnfinished() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.unfinished.first
}
