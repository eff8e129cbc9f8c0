package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/pause"
)

// An event has at most one dead letter, stored under the event's position in the log. If a replayed event fails again, the new one is
// merged with the stored one: see inheritFrom.

// originsHeader holds the positions of the events that a message replays.
const originsHeader = "Landfall-Origins"

// position is the place of an event in the log. The zero position is none.
type position struct {
	seq   uint64
	index int
}

func (p position) String() string { return fmt.Sprintf("%d-%d", p.seq, p.index) }

// origins encodes the positions of replayed events as runs within a page: "1042:0-57 1043:3-3".
type origins struct {
	runs []originRun
}

type originRun struct {
	seq         uint64
	first, last int
}

func (o *origins) addPosition(p position) {
	if n := len(o.runs); n > 0 && o.runs[n-1].seq == p.seq && o.runs[n-1].last+1 == p.index {
		o.runs[n-1].last++
		return
	}
	o.runs = append(o.runs, originRun{p.seq, p.index, p.index})
}

func (o *origins) String() string {
	parts := make([]string, len(o.runs))
	for i, r := range o.runs {
		parts[i] = fmt.Sprintf("%d:%d-%d", r.seq, r.first, r.last)
	}
	return strings.Join(parts, " ")
}

// parseOrigins parses the positions of n events. It returns nil if the text does not hold n positions, as in messages of earlier
// versions.
func parseOrigins(text string, n int) []position {
	list := make([]position, 0, n)
	for _, run := range strings.Fields(text) {
		page, rest, _ := strings.Cut(run, ":")
		from, to, _ := strings.Cut(rest, "-")
		seq, err := strconv.ParseUint(page, 10, 64)
		first, err2 := strconv.Atoi(from)
		last, err3 := strconv.Atoi(to)
		if errors.Join(err, err2, err3) != nil || first < 0 || last-first >= n-len(list) {
			return nil
		}
		for i := first; i <= last; i++ {
			list = append(list, position{seq, i})
		}
	}
	if len(list) != n {
		return nil
	}
	return list
}

// maxReplays is the number of replays that a dead letter remembers.
const maxReplays = 16

// replayMark identifies the task's replay among the replays of the same event. It is "" for tasks that are no replay from the
// log.
func (t *task) replayMark() string {
	if t.origin.seq == 0 {
		return ""
	}
	return position{t.page.seq, t.eventIndex}.String()
}

// ownVerdictCount returns 1 if the task's verdict replaces that of its dead letter, and 0 if both are counted.
func (t *task) ownVerdictCount() int {
	if t.page.holdsLetters {
		return 1
	}
	return 0
}

// adoptStoredLocked makes a stored dead letter that of the task. If this same replay wrote it before a restart, it already counts the replay's
// verdict and the checkpoint does not. The worker's mutex is held.
func (t *task) adoptStoredLocked(stored *DeadLetter) {
	t.letterLoaded = true
	if stored == nil {
		return
	}
	if t.taskOf != stored.storedSubject {
		t.partition.letters.endTask(t.taskOf)
		t.taskOf = ""
	}
	t.letter = stored
	if slices.Contains(stored.Replays, t.replayMark()) {
		stored.verdictCount--
	}
}

// inheritFrom adds the attempts and verdicts of the task's stored dead letter to a new one that replaces it. If the new one only
// waits behind another event, the stored reason stays.
func (l *DeadLetter) inheritFrom(t *task) {
	stored := t.letter
	mark := t.replayMark()
	if stored != nil {
		l.Attempts += stored.Attempts
		l.First = cmp.Or(stored.First, l.First)
		l.Replays = slices.Clone(stored.Replays)
		l.Verdicts = stored.verdictCount + 1 - t.ownVerdictCount()
		if l.Parked && stored.Parked && (l.Cause == fault.CauseBehindParked || l.Cause == fault.CauseBehindSpilled) {
			l.Cause, l.Reason, l.Code, l.Status, l.Request, l.At = stored.Cause, stored.Reason, stored.Code, stored.Status, stored.Request, stored.At
		}
	}
	if mark != "" && !slices.Contains(l.Replays, mark) {
		l.Replays = append(l.Replays, mark)
	}
	l.Replays = l.Replays[max(0, len(l.Replays)-maxReplays):]
}

// withStoredLetterLocked loads the stored dead letter of the task's event and calls f with the worker's mutex held. No other one of the
// partition is loaded until the task calls releaseStoredLetterLocked.
func (w *worker) withStoredLetterLocked(t *task, f func()) {
	p := t.partition
	p.pendingWrites++
	subjects := t.letterSubjects()
	p.letters.beginLoad(subjects)
	w.goroutines.Go(func() {
		p.mergeMu.Lock()
		defer p.mergeMu.Unlock()
		stored, err := w.loadStoredLetter(t)
		for err != nil && w.ctx.Err() == nil && p.ctx.Err() == nil {
			w.runner.log.Warn("reading the letter of an event", "instance", w.id, "error", err)
			_ = pause.For(p.ctx, time.Second)
			stored, err = w.loadStoredLetter(t)
		}
		ended := make(chan struct{})
		w.mu.Lock()
		p.pendingWrites--
		w.changed.Broadcast()
		t.unlockLetter = func() {
			p.letters.endLoad(subjects)
			close(ended)
		}
		if err != nil || p.abandoned { // it is read again
			t.releaseStoredLetterLocked()
			w.mu.Unlock()
			return
		}
		t.adoptStoredLocked(stored)
		f()
		w.mu.Unlock()
		<-ended
	})
}

// releaseStoredLetterLocked lets the next stored dead letter be loaded. It does nothing if the task holds none.
// The worker's mutex is held.
func (t *task) releaseStoredLetterLocked() {
	if t.unlockLetter != nil {
		t.unlockLetter()
		t.unlockLetter = nil
	}
}

// letterOfKind returns a dead letter with the subject of the task's event and a kind: "" if it is dead, otherwise that of its key.
func (t *task) letterOfKind(kind string) *DeadLetter {
	at := t.eventPosition()
	return &DeadLetter{
		Instance: t.partition.worker.id, Subscription: t.item.Subscription.Name(), Key: t.key, Seq: at.seq, Index: at.index, Parked: kind != "",
		partition: t.partition.number,
	}
}

var letterKinds = []string{"", kindHeld, kindEvicted}

// letterSubjects returns the subjects that the stored dead letter of the task's event may have.
func (t *task) letterSubjects() (list []string) {
	for _, kind := range letterKinds {
		list = append(list, t.letterOfKind(kind).subjectFor(kind))
	}
	return list
}

// loadStoredLetter returns the newest stored dead letter of the task's event, or nil.
func (w *worker) loadStoredLetter(t *task) (newest *DeadLetter, err error) {
	for _, kind := range letterKinds {
		l := t.letterOfKind(kind)
		ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
		m, err := w.runner.queue.store.Last(ctx, l.streamName(), l.subjectFor(kind))
		cancel()
		if errors.Is(err, eventlog.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		stored, err := parseDeadLetter(m)
		if err != nil {
			return nil, err
		}
		if newest == nil || newest.At.Before(stored.At) {
			newest = stored
		}
	}
	return newest, nil
}
