package request

import (
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// choiceList locates the choices of a field.
type choiceList struct {
	list                      choicePart
	entries                   entryList // which entries of the list count; it has no path
	label, value, description choicePart
	next                      choicePart
}

// choicePart is a path in a response or in an entry of its list, or a mapping over both.
type choicePart struct {
	path    *event.Path
	mapping *mapping.Mapping
}

func (c *compiler) compileChoices(v event.Value, place string) *choiceList {
	if !v.Exists() {
		return nil
	}
	if !c.hasName(Page) || c.isCall {
		c.problems.Add(place, "is only allowed in requests of dynamicFields")
	}
	part := func(key string, names ...string) choicePart {
		p := v.Get(key)
		if p.Kind() != event.Object {
			return choicePart{path: optionalPath(p)}
		}
		of := c.subCompiler()
		of.names[bodyName] = nil
		for _, name := range names {
			of.names[name] = nil
		}
		compiled := of.compileMapping(p, place+"/"+key)
		c.mergeFrom(of)
		return choicePart{mapping: compiled}
	}
	return &choiceList{
		list: part("path"), entries: entryList{where: optionalPath(v.Get("where")), unless: optionalPath(v.Get("unless"))},
		label: part("label", Item), value: part("value", Item), description: part("description", Item), next: part("next"),
	}
}

// exists reports whether the definition has the part.
func (p choicePart) exists() bool { return p.path != nil || p.mapping != nil }

// read returns the part of v, which is the body or an entry of its list; v itself if the definition does not have the part.
func (p choicePart) read(v, body event.Value) (event.Value, error) {
	switch {
	case p.mapping != nil:
		return p.mapping.Resolve(event.NewObject([]event.Member{{Key: bodyName, Value: body}, {Key: Item, Value: v}}))
	case p.path != nil:
		return p.path.Read(v), nil
	}
	return v, nil
}

func (p choicePart) readText(v, body event.Value) (string, error) {
	found, err := p.read(v, body)
	return found.Text(), err
}

// Choice is one value of a dynamic field.
type Choice struct{ Label, Value, Description string }

// Choices returns the choices in a response, and the next page or "". If the request does not use query, choices that do not contain it
// are dropped.
func (r *Request) Choices(body event.Value, query string) (choices []Choice, next string, err error) {
	l := r.response.choices
	if l == nil {
		return nil, "", nil
	}
	list, err := l.list.read(body, body)
	if err != nil {
		return nil, "", err
	}
	for _, entry := range list.Items() {
		if !l.entries.accepts(entry) {
			continue
		}
		c, err := l.choice(entry, body)
		if err != nil {
			return nil, "", err
		}
		if r.usesQuery || containsFold(c.Label, query) || containsFold(c.Value, query) {
			choices = append(choices, c)
		}
	}
	if l.next.exists() {
		next, err = l.next.readText(body, body)
	}
	return choices, next, err
}

// choice reads an entry of the list.
func (l *choiceList) choice(entry, body event.Value) (c Choice, err error) {
	if c.Value, err = l.value.readText(entry, body); err != nil {
		return c, err
	}
	c.Label = c.Value
	if l.label.exists() {
		label, err := l.label.readText(entry, body)
		if err != nil {
			return c, err
		}
		if label != "" {
			c.Label = label
		}
	}
	if l.description.exists() {
		c.Description, err = l.description.readText(entry, body)
	}
	return c, err
}

func containsFold(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}
