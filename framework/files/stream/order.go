package stream

import (
	"sync"

	"github.com/landfall-dev/landfall/framework/runtime"
)

// order holds the events that have not been told of, as they came. Verdicts may be put down by many goroutines; the rest is called
// by one.
type order struct {
	mu      sync.Mutex
	waiting []waiting // those told of at the front are cleared
	first   int       // the index of waiting[0]
	told    int       // how many at the front have been told of
	bytes   int       // of those that wait

	done []Event // room for what complete gives
}

// waiting is an event some of whose verdicts may be open.
type waiting struct {
	event Event
	open  int
	bytes int // of its line
}

// begin takes the event of a line of some bytes, and gives its index. It is open until it has been offered to every subscription.
// full tells that too much waits.
func (o *order) begin(line, bytes int) (index int, full bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	index = o.first + len(o.waiting)
	o.waiting = append(o.waiting, waiting{event: Event{Index: index, Line: line}, open: 1, bytes: bytes})
	o.bytes += bytes
	return index, len(o.waiting)-o.told >= MaxWaiting || o.bytes >= maxWaitingBytes
}

// offered says that an event has been offered to every subscription: these verdicts there are, and so many are open, some of which
// may have come meanwhile.
func (o *order) offered(index int, matched bool, verdicts []runtime.Verdict, open int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w := &o.waiting[index-o.first]
	w.event.Matched = matched
	w.add(verdicts)
	w.open += open - 1
}

// decide puts down the verdicts of items, index by index. It keeps them.
func (o *order) decide(items []runtime.Item, verdicts []runtime.Verdict) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range items {
		w := &o.waiting[items[i].Index-o.first]
		w.add(verdicts[i : i+1 : i+1])
		w.open--
	}
}

func (w *waiting) add(verdicts []runtime.Verdict) {
	if w.event.Verdicts == nil { // most events have but one
		w.event.Verdicts = verdicts
	} else {
		w.event.Verdicts = append(w.event.Verdicts, verdicts...)
	}
}

// complete takes the events at the front whose verdicts are complete. They are good until it is called again.
func (o *order) complete() []Event {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.done)
	o.done = o.done[:0]
	for o.told < len(o.waiting) && o.waiting[o.told].open == 0 {
		o.done = append(o.done, o.waiting[o.told].event)
		o.bytes -= o.waiting[o.told].bytes
		o.waiting[o.told] = waiting{}
		o.told++
	}
	if o.told > len(o.waiting)/2 { // what waits moves to the front
		n := copy(o.waiting, o.waiting[o.told:])
		clear(o.waiting[n:])
		o.waiting = o.waiting[:n]
		o.first += o.told
		o.told = 0
	}
	return o.done
}
