package stream

import "github.com/landfall-dev/landfall/framework/runtime"

// pendingEvents holds the events that have not been reported yet, in input order. The dispatcher's lock guards it.
type pendingEvents struct {
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

// addEvent adds an event that waits for open verdicts. It reports whether too many events or bytes are pending.
func (p *pendingEvents) addEvent(e Event, open, bytes int) (full bool) {
	p.events = append(p.events, pendingEvent{e, open, bytes})
	p.bytes += bytes
	return len(p.events)-p.reported >= MaxWaiting || p.bytes >= maxWaitingBytes
}

// addVerdict records the verdict of an event, in a slice that it retains.
func (p *pendingEvents) addVerdict(index int, verdict []runtime.Verdict) {
	w := &p.events[index-p.first]
	if w.open--; w.event.Verdicts == nil { // most events have only one
		w.event.Verdicts = verdict
	} else {
		w.event.Verdicts = append(w.event.Verdicts, verdict...)
	}
}

// takeComplete removes and returns the events at the front that have all their verdicts. The result is valid until the next call.
func (p *pendingEvents) takeComplete() []Event {
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
