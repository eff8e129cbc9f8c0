package runtime

import (
	"maps"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fql"
)

// chooser is an index of subscriptions by values that their queries require, such as the event's name or audience. If each of fifty
// subscriptions is for another audience, an event costs one lookup and one match.
type chooser struct {
	all      []*Subscription
	always   []int // subscriptions that are not indexed
	fields   []fieldIndex
	required []*fql.IndexKey // what each subscription requires, if none is indexed; nil for those whose query is matched at once
}

// fieldIndex holds the indexes of subscriptions by the text of a field.
type fieldIndex struct {
	path event.Path
	by   map[string][]int
}

// minIndexed is the number of subscriptions from which an index is faster.
const minIndexed = 4

// maxRequired is the number of values up to which comparing them is faster than matching the query.
const maxRequired = 4

// requirementOf returns a field that rules out most events that a query does not match, or nil. The type of an event rarely does.
func requirementOf(q *fql.Query) *fql.IndexKey {
	for _, k := range q.IndexKeys() {
		if len(k.Values) <= maxRequired && fieldName(k.Path) != "type" {
			return &k
		}
	}
	return nil
}

// newChooser indexes each subscription by the field of its query that has the most values across all subscriptions.
func newChooser(subscriptions []*Subscription) *chooser {
	c := &chooser{all: subscriptions}
	values := map[string]map[string]bool{} // by field name
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
	if len(subscriptions) < minIndexed {
		for _, s := range subscriptions {
			c.required = append(c.required, requirementOf(s.query))
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
			c.fields = append(c.fields, fieldIndex{best.Path, map[string][]int{}})
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

// forEachCandidate calls yield with the index of each subscription that may match an event, once and in no particular order. The
// others do not match.
func (c *chooser) forEachCandidate(e event.Value, yield func(at int)) {
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

// hasOneOf reports whether a value is one of the texts.
func hasOneOf(v event.Value, texts []string) bool {
	return v.IsString() && slices.Contains(texts, v.Str())
}

// Candidates appends the subscriptions of Offered that may match an event, in their order. The others do not match; Prepare checks
// the candidates.
func (p *Plan) Candidates(e event.Event, chosen []*Subscription) []*Subscription {
	if p.isDeletion(e) {
		return append(chosen, p.deletion...)
	}
	if p.chooser.required != nil {
		for i, k := range p.chooser.required {
			if k == nil || hasOneOf(k.Path.Read(e.Value()), k.Values) {
				chosen = append(chosen, p.subscriptions[i])
			}
		}
		return chosen
	}
	var buffer [64]int
	places := buffer[:0]
	p.chooser.forEachCandidate(e.Value(), func(at int) { places = append(places, at) })
	slices.Sort(places)
	for _, at := range places {
		chosen = append(chosen, p.subscriptions[at])
	}
	return chosen
}
