package mapping

import (
	"github.com/landfall-dev/landfall/framework/event"
)

// compileFunc compiles what stands behind a directive's key; place is that of the key.
type compileFunc func(c *compiler, v event.Value, place string) node

// directives are the directives there are.
func directives() map[string]compileFunc {
	return map[string]compileFunc{
		"@arrayPath":       compileArrayPath,
		"@case":            compileCase,
		"@excludeWhenNull": compileExcludeWhenNull,
		"@expr":            compileExpr,
		"@flatten":         compileFlatten,
		"@if":              compileIf,
		"@json":            compileJSON,
		"@liquid":          compileLiquid,
		"@literal":         compileLiteral,
		"@merge":           compileMerge,
		"@path":            compilePath,
		"@replace":         compileReplace,
		"@scalars":         compileScalars,
		"@template":        compileTemplate,
		"@transform":       compileTransform,
	}
}

// path reads one path from the event.
type path struct{ path event.Path }

func (n path) resolve(v event.Value) (event.Value, error) { return n.path.Read(v), nil }

// dynamicPath reads the path that another part of the mapping gives.
type dynamicPath struct {
	place string
	path  node
}

func (n dynamicPath) resolve(v event.Value) (event.Value, error) {
	text, err := n.path.resolve(v)
	if err != nil {
		return event.Value{}, err
	}
	if !text.IsString() {
		return event.Value{}, failed(n.place, "needs a string but got %s", text.Kind().WithArticle())
	}
	return event.NewPath(text.Str()).Read(v), nil
}

// compilePath takes a path as a string, as a directive that gives one, or as the list of its keys.
func compilePath(c *compiler, v event.Value, place string) node {
	switch {
	case v.IsString():
		return path{event.NewPath(v.Str())}
	case v.Kind() == event.Array:
		keys := make([]string, 0, v.Len())
		for _, key := range v.Items() {
			if !key.IsString() {
				c.problems.Add(place, "should be a list of strings but it holds %s", key.Kind().WithArticle())
				return nil
			}
			keys = append(keys, key.Str())
		}
		return path{event.PathOf(keys...)}
	}
	return dynamicPath{place, c.stringOrDirective(v, place)}
}

func compileLiteral(c *compiler, v event.Value, place string) node { return c.value(v, place) }

// condition is an @if.
type condition struct {
	subject            node
	blank              bool // the test is blank, not exists
	same               bool // the consequence is the subject
	consequence, other node
}

func (n *condition) resolve(v event.Value) (event.Value, error) {
	subject, err := n.subject.resolve(v)
	if err != nil {
		return event.Value{}, err
	}
	if n.holds(subject) {
		if n.same {
			return subject, nil
		}
		return n.consequence.resolve(v)
	}
	return n.other.resolve(v)
}

// holds is the test: exists means neither absent nor null; blank, in spite of its name, means present and not equal to ""
// as JavaScript's == sees it.
func (n *condition) holds(v event.Value) bool {
	if !n.blank || !v.Exists() {
		return v.Exists()
	}
	if v.Kind() == event.Array {
		return v.Text() != ""
	}
	return v.Kind() == event.Object || !v.Falsy()
}

func compileIf(c *compiler, v event.Value, place string) node {
	o, ok := c.options(v, place)
	if !ok {
		return nil
	}
	exists, blank := v.Get("exists"), v.Get("blank")
	if exists.Falsy() && blank.Falsy() {
		c.problems.Add(place, `should have an "exists" or a "blank" condition`)
		return nil
	}
	n := &condition{consequence: o.any("then"), other: o.any("else")}
	tested := exists
	if exists.Kind() != event.Absent {
		n.subject = o.any("exists")
	} else {
		tested, n.subject, n.blank = blank, o.any("blank"), true
	}
	n.same = tested.JSON() == v.Get("then").JSON()
	return n
}

// arrayPath is an @arrayPath: a root and, where shape is set, the mapping of each of its items.
type arrayPath struct {
	place string
	root  node
	shape node // nil: the root as it is
}

func (n *arrayPath) resolve(v event.Value) (event.Value, error) {
	root, err := n.root.resolve(v)
	if err != nil || n.shape == nil {
		return root, err
	}
	switch root.Kind() {
	case event.Object:
		root = event.NewArray([]event.Value{root})
	case event.Array:
	default:
		return root, nil
	}
	items, size := make([]event.Value, 0, root.Len()), 0
	for _, item := range root.Items() {
		shaped, err := n.shape.resolve(item)
		if err != nil {
			return event.Value{}, err
		}
		if size += shaped.Size(); size > MaxOutput {
			return event.Value{}, tooLarge(n.place)
		}
		items = append(items, shaped)
	}
	return bounded(event.NewArray(items), n.place)
}

func compileArrayPath(c *compiler, v event.Value, place string) node {
	if v.Kind() != event.Array {
		c.problems.Add(place, "should be an array but it is %s", described(v))
		return nil
	}
	n := &arrayPath{place: place}
	switch first := v.Index(0); {
	case first.IsString():
		n.root = path{event.NewPath(first.Str())}
	default:
		n.root = c.stringOrDirective(first, place+"/0")
	}
	if shape := v.Index(1); shape.Kind() == event.Object && shape.Len() > 0 {
		n.shape = c.value(shape, place+"/1")
	}
	return n
}

// transform is a @transform: the second mapping sees only what the first one makes.
type transform struct {
	place          string
	apply, mapping node
}

func (n transform) resolve(v event.Value) (event.Value, error) {
	inner, err := n.apply.resolve(v)
	if err != nil {
		return event.Value{}, err
	}
	if inner.Kind() != event.Object {
		return event.Value{}, failed(n.place+"/apply", "should make an object but it made %s", inner.Kind().WithArticle())
	}
	return n.mapping.resolve(inner)
}

func compileTransform(c *compiler, v event.Value, place string) node {
	o, ok := c.options(v, place)
	if !ok {
		return nil
	}
	n := transform{place: place}
	if apply, ok := o.required("apply"); ok {
		n.apply = c.objectOrDirective(apply, o.at("apply"))
	}
	if mapping, ok := o.required("mapping"); ok {
		n.mapping = c.objectOrDirective(mapping, o.at("mapping"))
	}
	return n
}
