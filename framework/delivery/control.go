package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// What is asked of a partition stands in the log among the events, so that it has its place in their order, and is done again
// where a crash comes between.
const (
	opHeader     = "Landfall-Op"
	onlyHeader   = "Landfall-Only"   // the one subscription that events are for
	sourceHeader = "Landfall-Source" // where events came from first

	opEvents = "events" // take these events again
	opUnpark = "unpark" // deliver what is parked for keys, and park them no longer
	opResume = "resume" // deliver the next portion of what is parked for keys to make room
	opDrop   = "drop"   // delete what is parked for keys, and park them no longer
	opDead   = "dead"   // take dead letters again
)

// order is the body of a message that is not opEvents.
type order struct {
	Keys    []string `json:"keys,omitempty"`    // short keys
	Letters []uint64 `json:"letters,omitempty"` // sequences in the stream of the dead
}

// ask puts an order into the log.
func (q *Queue) ask(ctx context.Context, instance string, partition int, op string, o order) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	_, err = q.publish(ctx, eventsStream, &nats.Msg{
		Subject: askSubject(instance, partition), Data: body, Header: nats.Header{opHeader: {op}},
	})
	return err
}

// obey does what an order says.
func (p *partition) obey(m jetstream.Msg, seq uint64) error {
	var o order
	if err := json.Unmarshal(m.Data(), &o); err != nil {
		return fmt.Errorf("reading an order: %w", err)
	}
	w := p.worker
	w.mu.Lock()
	p.obeying = true
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		p.obeying = false
		w.mu.Unlock()
	}()
	op := m.Headers().Get(opHeader)
	read := p.collect
	if op == opResume {
		read = func(_ string, o order) ([]*Letter, error) { return p.resume(o) }
	}
	letters, err := read(op, o)
	if err != nil {
		return err
	}
	if op == opDrop {
		if letters, err = p.drop(letters, seq); err != nil {
			return err
		}
	}
	pg := &page{seq: seq, at: time.Now().UnixMilli(), open: make([]uint16, len(letters)), left: len(letters), read: true, letters: true}
	for i := range pg.open {
		pg.open[i] = 1
	}
	w.mu.Lock()
	for _, l := range letters {
		p.taken[l.from] = true
	}
	p.window, p.next = append(p.window, pg), seq+1
	p.slide()
	w.mu.Unlock()
	for i, l := range letters {
		if err := p.wait(); err != nil {
			return err
		}
		t := p.taskOf(l, pg, i, p.mapping.begin(p.logID, l.Seq, l.Index, true))
		p.mapping.end()
		t.resumed = op == opResume
		w.mu.Lock()
		w.begin(t)
		w.mu.Unlock()
	}
	return nil
}

// collect reads the letters that an order is about, in the order of their events, without those that an earlier order has under
// way. Its keys are parked no longer, unless one of those is parked again.
func (p *partition) collect(op string, o order) ([]*Letter, error) {
	w, q := p.worker, p.worker.runner.queue
	w.mu.Lock()
	for p.aside > 0 && p.ctx.Err() == nil { // what is being written belongs to it
		w.idle.Wait()
	}
	taken := maps.Clone(p.taken)
	for _, key := range o.Keys {
		delete(p.parked, key)
		delete(p.spilled, key)
	}
	w.mu.Unlock()
	var letters []*Letter
	var err error
	if op == opDead {
		for _, seq := range o.Letters {
			l, err := q.deadLetter(p.ctx, seq)
			if err != nil {
				return nil, err
			}
			if l != nil && l.Instance == w.id && l.partition == p.n {
				letters = append(letters, l)
			}
		}
	}
	for _, key := range o.Keys {
		subject := parkSubject(w.id, p.n) + "." + key + ".>"
		if err := q.letters(p.ctx, parkStream, subject, func(l *Letter) (bool, error) {
			letters = append(letters, l)
			return true, nil
		}); err != nil {
			return nil, err
		}
	}
	letters = slices.DeleteFunc(letters, func(l *Letter) bool { return taken[l.from] })
	inOrder(letters)
	if letters, err = q.newest(p.ctx, letters); err != nil {
		return nil, err
	}
	return letters, p.ctx.Err()
}

// newest are the letters that are to be taken up, of some in order. Where one was parked again for another reason, and a crash
// came before the old one was deleted, both stand there: the newer one is.
func (q *Queue) newest(ctx context.Context, letters []*Letter) ([]*Letter, error) {
	var list []*Letter
	for _, l := range letters {
		if n := len(list); n > 0 && list[n-1].ID == l.ID {
			old := list[n-1]
			if old.stored > l.stored {
				old, l = l, old
			}
			list[n-1] = l
			if err := q.remove(ctx, old); err != nil {
				return nil, err
			}
			continue
		}
		list = append(list, l)
	}
	return list, nil
}

// deadLetter is one letter, nil where it is gone.
func (q *Queue) deadLetter(ctx context.Context, seq uint64) (*Letter, error) {
	raw, err := q.streams[deadStream].GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseLetter(raw.Subject, raw.Data, raw.Sequence)
}

// drop deletes letters of events that were accepted before the order, and gives the others.
func (p *partition) drop(letters []*Letter, seq uint64) (later []*Letter, err error) {
	w := p.worker
	for _, l := range letters {
		if l.Seq > seq {
			later = append(later, l)
			continue
		}
		if err := w.runner.queue.remove(p.ctx, l); err != nil {
			return nil, err
		}
		w.mu.Lock()
		p.counts[countParked] -= int64(l.stands)
		p.counts[countDropped] += int64(l.stands)
		p.count(countDropped, l.Subscription, l.Reason)
		w.mu.Unlock()
	}
	return later, nil
}

// taskOf takes a letter up again, with the mapping as it is now.
func (p *partition) taskOf(l *Letter, pg *page, i int, stopped bool) *task {
	t := &task{part: p, page: pg, index: i, source: l.Source, key: l.Key, letter: l, bytes: len(l.Event), arrived: time.Now()}
	e, err := event.Parse(l.Event)
	if err != nil {
		t.refused = &runtime.Verdict{Reason: err.Error(), Code: fault.CodeInvalidEvent}
	}
	plan := p.worker.instance.Plan
	if s := plan.Subscription(l.Subscription); s != nil && stopped {
		v := stoppedProcess
		t.item, t.refused = runtime.Item{Subscription: s, Event: e}, &v
		return t
	} else if s != nil && err == nil {
		if f := p.worker.runner.config.mapping; f != nil {
			f(e)
		}
		t.item, t.refused = plan.Prepare(s, e, i)
		t.item.Subscription, t.item.Event = s, e
		return t
	}
	t.item = runtime.Item{Subscription: runtime.Gone(l.Subscription), Event: e}
	if t.refused == nil {
		t.refused = &runtime.Verdict{Reason: fmt.Sprintf("there is no subscription %q any more", l.Subscription), Code: fault.CodeInvalidEvent}
	}
	return t
}
