package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// Commands to a partition are messages in the log, among its events. They take effect in that order, and are applied again after
// a crash.
const (
	opHeader     = "Landfall-Op"
	onlyHeader   = "Landfall-Only"   // the only subscription that gets the events
	sourceHeader = "Landfall-Source" // the source that sent the events first

	opReplayEvents = "events" // replay the events in the message
	opUnpark       = "unpark" // deliver the parked events of keys and unpark the keys
	opResume       = "resume" // deliver the next portion of evicted or spilled keys
	opDrop         = "drop"   // delete the parked events of keys and unpark the keys
	opReplayDead   = "dead"   // replay dead letters
)

// maxHandedLetters is how many dead letters are mapped before their tasks are started.
const maxHandedLetters = 64

// command is the body of a command; opReplayEvents has a page of events instead.
type command struct {
	Keys        []string `json:"keys,omitempty"`    // key hashes
	DeadLetters []uint64 `json:"letters,omitempty"` // sequences in the DEAD stream
}

// sendCommand appends a command to the log.
func (q *Queue) sendCommand(ctx context.Context, instance string, partition int, op string, cmd command) error {
	body, err := json.Marshal(cmd)
	if err != nil {
		return err
	}
	if err := q.settle(ctx); err != nil { // the command takes effect after the events that were accepted before
		return err
	}
	_, err = q.appendMessage(ctx, eventsStream, eventlog.Write{
		Subject: commandSubject(instance, partition), Data: body, Header: map[string]string{opHeader: op},
	})
	return err
}

// parseCommand reads a command.
func parseCommand(m eventlog.Message) (cmd command, err error) {
	if op := m.Header[opHeader]; !slices.Contains([]string{opUnpark, opResume, opDrop, opReplayDead}, op) {
		return cmd, fmt.Errorf("there is no command %q in this version", op)
	}
	err = json.Unmarshal(m.Data, &cmd)
	return cmd, err
}

// applyCommand applies a command that was read from the log. One that cannot be read is passed over: otherwise, no event after it would be delivered.
func (p *partition) applyCommand(m eventlog.Message) error {
	cmd, err := parseCommand(m)
	if err != nil {
		p.worker.runner.log.Error("a command in the log cannot be read and has no effect: give the landfall dead or resume command again whose effect is missing",
			"instance", p.worker.id, "partition", p.number, "seq", m.Sequence, "error", err)
		p.passPage(m.Sequence)
		return nil
	}
	p.cursor.setBlocked() // the other instances need not wait for its dead letters
	p.setApplyingCommand(true)
	defer p.setApplyingCommand(false)
	op, seq := m.Header[opHeader], m.Sequence
	letters, err := p.lettersOf(op, cmd, seq)
	if err != nil {
		return err
	}
	return p.startLetters(letters, seq, op == opResume)
}

func (p *partition) setApplyingCommand(applying bool) {
	p.worker.mu.Lock()
	defer p.worker.mu.Unlock()
	p.applyingCommand = applying
	p.letters.setReading(applying)
}

// lettersOf reads the dead letters of a command that are to be delivered.
func (p *partition) lettersOf(op string, cmd command, seq uint64) ([]*DeadLetter, error) {
	if op == opResume {
		return p.resumePortions(cmd)
	}
	letters, err := p.collectLetters(op, cmd)
	if err != nil || op != opDrop {
		return letters, err
	}
	return p.dropLetters(letters, seq)
}

// startLetters starts the tasks of the dead letters of a command, as the events of one page.
func (p *partition) startLetters(letters []*DeadLetter, seq uint64, resumed bool) error {
	pg := &page{seq: seq, acceptedMillis: time.Now().UnixMilli(), verdictsLeft: make([]uint16, len(letters)), eventsLeft: len(letters), fullyRead: true, holdsLetters: true}
	for i := range pg.verdictsLeft {
		pg.verdictsLeft[i] = 1
	}
	w := p.worker
	w.mu.Lock()
	for _, l := range letters {
		p.letters.beginTask(l.storedSubject)
	}
	p.openPages, p.nextPage = append(p.openPages, pg), seq+1
	p.dropFinishedPagesLocked()
	w.mu.Unlock()
	i := 0
	for part := range slices.Chunk(letters, maxHandedLetters) {
		list := make([]*task, len(part))
		for j, l := range part {
			list[j] = p.newLetterTask(l, pg, i, p.mapping.beginMapping(p.logID, l.Seq, l.Index, true))
			p.mapping.endMapping()
			list[j].resumed = resumed
			i++
		}
		if err := p.startLetterTasks(list); err != nil {
			return err
		}
	}
	return nil
}

// startLetterTasks hands the tasks of dead letters to the dispatcher together, as far as the partition can hold them.
func (p *partition) startLetterTasks(list []*task) error {
	w := p.worker
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range list {
		if err := p.waitForCapacityLocked(); err != nil {
			return err
		}
		w.startTaskLocked(t)
	}
	return nil
}

