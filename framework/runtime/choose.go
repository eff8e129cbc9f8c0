package runtime

import (
	"maps"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fql"
)

// chooser is an index of subscriptions by what their queries ask of an event, such as its name or its audience. Of fifty that
// are each for another audience, an event then costs one look-up and the matching of one query.
type chooser struct {
	all    []*Subscription
	always []int // those that cannot be looked up
	fields []keyed
}

// keyed is subscriptions by the text of a field.
type keyed struct {
	path event.Path
	by   map[string][]int
}

// minIndexed is from how many subscriptions an index is worth it.
const minIndexed = 4

// newChooser looks each subscription up by that of its query's keys that tells the most of them apart.
func newChooser(subscriptions []*Subscription) *chooser {
	c := &chooser{all: subscriptions}
	values := map[string]map[string]bool{} // of each field, by its name
	for _, s := range subscriptions {
		for _, k := range s.query.IndexKeys() {
			name := fieldName(k.Path)
			if values[name] == nil {
				values[name] = map[string]bool{}
			}
			for _, v := range k.Values {
				values[name][v] = true
			}
		}
	}
	at := map[string]int{} // in fields
	for i, s := range subscriptions {
		keys := s.query.IndexKeys()
		if len(keys) == 0 || len(subscriptions) < minIndexed {
			c.always = append(c.always, i)
			continue
		}
		best := slices.MaxFunc(keys, func(a, b fql.IndexKey) int { return len(values[fieldName(a.Path)]) - len(values[fieldName(b.Path)]) })
		name := fieldName(best.Path)
		if _, ok := at[name]; !ok {
			at[name] = len(c.fields)
			c.fields = append(c.fields, keyed{best.Path, map[string][]int{}})
		}
		by := c.fields[at[name]].by
		for v := range maps.Keys(setOf(best.Values)) {
			by[v] = append(by[v], i)
		}
	}
	return c
}

func setOf(values []string) map[string]bool {
	set := map[string]bool{}
	for _, v := range values {
		set[v] = true
	}
	return set
}

func fieldName(p event.Path) string { return strings.Join(p.Keys(), "\x00") }

// choose gives the places of the subscriptions that may take an event, each once, in no order. Those that it does not give do not
// match.
func (c *chooser) choose(e event.Value, yield func(at int)) {
	for _, at := range c.always {
		yield(at)
	}
	if e.Kind() != event.Object {
		return
	}
	for i := range c.fields {
		if v := c.fields[i].path.Read(e); v.IsString() {
			for _, at := range c.fields[i].by[v.Str()] {
				yield(at)
			}
		}
	}
}

// Choose appends the subscriptions that an event is offered to and that may choose it, in their order. The others do not: Prepare
// would say so.
func (p *Plan) Choose(e event.Event, chosen []*Subscription) []*Subscription {
	if p.deletes(e) {
		return append(chosen, p.deletion...)
	}
	var buffer [64]int
	places := buffer[:0]
	p.chooser.choose(e.Value(), func(at int) { places = append(places, at) })
	slices.Sort(places)
	for _, at := range places {
		chosen = append(chosen, p.subscriptions[at])
	}
	return chosen
}
