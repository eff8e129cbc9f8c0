package liquid

import (
	"bytes"
	"fmt"
	"time"

	"github.com/osteele/liquid/render"

	"github.com/landfall-dev/landfall/framework/event"
)

// scope is what one rendering knows and has used up.
type scope struct {
	event    event.Value
	assigned map[string]event.Value
	counters map[string]event.Value
	cycles   map[string]int
	work     int
	deadline time.Time
}

// scopeKey is the one binding that the library keeps for a rendering: its scope.
const scopeKey = ""

func newScope(v event.Value) *scope {
	return &scope{event: v, deadline: time.Now().Add(MaxTime)}
}

func scopeOf(ctx render.Context) *scope { return ctx.Get(scopeKey).(*scope) }

// lookup is a variable: one that was assigned, else a counter, else a key of the event.
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

// count gives the number that a counter stands at, which the event may set, and moves it on.
func (s *scope) count(name string, step float64) float64 {
	v, ok := s.counters[name]
	if !ok {
		v = s.event.Get(name)
	}
	n := v.Float()
	if s.counters == nil {
		s.counters = map[string]event.Value{}
	}
	s.counters[name] = numeric(n + step)
	return n
}

var (
	errTooLong = fmt.Errorf("makes more than %d MB of text", MaxText>>20)
	errTooMany = fmt.Errorf("makes a list of more than %d items", MaxItems)
	errTooMuch = fmt.Errorf("makes more than %d MB on the way", MaxWork>>20)
	errTooSlow = fmt.Errorf("takes longer than %v", MaxTime)
	errTooBig  = fmt.Errorf("takes more than %d MB", MaxText>>20)
)

// itemSize is about what an item of a list takes in memory beside its text.
const itemSize = 64

// use counts a value that a filter takes or makes.
func (s *scope) use(v event.Value) error {
	s.work += v.Size()
	if v.Kind() == event.Array {
		s.work += itemSize * v.Len()
	}
	if s.work > MaxWork {
		return errTooMuch
	}
	return s.inTime()
}

// takes counts what goes into a filter.
func (s *scope) takes(v event.Value) error {
	if tooLong(v) {
		return errTooBig
	}
	return s.use(v)
}

// tooLong tells whether a value is beyond MaxText, the quotes of a text not counted.
func tooLong(v event.Value) bool { return v.Size() > MaxText+2 }

func (s *scope) inTime() error {
	if time.Now().After(s.deadline) {
		return errTooSlow
	}
	return nil
}

// output is where a template, or a part of one, writes.
type output struct {
	scope *scope
	text  bytes.Buffer
}

// Write refuses what is beyond the bounds of a text or of the time.
func (o *output) Write(p []byte) (int, error) {
	if o.text.Len()+len(p) > MaxText {
		return 0, errTooLong
	}
	if err := o.scope.inTime(); err != nil {
		return 0, err
	}
	return o.text.Write(p)
}
