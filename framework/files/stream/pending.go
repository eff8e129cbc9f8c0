package stream

import (
	"sync"

	"github.com/landfall-dev/landfall/framework/runtime"
)

// pendingEvents holds the events that have not been reported yet, in input order. addVerdicts can be called concurrently; the other
// methods must be called by one goroutine.
type pendingEvents struct {
	mu       sync.Mutex
	events   []pendingEvent // reported ones at the front are zero
	first    int            // the index of events[0]
	reported int            // how many events at the front have been reported
	bytes    int            // size of the unreported events' lines

	complete []Event // reused by takeComplete
}

// pendingEvent is an event with the verdicts that are known so far.
type pendingEvent struct {
	event Event
	open  int // outstanding verdicts
	bytes int // size of its line
}

// addEvent adds an event and returns its index. The event stays open until markPrepared. full reports that too many events or bytes are
// pending.
func (p *pendingEvents) addEvent(line, bytes int) (index int, full bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	index = p.first + len(p.events)
	p.events = append(p.events, pendingEvent{event: Event{Index: index, Line: line}, open: 1, bytes: bytes})
	p.bytes += bytes
	return index, len(p.events)-p.reported >= MaxWaiting || p.bytes >= maxWaitingBytes
}

// markPrepared records that an event has been prepared for every subscription. verdicts are those that are already known; open is the
// number of items that need one, some of which may have been decided in the meantime.
func (p *pendingEvents) markPrepared(index int, matched bool, verdicts []runtime.Verdict, open int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := &p.events[index-p.first]
	w.event.Matched = matched
	w.addVerdicts(verdicts)
	w.open += open - 1
}

// addVerdicts records the verdicts of items, index by index. It retains the slice.
func (p *pendingEvents) addVerdicts(items []runtime.Item, verdicts []runtime.Verdict) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range items {
		w := &p.events[items[i].Index-p.first]
		w.addVerdicts(verdicts[i : i+1 : i+1])
		w.open--
	}
}

// addVerdicts appends verdicts to the event.
func (w *pendingEvent) addVerdicts(verdicts []runtime.Verdict) {
	if w.event.Verdicts == nil { // most events have only one
		w.event.Verdicts = verdicts
	} else {
		w.event.Verdicts = append(w.event.Verdicts, verdicts...)
	}
}

// takeComplete removes and returns the events at the front that have all their verdicts. The result is valid until the next call.
func (p *pendingEvents) takeComplete() []Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.complete)
	p.complete = p.complete[:0]
	for p.reported < len(p.events) && p.events[p.reported].open == 0 {
		p.complete = append(p.complete, p.events[p.reported].event)
		p.bytes -= p.events[p.reported].bytes
		p.events[p.reported] = pendingEvent{}
		p.reported++
	}
	if p.reported > len(p.events)/2 { // move the remaining events to the front
		n := copy(p.events, p.events[p.reported:])
		clear(p.events[n:])
		p.events = p.events[:n]
		p.first += p.reported
		p.reported = 0
	}
	return p.complete
}
