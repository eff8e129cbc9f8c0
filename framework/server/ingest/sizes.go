package ingest

import (
	"github.com/landfall-dev/landfall/framework/event"
)

// eventOverhead is about what an event holds in memory beside its own bytes and those that it gets from its batch.
const eventOverhead = 2 << 10

// sharedParts are the members of a batch that each of its events gets, under its own.
var sharedParts = []string{"context", "integrations"}

// shared knows the size of what a batch says for all of its events, so that the size of an event is known before it is built.
// A small request could otherwise have a large context copied into thousands of events.
type shared struct {
	parts []sharedPart
	total int
}

type sharedPart struct {
	name  string
	value event.Value
	size  int
	sizes map[string]int // of members by key; nil until an event has a part of its own
}

func sharedOf(batch event.Value) *shared {
	s := &shared{}
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

// in returns how many bytes an event gets from its batch. It takes time in proportion to the event, not to the batch.
func (s *shared) in(v event.Value) int {
	n := s.total
	for i := range s.parts {
		p := &s.parts[i]
		own := v.Get(p.name)
		if own.Kind() != event.Object {
			continue
		}
		if p.sizes == nil {
			p.measure()
		}
		for key, value := range own.Members() {
			if size, ok := p.sizes[key]; ok && value.Exists() {
				n -= size
			}
		}
	}
	return n
}

func (p *sharedPart) measure() {
	p.sizes = make(map[string]int, p.value.Len())
	for key, value := range p.value.Members() {
		p.sizes[key] = len(key) + len(value.AppendJSON(nil)) + len(`"":,`)
	}
}
