package mapping

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// internalDirective is the key at the root of a mapping whose value is a directive that takes the rest of the mapping.
const internalDirective = "__segment_internal_directive"

// metadata is the key that may stand beside a directive and means nothing.
const metadata = "_metadata"

// compiler turns a mapping into nodes and collects what is wrong with it. Methods return a nil node after they have
// added a problem.
type compiler struct {
	problems fault.Problems
	warnings fault.Problems
	depth    int
}

// root compiles a whole mapping.
func (c *compiler) root(mapping event.Value) node {
	directive := mapping.Get(internalDirective)
	if directive.Kind() == event.Absent {
		return c.output(mapping, "")
	}
	place := fault.PointerKey(internalDirective)
	name, ok := c.directiveName(directive, place)
	if !ok {
		return nil
	}
	var rest, options []event.Member
	for key, v := range mapping.Members() {
		if key != internalDirective {
			rest = append(rest, event.Member{Key: key, Value: v})
		}
	}
	for key, v := range directive.Get(name).Members() {
		if key != "mapping" {
			options = append(options, event.Member{Key: key, Value: v})
		}
	}
	options = append(options, event.Member{Key: "mapping", Value: event.NewObject(rest)})
	whole := event.NewObject([]event.Member{{Key: name, Value: event.NewObject(options)}})
	return c.value(whole, place)
}

// output compiles a value that becomes part of the payload as it is.
func (c *compiler) output(v event.Value, place string) node {
	n := c.value(v, place)
	markOutput(n)
	return n
}

func markOutput(n node) {
	switch n := n.(type) {
	case *object:
		n.output = true
		for _, child := range n.nodes {
			markOutput(child)
		}
	case *array:
		for _, item := range n.items {
			markOutput(item)
		}
	}
}

// value compiles a directive, or a plain value with directives inside.
func (c *compiler) value(v event.Value, place string) node {
	c.depth++
	defer func() { c.depth-- }()
	if c.depth > MaxDepth {
		c.problems.Add(place, "is nested deeper than %d", MaxDepth)
		return nil
	}
	switch v.Kind() {
	case event.Object:
		if isDirective(v) {
			return c.directive(v, place)
		}
		return c.object(v, place)
	case event.Array:
		return c.array(v, place)
	}
	return literal{v}
}

func (c *compiler) object(v event.Value, place string) node {
	n, keys, constant := &object{place: place}, []string(nil), []event.Member{}
	for key, m := range v.Members() {
		child := c.value(m, place+fault.PointerKey(key))
		if l, ok := child.(literal); ok {
			constant = append(constant, event.Member{Key: key, Value: l.value})
		}
		keys, n.nodes = append(keys, key), append(n.nodes, child)
	}
	if len(constant) == len(keys) {
		return literal{event.NewObject(constant)}
	}
	n.shape = event.NewShape(keys)
	return n
}

func (c *compiler) array(v event.Value, place string) node {
	n, constant := &array{place: place}, []event.Value{}
	for i, item := range v.Items() {
		child := c.value(item, fmt.Sprintf("%s/%d", place, i))
		if l, ok := child.(literal); ok {
			constant = append(constant, l.value)
		}
		n.items = append(n.items, child)
	}
	if len(constant) == len(n.items) {
		return literal{event.NewArray(constant)}
	}
	return n
}

// IsDirective tells whether a mapping as a whole is one directive, which makes all of its keys.
func IsDirective(mapping event.Value) bool { return isDirective(mapping) }

// isDirective tells whether an object is meant as one: a key starts with @.
func isDirective(v event.Value) bool {
	for key := range v.Members() {
		if strings.HasPrefix(key, "@") {
			return true
		}
	}
	return false
}

func (c *compiler) directive(v event.Value, place string) node {
	name, ok := c.directiveName(v, place)
	if !ok {
		return nil
	}
	return directives()[name](c, v.Get(name), place+"/"+name)
}

