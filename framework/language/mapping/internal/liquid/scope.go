package liquid

import (
	"fmt"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
)

// scope is the state of one rendering: its output, its variables and the resources it has used.
type scope struct {
	template string
	event    event.Value
	out      *strings.Builder // of the template, or of the innermost capture
	assigned map[string]event.Value
	counters map[string]event.Value
	cycles   map[string]int
	work     int
	deadline time.Time
}

func newScope(template string, v event.Value) *scope {
	return &scope{template: template, event: v, out: &strings.Builder{}, deadline: time.Now().Add(MaxTime)}
}

// lookup returns a variable: an assigned one, otherwise a counter, otherwise a member of the event.
func (s *scope) lookup(name string) event.Value {
	if v, ok := s.assigned[name]; ok {
		return v
	}
	if v, ok := s.counters[name]; ok {
		return v
	}
	return s.event.Get(name)
}

func (s *scope) assign(name string, v event.Value) {
	if s.assigned == nil {
		s.assigned = map[string]event.Value{}
	}
	s.assigned[name] = v
}

// addToCounter adds step to a counter and returns its previous value. A new counter starts at the event's member of that name.
func (s *scope) addToCounter(name string, step float64) float64 {
	v, ok := s.counters[name]
	if !ok {
		v = s.event.Get(name)
	}
	n := v.Float()
	if s.counters == nil {
		s.counters = map[string]event.Value{}
	}
	s.counters[name] = numberValue(n + step)
	return n
}

// nextInCycle returns the position of a cycle of n values and moves it on.
func (s *scope) nextInCycle(key string, n int) int {
	if s.cycles == nil {
		s.cycles = map[string]int{}
	}
	at := s.cycles[key]
	s.cycles[key] = (at + 1) % n
	return at
}

var (
	errTooLong = fmt.Errorf("produces more than %d MB of text", MaxText>>20)
	errTooMany = fmt.Errorf("produces a list of more than %d items", MaxItems)
	errTooMuch = fmt.Errorf("produces more than %d MB of intermediate values", MaxWork>>20)
	errTooSlow = fmt.Errorf("takes longer than %v", MaxTime)
	errTooBig  = fmt.Errorf("does not accept more than %d MB", MaxText>>20)
)

// itemSize is the approximate memory overhead of a list item in bytes.
const itemSize = 64

// countWork adds the size of a filter's input or output to the work of the rendering.
func (s *scope) countWork(v event.Value) error {
	s.work += v.Size()
	if v.Kind() == event.Array {
		s.work += itemSize * v.Len()
	}
	if s.work > MaxWork {
		return errTooMuch
	}
	return s.checkTime()
}

// countInput checks the size of a filter's input and counts it.
func (s *scope) countInput(v event.Value) error {
	if isTooLong(v) {
		return errTooBig
	}
	return s.countWork(v)
}

// isTooLong reports whether a value exceeds MaxText. The quotes of a text do not count.
func isTooLong(v event.Value) bool { return v.Size() > MaxText+2 }

func (s *scope) checkTime() error {
	if time.Now().After(s.deadline) {
		return errTooSlow
	}
	return nil
}

// write appends to the output. It returns an error if the output exceeds MaxText or the rendering exceeds MaxTime.
func (s *scope) write(text string) error {
	if s.out.Len()+len(text) > MaxText {
		return errTooLong
	}
	s.out.WriteString(text)
	return s.checkTime()
}

// writeValue evaluates a node and appends its value as it is printed.
func (s *scope) writeValue(n node) error {
	v, err := n.eval(s)
	if err != nil {
		return err
	}
	if v.Size() > MaxText {
		return errTooLong
	}
	return s.write(printText(v))
}

// capture returns what a content writes.
func (s *scope) capture(c *content) (string, error) {
	outer := s.out
	defer func() { s.out = outer }()
	s.out = &strings.Builder{}
	err := c.render(s)
	return s.out.String(), err
}
