package console

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// readMapping returns the input that the browser sent. changed reports whether it has other inputs than the browser shows.
func readMapping(q url.Values, name, label string, optional bool, depth int) (m *mappingInput, changed bool) {
	get := func(part string) string { return strings.ReplaceAll(q.Get(name+part), "\r\n", "\n") }
	m = &mappingInput{Name: name, Label: label, Optional: optional, Mode: get(".mode"), Text: get(".text")}
	was := get(".was")
	if was == modeCard && depth < maxCardDepth {
		m.Card, changed = readCard(q, name, depth)
	}
	if m.Mode == was {
		return m, changed
	}
	shown := &mappingInput{Name: name, Label: label, Mode: was, Text: m.Text, Card: m.Card}
	if len(shown.problems()) > 0 {
		return shown, changed // what cannot be read would be lost
	}
	v := shown.value()
	if m.Card = nil; m.Mode == modeCard {
		m.Card = cardFor(name, v, depth)
	} else {
		m.Text = textFor(m.Mode, was, m.Text, v)
	}
	return m, true
}

// cardFor returns the card of a directive. A value that is none becomes the argument of one.
func cardFor(name string, v event.Value, depth int) *directiveCard {
	if c := newCard(name, v, depth); c != nil {
		return c
	}
	return newCard(name, wrapInIf(v), depth)
}

// wrapInIf returns a directive for a value that has none: the value, if it exists.
func wrapInIf(v event.Value) event.Value {
	if v.Kind() == event.Absent {
		v = event.NewString("")
	}
	argument := event.NewObject([]event.Member{{Key: "exists", Value: v}, {Key: "then", Value: v}})
	return event.NewObject([]event.Member{{Key: "@if", Value: argument}})
}

// readCard returns the card that the browser sent. If another directive was chosen, it keeps the arguments with the same names.
func readCard(q url.Values, name string, depth int) (c *directiveCard, changed bool) {
	shown, ok := findDirective(q.Get(name + ".of"))
	if !ok {
		return nil, true
	}
	c = &directiveCard{Name: name, Directive: shown}
	for i, spec := range shown.Arguments {
		a, other := readArgument(q, name+"."+strconv.Itoa(i), spec, depth)
		c.Arguments, changed = append(c.Arguments, a), changed || other
	}
	if chosen, ok := findDirective(q.Get(name + ".directive")); ok && chosen.Name != shown.Name {
		return c.turnedInto(chosen, depth), true
	}
	return c, changed
}

// turnedInto returns the card of another directive, with the arguments of the same name. Its first mapping without a value takes
// the first one of this card.
func (c *directiveCard) turnedInto(d directiveSpec, depth int) *directiveCard {
	kept, first := map[string]event.Value{}, event.Value{}
	for _, a := range c.Arguments {
		if a.Key != "" { // what has no name means something else in each directive
			kept[a.Key] = a.value()
		}
		for _, m := range a.mappings() {
			if v := m.value(); first.Kind() == event.Absent {
				first = v
			}
		}
	}
	if mode, _ := inputMode(c.value()); mode != "json" {
		first = c.value() // a path or a template becomes the argument
	}
	turned := &directiveCard{Name: c.Name, Directive: d}
	for i, spec := range d.Arguments {
		v, found := kept[spec.Key]
		switch {
		case spec.Kind == kindChoice && !slices.Contains(spec.Choices, v.Text()):
			v = event.NewString(spec.Choices[0])
		case spec.Kind == kindList && v.Kind() != event.Array:
			v = event.NewArray(nil)
			if first.Kind() != event.Absent && !spec.Texts {
				v = event.NewArray([]event.Value{first})
			}
		case spec.Kind == kindText && !v.IsString():
			v = event.NewString("")
		case spec.Kind == kindMapping && !spec.Texts && (!found || v.Kind() == event.Absent):
			v, first = first, event.Value{} // only once
		}
		name := c.Name + "." + strconv.Itoa(i)
		a := newArgument(name, spec, v, depth)
		if a == nil {
			a = newArgument(name, spec, event.Value{}, depth)
		}
		turned.Arguments = append(turned.Arguments, a)
	}
	return turned
}

func readArgument(q url.Values, name string, spec argumentSpec, depth int) (a *argumentInput, changed bool) {
	a = newArgument(name, spec, event.Value{}, depth)
	switch spec.Kind {
	case kindMapping:
		a.Mapping, changed = readMapping(q, name, a.Label, !spec.Required, depth+1)
		a.Mapping.Texts = spec.Texts
	case kindList:
		n, _ := strconv.Atoi(q.Get(name + ".items"))
		for i := range min(max(n, 0), maxCardItems) {
			item, other := readMapping(q, name+"."+strconv.Itoa(i), a.itemLabel(i), false, depth+1)
			item.Texts = spec.Texts
			a.Items, changed = append(a.Items, item), changed || other
		}
	default:
		a.Text = strings.ReplaceAll(q.Get(name), "\r\n", "\n")
	}
	return a, changed
}

// withCardItems returns the parameters of a form as a button of a list asks: with another item in the list with a name, or without one.
func withCardItems(q url.Values) url.Values {
	if do, name, _ := strings.Cut(q.Get("do"), ":"); do == "item" || do == "unitem" {
		q = maps.Clone(q) // Undo needs the form as it was
		changeCardItems(q, do, name)
	}
	return q
}

// changeCardItems changes the parameters of a form as a button of a list asks.
func changeCardItems(q url.Values, do, name string) {
	if do == "unitem" {
		at := strings.LastIndexByte(name, '.')
		if at < 0 {
			return
		}
		n, err := strconv.Atoi(name[at+1:])
		list := name[:at]
		count, _ := strconv.Atoi(q.Get(list + ".items"))
		if err != nil || n < 0 || n >= count {
			return
		}
		removeItem(q, list, n)
		q.Set(list+".items", strconv.Itoa(count-1))
		return
	}
	count, _ := strconv.Atoi(q.Get(name + ".items"))
	if count = max(count, 0); count < maxCardItems {
		item := name + "." + strconv.Itoa(count)
		q.Set(item+".mode", "text")
		q.Set(item+".was", "text")
		q.Set(name+".items", strconv.Itoa(count+1))
	}
}

// removeItem removes the parameters of an item and moves those of the items after it.
func removeItem(q url.Values, list string, removed int) {
	moved := url.Values{}
	for key, values := range q {
		rest, inside := strings.CutPrefix(key, list+".")
		number, part, _ := strings.Cut(rest, ".")
		n, err := strconv.Atoi(number)
		if !inside || err != nil || n < removed {
			continue
		}
		delete(q, key)
		if n > removed {
			moved[list+"."+strconv.Itoa(n-1)+"."+part] = values
		}
	}
	for key, values := range moved {
		q[key] = values
	}
}
