package console

import (
	"slices"
	"strconv"

	"github.com/landfall-dev/landfall/framework/event"
)

// A card edits a directive of a mapping, with an input for each of its arguments. Cards follow from the table of directives: the JSON Schema
// of a directive's argument says which inputs it has.

const (
	maxCardDepth = 6  // deeper directives are edited as JSON
	maxCardItems = 50 // of a list
	modeCard     = "card"
)

// mappingInput is an input for a mapping within a card.
type mappingInput struct {
	Name, Label string // form parameter, and the name for people
	Optional    bool   // it can be left out
	Texts       bool   // it can be a text only
	Mode, Text  string // path, text, template, json or card; "" if it is left out
	Card        *directiveCard
}

// directiveCard is the card of one directive.
type directiveCard struct {
	Name      string // form parameter
	Directive directiveSpec
	Arguments []*argumentInput
}

// argumentInput is the input of one argument.
type argumentInput struct {
	argumentSpec
	Name, Label string
	Text        string          // of a text, a choice or a flag; "" if it is left out
	Mapping     *mappingInput   // of a mapping
	Items       []*mappingInput // of a list
}

// CanGrow reports whether an item can be added to a list.
func (a *argumentInput) CanGrow() bool {
	return a.Kind == kindList && len(a.Items) < maxCardItems && (a.Max == 0 || len(a.Items) < a.Max)
}

// CanShrink reports whether an item of a list can be removed.
func (a *argumentInput) CanShrink() bool { return len(a.Items) > a.Min }

// Modes returns the ways to write a mapping within a card.
func (m *mappingInput) Modes() []mode {
	list := []mode{{"path", "From the event"}, {"text", "Fixed text"}, {"template", "Template"}, {modeCard, "Directive"}, {"json", "JSON"}}
	if m.Texts {
		list = slices.DeleteFunc(list, func(way mode) bool { return way.Key != "text" && way.Key != m.Mode })
	}
	if m.Optional {
		list = append([]mode{{"", "Left out"}}, list...)
	}
	return list
}

// Directives returns the directives to choose from.
func (c *directiveCard) Directives() []directiveSpec { return directiveSpecs() }

// newMappingInput returns the input for a value; absent if it is left out.
func newMappingInput(name, label string, v event.Value, optional bool, depth int) *mappingInput {
	m := &mappingInput{Name: name, Label: label, Optional: optional}
	if m.Mode, m.Text = inputMode(v); m.Mode == "default" {
		m.Mode = ""
	}
	switch {
	case m.Mode == "text" && !v.IsString():
		m.Mode = "json" // a number or a flag, which a text is not
	case m.Mode == "" && !optional:
		m.Mode = "text"
	}
	if m.Card = newCard(name, v, depth); m.Card != nil && m.Mode == "json" {
		m.Mode = modeCard
	} else {
		m.Card = nil
	}
	return m
}

// newCard returns the card of a directive; nil if the value is none, or one that a card does not fit.
func newCard(name string, v event.Value, depth int) *directiveCard {
	if depth >= maxCardDepth || v.Kind() != event.Object || v.Len() != 1 {
		return nil
	}
	for key, argument := range v.Members() {
		d, ok := findDirective(key)
		if !ok {
			return nil
		}
		c := &directiveCard{Name: name, Directive: d}
		for i, spec := range d.Arguments {
			given := argument
			if spec.Key != "" {
				given = argument.Get(spec.Key)
			}
			a := newArgument(name+"."+strconv.Itoa(i), spec, given, depth)
			if a == nil {
				return nil
			}
			c.Arguments = append(c.Arguments, a)
		}
		if event.Equal(c.value(), v) {
			return c
		}
	}
	return nil
}

// newArgument returns the input of an argument; nil if the value does not fit.
func newArgument(name string, spec argumentSpec, v event.Value, depth int) *argumentInput {
	a := &argumentInput{argumentSpec: spec, Name: name, Label: spec.Key}
	if a.Label == "" {
		a.Label = "value"
	}
	switch spec.Kind {
	case kindMapping:
		a.Mapping = newMappingInput(name, a.Label, v, !spec.Required, depth+1)
		a.Mapping.Texts = spec.Texts
	case kindList:
		if v.Kind() != event.Array && v.Kind() != event.Absent || v.Len() > maxCardItems {
			return nil
		}
		for i, item := range v.Items() {
			m := newMappingInput(name+"."+strconv.Itoa(i), a.itemLabel(i), item, false, depth+1)
			m.Texts = spec.Texts
			a.Items = append(a.Items, m)
		}
	default:
		a.Text = v.Text()
	}
	return a
}

func (a *argumentInput) itemLabel(i int) string { return a.Label + " " + strconv.Itoa(i+1) }

// value returns the mapping that the input describes; absent if it is left out.
func (m *mappingInput) value() event.Value {
	if m.Card != nil {
		return m.Card.value()
	}
	return m.simple().value
}

// simple returns the input of a field with the same mode and text, without a card.
func (m *mappingInput) simple() *fieldInput {
	in := &fieldInput{Mode: m.Mode, Text: m.Text}
	in.value = in.mappedValue()
	if m.Mode == "text" {
		in.value = event.NewString(m.Text)
	}
	return in
}

// problems returns why texts within the input cannot be read.
func (m *mappingInput) problems() (list []problemView) {
	if m.Card == nil {
		for _, p := range m.simple().Errors {
			list = append(list, problemView{Message: capitalize(m.Label) + ": " + p.Message})
		}
		return list
	}
	return m.Card.problems()
}

// problems returns why texts within the card cannot be read.
func (c *directiveCard) problems() (list []problemView) {
	for _, a := range c.Arguments {
		for _, m := range a.mappings() {
			list = append(list, m.problems()...)
		}
	}
	return list
}

// mappings returns the mappings of an argument.
func (a *argumentInput) mappings() []*mappingInput {
	if a.Mapping != nil {
		return []*mappingInput{a.Mapping}
	}
	return a.Items
}

// value returns the directive with the arguments that are not left out.
func (c *directiveCard) value() event.Value {
	var members []event.Member
	for _, a := range c.Arguments {
		v := a.value()
		if a.Key == "" {
			return event.NewObject([]event.Member{{Key: c.Directive.Name, Value: v}})
		}
		if v.Kind() != event.Absent {
			members = append(members, event.Member{Key: a.Key, Value: v})
		}
	}
	return event.NewObject([]event.Member{{Key: c.Directive.Name, Value: event.NewObject(members)}})
}

func (a *argumentInput) value() event.Value {
	switch a.Kind {
	case kindMapping:
		return a.Mapping.value()
	case kindList:
		items := make([]event.Value, len(a.Items))
		for i, item := range a.Items {
			items[i] = item.value()
		}
		return event.NewArray(items)
	case kindFlag:
		if a.Text == "true" || a.Text == "false" {
			return event.NewBool(a.Text == "true")
		}
		return event.Value{}
	}
	if a.Text == "" && !a.Required {
		return event.Value{}
	}
	return event.NewString(a.Text)
}
