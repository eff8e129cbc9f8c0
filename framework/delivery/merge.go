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

	"github.com/nats-io/nats.go/jetstream"
)

// An event has one letter at most, under the place at which the log has it. A replayed event that fails again is added to the letter
// that it has: see inherit.

// originsHeader holds the places of the events that a message replays.
const originsHeader = "Landfall-Origins"

// logPlace is the place of an event in the log. The zero logPlace is none.
type logPlace struct {
	seq   uint64
	index int
}

func (p logPlace) String() string { return fmt.Sprintf("%d-%d", p.seq, p.index) }

// origins collects the places of replayed events as runs within a page: "1042:0-57 1043:3-3".
type origins struct {
	runs []originRun
}

type originRun struct {
	seq         uint64
	first, last int
}

func (o *origins) add(p logPlace) {
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

// readOrigins reads the places of n events. It returns nil if the text is not of n places, as in messages of earlier versions.
func readOrigins(text string, n int) []logPlace {
	list := make([]logPlace, 0, n)
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
			list = append(list, logPlace{seq, i})
		}
	}
	if len(list) != n {
		return nil
	}
	return list
}

// maxReplays is how many replays a letter remembers by their places.
const maxReplays = 16

// replayMark tells the task's replay apart from others of the same event. It is "" for what is not replayed from the log.
func (t *task) replayMark() string {
	if t.origin.seq == 0 {
		return ""
	}
	return logPlace{t.page.seq, t.index}.String()
}

// ownVerdict is 1 if the task's verdict is that of its letter, and 0 if it counts beside it.
func (t *task) ownVerdict() int {
	if t.page.letters {
		return 1
	}
	return 0
}

// adopt makes a stored letter the task's. A letter that this very replay has written before a restart already counts its verdict,
// which the checkpoint does not.
func (t *task) adopt(stored *Letter) {
	t.merged = true
	if stored == nil {
		return
	}
	if t.letter != nil && t.letter.from != stored.from {
		delete(t.part.taken, t.letter.from)
	}
	t.letter = stored
	if slices.Contains(stored.Replays, t.replayMark()) {
		stored.stands--
	}
}

// inherit adds what the task's stored letter counts to a new letter that takes its place. If the new one only waits behind another,
// the reason of the stored one stays.
func (l *Letter) inherit(t *task) {
	was := t.letter
	mark := t.replayMark()
	if was != nil {
		l.Attempts += was.Attempts
		l.First = cmp.Or(was.First, l.First)
		l.Replays = slices.Clone(was.Replays)
		l.Verdicts = was.stands + 1 - t.ownVerdict()
		if l.Parked && was.Parked && (l.Reason == behind.Reason || l.Reason == spilled.Reason) {
			l.Reason, l.Code, l.Status, l.Request, l.At = was.Reason, was.Code, was.Status, was.Request, was.At
		}
	}
	if mark != "" && !slices.Contains(l.Replays, mark) {
		l.Replays = append(l.Replays, mark)
	}
	l.Replays = l.Replays[max(0, len(l.Replays)-maxReplays):]
}

// withStored reads the stored letter of the task's event and calls f with the worker's mutex held. No other letter of the partition
// is read that way until the task calls unlockStored.
func (w *worker) withStored(t *task, f func()) {
	p := t.part
	p.aside++
	w.background.Go(func() {
		p.merging.Lock()
		defer p.merging.Unlock()
		stored, err := w.storedLetter(t)
		for err != nil && w.ctx.Err() == nil && p.ctx.Err() == nil {
			w.runner.log.Warn("reading the letter of an event", "instance", w.id, "error", err)
			p.sleep(time.Second)
			stored, err = w.storedLetter(t)
		}
		ended := make(chan struct{})
		w.mu.Lock()
		p.aside--
		w.idle.Broadcast()
		if err != nil || p.lost { // it is read again
			w.mu.Unlock()
			return
		}
		t.adopt(stored)
		t.unlock = func() { close(ended) }
		f()
		w.mu.Unlock()
		<-ended
	})
}

// unlockStored ends what withStored began, if it was called.
func (t *task) unlockStored() {
	if t.unlock != nil {
		t.unlock()
		t.unlock = nil
	}
}

// storedLetter returns the newest letter that the task's event has, or nil.
func (w *worker) storedLetter(t *task) (newest *Letter, err error) {
	at := t.place()
	l := Letter{Instance: w.id, Subscription: t.item.Subscription.Name(), Key: t.key, Seq: at.seq, Index: at.index, partition: t.part.n}
	for _, kind := range []string{"", held, roomy} {
		l.Parked = kind != ""
		ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
		raw, err := w.runner.queue.streams[l.stream()].GetLastMsgForSubject(ctx, l.subject(kind))
		cancel()
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		stored, err := parseLetter(raw.Subject, raw.Data, raw.Sequence)
		if err != nil {
			return nil, err
		}
		if newest == nil || newest.At.Before(stored.At) {
			newest = stored
		}
	}
	return newest, nil
}
