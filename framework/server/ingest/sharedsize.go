package ingest

import (
	"github.com/landfall-dev/landfall/framework/event"
)

// eventOverhead is the approximate memory of an event in bytes, in addition to its own text and the shared members of its batch.
const eventOverhead = 2 << 10

// sharedParts are the members of a batch that are merged into each of its events. The event's own members win.
var sharedParts = []string{"context", "integrations"}

// sharedSizes computes how much the shared members of a batch add to an event, before the event is built. Otherwise a small request
// could have a large context copied into thousands of events.
type sharedSizes struct {
	parts []sharedPart
	total int
}

// sharedPart is one shared member of a batch.
type sharedPart struct {
	name  string
	value event.Value
	size  int
	sizes map[string]int // sizes of its members by key; nil until needed
}

// newSharedSizes measures the shared members of a batch.
func newSharedSizes(batch event.Value) *sharedSizes {
	s := &sharedSizes{}
	for _, name := range sharedParts {
		v := batch.Get(name)
		if v.Kind() != event.Object {
			continue
		}
		size := len(v.AppendJSON(nil))
		s.parts = append(s.parts, sharedPart{name: name, value: v, size: size})
		s.total += size
	}
	return s
}

// bytesFor returns the number of bytes that the batch adds to an event. Its running time depends on the event's size, not on the
// batch's.
func (s *sharedSizes) bytesFor(v event.Value) int {
	n := s.total
	for i := range s.parts {
		p := &s.parts[i]
		own := v.Get(p.name)
		if own.Kind() != event.Object {
			continue
		}
		if p.sizes == nil {
			p.measureMembers()
		}
		for key, value := range own.Members() {
			if size, ok := p.sizes[key]; ok && value.Exists() {
				n -= size
			}
		}
	}
	return n
}

// measureMembers fills in sizes.
func (p *sharedPart) measureMembers() {
	p.sizes = make(map[string]int, p.value.Len())
	for key, value := range p.value.Members() {
		p.sizes[key] = len(key) + len(value.AppendJSON(nil)) + len(`"":,`)
	}
}