// collectLetters reads the dead letters of a command in the order of their events, without those in flight. It unparks the command's
// keys; a key is parked again if one of its dead letters fails again.
func (p *partition) collectLetters(op string, cmd command) ([]*DeadLetter, error) {
	w, q := p.worker, p.worker.runner.queue
	w.mu.Lock()
	for p.pendingWrites > 0 && p.ctx.Err() == nil { // dead letters that are being written belong to the command
		w.changed.Wait()
	}
	inFlight := p.letters.withTask()
	p.parked.unpark(cmd.Keys...)
	w.mu.Unlock()
	var letters []*DeadLetter
	var err error
	if op == opReplayDead {
		for _, seq := range cmd.DeadLetters {
			l, err := q.readDeadLetter(p.ctx, seq)
			if err != nil {
				return nil, err
			}
			if l != nil && l.Instance == w.id && l.partition == p.number {
				letters = append(letters, l)
			}
		}
	}
	for _, key := range cmd.Keys {
		subject := parkSubject(w.id, p.number) + "." + key + ".>"
		if err := q.eachDeadLetter(p.ctx, parkStream, subject, func(l *DeadLetter) (bool, error) {
			letters = append(letters, l)
			return true, nil
		}); err != nil {
			return nil, err
		}
	}
	letters = slices.DeleteFunc(letters, func(l *DeadLetter) bool { return inFlight[l.storedSubject] })
	sortByEvent(letters)
	if letters, err = q.dropSuperseded(p.ctx, letters); err != nil {
		return nil, err
	}
	return letters, p.ctx.Err()
}

// dropSuperseded removes the older of two dead letters of the same event from a sorted list and deletes it. There are two if one
// was parked again with another kind and the process crashed before it deleted the old one.
func (q *Queue) dropSuperseded(ctx context.Context, letters []*DeadLetter) ([]*DeadLetter, error) {
	var list []*DeadLetter
	for _, l := range letters {
		if n := len(list); n > 0 && list[n-1].ID == l.ID {
			old := list[n-1]
			if old.storedSeq > l.storedSeq {
				old, l = l, old
			}
			list[n-1] = l
			if err := q.deleteLetter(ctx, old); err != nil {
				return nil, err
			}
			continue
		}
		list = append(list, l)
	}
	return list, nil
}

// readDeadLetter reads a dead letter, nil if it is gone.
func (q *Queue) readDeadLetter(ctx context.Context, seq uint64) (*DeadLetter, error) {
	m, err := q.store.Get(ctx, deadStream, seq)
	if errors.Is(err, eventlog.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseDeadLetter(m)
}

// dropLetters deletes the dead letters of events accepted before the command. It returns the others.
func (p *partition) dropLetters(letters []*DeadLetter, seq uint64) (later []*DeadLetter, err error) {
	w := p.worker
	for _, l := range letters {
		if l.Seq > seq {
			later = append(later, l)
			continue
		}
		if err := w.runner.queue.deleteLetter(p.ctx, l); err != nil {
			return nil, err
		}
		w.mu.Lock()
		if p.letters.settle(l.storedSubject, l.storedSeq) {
			p.counts[countParked] -= int64(l.verdictCount)
			p.counts[countDropped] += int64(l.verdictCount)
			p.countVerdictLocked(countDropped, l.Subscription, l.Cause, l.Reason)
		}
		w.mu.Unlock()
	}
	return later, nil
}

// newLetterTask maps a dead letter's event with the current mapping and returns its task.
func (p *partition) newLetterTask(l *DeadLetter, pg *page, i int, stopped bool) *task {
	t := &task{partition: p, page: pg, eventIndex: i, source: l.Source, key: l.Key, letter: l, taskOf: l.storedSubject, bytes: len(l.Event), erased: isErasedLine(l.Event)}
	e, err := event.Parse(l.Event)
	if err != nil {
		t.refusal = &runtime.Verdict{Cause: fault.CauseInvalidEvent, Reason: err.Error(), Code: fault.CodeInvalidEvent}
	}
	plan := p.worker.instance.Plan
	if s := plan.Subscription(l.Subscription); s != nil && stopped {
		v := stoppedProcess
		t.item, t.refusal = runtime.Item{Subscription: s, Event: e}, &v
		return t
	} else if s != nil && err == nil {
		if f := p.worker.runner.settings.beforeMapping; f != nil {
			f(e)
		}
		t.item, t.refusal = plan.Prepare(s, e, i)
		t.item.Subscription, t.item.Event = s, e
		if cause := p.worker.runner.skipCause(e); cause != "" {
			t.refusal = skippedVerdict(s.Name(), cause)
		}
		return t
	}
	t.item = runtime.Item{Subscription: runtime.RemovedSubscription(l.Subscription), Event: e}
	if t.refusal == nil {
		t.refusal = &runtime.Verdict{Cause: fault.CauseSubscriptionRemoved, Reason: fmt.Sprintf("the subscription %q no longer exists", l.Subscription), Code: fault.CodeInvalidEvent}
	}
	return t
}