// directiveName is the one @-prefixed key of a directive, which must be known.
func (c *compiler) directiveName(v event.Value, place string) (string, bool) {
	if v.Kind() != event.Object {
		c.problems.Add(place, "should be a directive object but it is %s", v.Kind().WithArticle())
		return "", false
	}
	var names, others []string
	for key := range v.Members() {
		if strings.HasPrefix(key, "@") {
			names = append(names, key)
		} else if key != metadata {
			others = append(others, key)
		}
	}
	if len(names) != 1 || len(others) > 0 {
		c.problems.Add(place, "should only have one @-prefixed key but it has %d keys", len(names)+len(others))
		return "", false
	}
	if _, ok := directives()[names[0]]; !ok {
		known := slices.Sorted(maps.Keys(directives()))
		c.problems.Add(place, "has an invalid directive: %s%s", shorten(names[0]), fault.DidYouMean(names[0], known))
		return "", false
	}
	return names[0], true
}

func shorten(text string) string {
	const most = 60
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most]) + "…"
}

// described is the kind of a value as errors name it.
func described(v event.Value) string {
	if isDirective(v) {
		return "a directive"
	}
	return v.Kind().WithArticle()
}

// options reads the object that a directive takes. Problems are added at the keys they concern.
type options struct {
	c     *compiler
	value event.Value
	place string
}

func (c *compiler) options(v event.Value, place string) (options, bool) {
	if v.Kind() != event.Object || isDirective(v) {
		c.problems.Add(place, "should be an object but it is %s", described(v))
		return options{}, false
	}
	return options{c, v, place}, true
}

func (o options) at(key string) string { return o.place + fault.PointerKey(key) }

// required is the value of key; a missing one is a problem.
func (o options) required(key string) (event.Value, bool) {
	v := o.value.Get(key)
	if v.Kind() == event.Absent {
		o.c.problems.Add(o.place, "should have field %q but it doesn't", key)
		return v, false
	}
	return v, true
}

// any compiles the value of key; a missing one resolves to nothing.
func (o options) any(key string) node {
	v := o.value.Get(key)
	if v.Kind() == event.Absent {
		return literal{}
	}
	return o.c.value(v, o.at(key))
}

// text is the literal string of key, or fallback; its length in UTF-16 units is bounded.
func (o options) text(key, fallback string, least, most int) string {
	v := o.value.Get(key)
	switch {
	case v.Kind() == event.Absent:
		return fallback
	case !v.IsString():
		o.c.problems.Add(o.at(key), "should be a string but it is %s", described(v))
	case event.UTF16Len(v.Str()) > most:
		o.c.problems.Add(o.at(key), "should be a string of length %d or less", most)
	case event.UTF16Len(v.Str()) < least:
		o.c.problems.Add(o.at(key), "should be a string of length %d or greater", least)
	}
	return v.Str()
}

// flag is the literal boolean of key, or fallback.
func (o options) flag(key string, fallback bool) bool {
	v := o.value.Get(key)
	if v.Kind() == event.Absent {
		return fallback
	}
	b, ok := v.Bool()
	if !ok {
		o.c.problems.Add(o.at(key), "should be a boolean but it is %s", described(v))
	}
	return b
}

// choice is the literal string of key, which must be one of these.
func (o options) choice(key string, choices ...string) string {
	v, ok := o.required(key)
	if ok && (!v.IsString() || !slices.Contains(choices, v.Str())) {
		o.c.problems.Add(o.at(key), "should be %s", orList(choices))
	}
	return v.Str()
}

// orList is `"a" or "b"`.
func orList(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(quoted, " or ")
}

// stringOrDirective compiles a value that must be a string, or a directive that gives one.
func (c *compiler) stringOrDirective(v event.Value, place string) node {
	if !v.IsString() && !isDirective(v) {
		c.problems.Add(place, "should be a string or a mapping directive but it is %s", v.Kind().WithArticle())
		return nil
	}
	return c.value(v, place)
}

// objectOrDirective compiles a value that must be an object, a directive included.
func (c *compiler) objectOrDirective(v event.Value, place string) node {
	if v.Kind() != event.Object {
		c.problems.Add(place, "should be an object or a mapping directive but it is %s", v.Kind().WithArticle())
		return nil
	}
	return c.value(v, place)
}
