package console

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// A card edits a directive of a mapping, with an input for each of its arguments. Cards follow from the table of directives: the JSON Schema
// of a directive's argument says which inputs it has.

const (
	maxCardDepth = 6  // deeper directives are edited as JSON
	maxCardItems = 50 // of a list
	modeCard     = "card"
)

// argumentKind is the kind of an argument's input.
type argumentKind string

const (
	kindMapping argumentKind = "mapping" // a value of the event, a fixed value, or another directive
	kindList    argumentKind = "list"    // of mappings
	kindChoice  argumentKind = "choice"
	kindFlag    argumentKind = "flag"
	kindText    argumentKind = "text"
)

// argumentSpec describes one argument of a directive.
type argumentSpec struct {
	Key      string // "" if the directive has no names for its arguments
	Kind     argumentKind
	Required bool
	Choices  []string // of a choice
	Long     bool     // a text that can have several lines
	Texts    bool     // a mapping, or the items of a list, can be texts only
	Min, Max int      // items of a list; Max is 0 without a limit
}

// directiveSpec describes a directive as its card needs it.
type directiveSpec struct {
	Name, Summary string
	Arguments     []argumentSpec
}

// directiveSpecs returns the directives, in the order of their table.
func directiveSpecs() []directiveSpec {
	var list []directiveSpec
	for _, d := range mapping.Directives() {
		list = append(list, directiveSpec{d.Name, d.Summary, argumentSpecs(event.MustParse(d.Schema))})
	}
	return list
}

func findDirective(name string) (directiveSpec, bool) {
	for _, d := range directiveSpecs() {
		if d.Name == name {
			return d, true
		}
	}
	return directiveSpec{}, false
}

// argumentSpecs returns the arguments in the schema of a directive: those with names, or the only one.
func argumentSpecs(schema event.Value) []argumentSpec {
	properties := schema.Get("properties")
	if properties.Kind() != event.Object {
		a := argumentSpecOf("", schema)
		a.Required = true
		return []argumentSpec{a}
	}
	var list []argumentSpec
	for key, property := range properties.Members() {
		a := argumentSpecOf(key, property)
		for _, name := range schema.Get("required").Items() {
			a.Required = a.Required || name.Str() == key
		}
		if a.Kind == kindText && !a.Required { // its input says whether it is left out or empty
			a.Kind = kindMapping
		}
		list = append(list, a)
	}
	return list
}

// argumentSpecOf returns the argument with a schema. One that has no input of its own is a mapping, which can be edited as JSON.
func argumentSpecOf(key string, schema event.Value) argumentSpec {
	a := argumentSpec{Key: key, Kind: kindMapping}
	switch {
	case schema.Get("enum").Len() > 0:
		a.Kind = kindChoice
		for _, choice := range schema.Get("enum").Items() {
			a.Choices = append(a.Choices, choice.Text())
		}
	case schema.Get("type").Str() == "boolean":
		a.Kind = kindFlag
	case schema.Get("type").Str() == "string":
		const maxLine = 100
		length, limited := schema.Get("maxLength").Float(), schema.Get("maxLength").Exists()
		a.Kind, a.Long, a.Texts = kindText, !limited || length > maxLine, true
	case schema.Get("type").Str() == "array":
		a.Kind, a.Texts = kindList, schema.Get("items").Get("type").Str() == "string"
		a.Min, a.Max = int(schema.Get("minItems").Float()), int(schema.Get("maxItems").Float())
	}
	return a
}

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

// changeCardItems changes the parameters of a form as a button of a list asks: it adds an item to the list with a name, or removes one.
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
