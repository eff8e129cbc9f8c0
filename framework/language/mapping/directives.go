package mapping

import (
	"fmt"

	"github.com/landfall-dev/landfall/framework/event"
)

// compileFunc compiles the value of a directive's key. pointer is the JSON pointer to that value.
type compileFunc func(c *compiler, v event.Value, pointer string) node

// directive is an entry of the table of directives.
type directive struct {
	name     string
	summary  string // the value that takes its place
	schema   schema // of its argument
	compile  compileFunc
	describe func(v event.Value) string // describes its result in words
	reads    readsFunc                  // nil if it reads the event only through the mappings in its argument
	mistakes mistakesFunc               // nil if it has none that compiling does not find
}

// directiveTable lists all directives. The nodes that they compile to describe themselves for Trace.
func directiveTable() []directive {
	return []directive{
		{"@path", "The value at a path.", fixedSchema(`{"type": ["string", "object", "array"]}`), compilePath, describePath, readsPath, pathMistakes},
		{"@template", "A text with {{paths}}.", fixedSchema(`{"type": ["string", "object"]}`), compileTemplate, describeCode, readsTemplate, templateMistakes},
		{"@if", "One of two values, depending on a condition.", objectSchema(`"exists": any, "blank": any, "then": any, "else": any`), compileIf, describeIf, nil, nil},
		{"@case", "A text in lower or upper case.", objectSchema(`"operator": {"enum": ["lower", "upper"]}, "value": any`, "operator"), compileCase, describeCase, nil, nil},
		{"@replace", "A text with parts of it replaced.", objectSchema(`"value": any, "pattern": {"type": "string", "minLength": 1, "maxLength": 10},
			"replacement": short, "pattern2": short, "replacement2": short, "global": flag, "ignorecase": flag`, "value", "pattern"), compileReplace, describeReplace, nil, nil},
		{"@arrayPath", "A list, and the mapping of its items.", fixedSchema(`{"type": "array", "minItems": 1, "maxItems": 2}`), compileArrayPath, describeArrayPath, readsArrayPath, arrayPathMistakes},
		{"@merge", "Several objects merged into one.", objectSchema(`"objects": {"type": "array", "items": any}, "direction": {"enum": ["left", "right"]}`, "objects", "direction"), compileMerge, describeMerge, nil, nil},
		{"@flatten", "An object with the paths of its leaves as keys.", objectSchema(`"value": any, "separator": {"type": ["string", "object"]}, "omitArrays": flag`, "value", "separator"), compileFlatten, describeFlatten, nil, nil},
		{"@omit", "An object without some of its keys.", objectSchema(`"value": any, "keys": {"type": "array", "items": {"type": "string"}}`, "value", "keys"), compileOmit, describeOmit, nil, nil},
		{"@scalars", "Values converted to scalars: lists joined to one text, objects as JSON text, texts trimmed, null dropped.", objectSchema(`"value": any, "separator": short`, "value"), compileScalars, describeScalars, nil, nil},
		{"@json", "A value encoded to or decoded from JSON.", objectSchema(`"mode": {"enum": ["encode", "decode"]}, "value": any`, "mode", "value"), compileJSON, describeJSON, nil, nil},
		{"@transform", "A mapping of another mapping's result.", objectSchema(`"apply": any, "mapping": any`, "apply", "mapping"), compileTransform, describeTransform, nil, nil},
		{"@excludeWhenNull", "A value without nulls.", fixedSchema(anySchema), compileExcludeWhenNull, describeExcludeWhenNull, nil, nil},
		{"@literal", "The value itself.", fixedSchema(anySchema), compileLiteral, Describe, nil, nil},
		{"@liquid", "A Liquid template.", fixedSchema(`{"type": "string", "maxLength": 1000}`), compileLiquid, describeCode, readsLiquid, nil},
		{"@expr", "An expression over the event's top-level keys.", fixedSchema(`{"type": "string"}`), compileExpr, describeCode, readsExpr, nil},
	}
}

// path implements @path with a constant path.
type path struct{ path event.Path }

func (n path) resolve(v event.Value) (event.Value, error) { return n.path.Read(v), nil }

func (n path) describe(event.Value) string { return "@path " + n.path.String() }

// dynamicPath implements @path with a path that another directive provides.
type dynamicPath struct {
	pointer string
	path    node
}

func (n dynamicPath) resolve(v event.Value) (event.Value, error) {
	text, err := n.path.resolve(v)
	if err != nil {
		return event.Value{}, err
	}
	if !text.IsString() {
		return event.Value{}, mappingError(n.pointer, "needs a string but got %s", text.Kind().WithArticle())
	}
	return event.NewPath(text.Str()).Read(v), nil
}

func (n dynamicPath) describe(v event.Value) string { return "@path of " + n.path.describe(v) }

// compilePath accepts a path as a string, as a directive that returns one, or as the list of its keys.
func compilePath(c *compiler, v event.Value, pointer string) node {
	switch {
	case v.IsString():
		c.warnSelectors(v.Str(), pointer)
		return path{event.NewPath(v.Str())}
	case v.Kind() == event.Array:
		keys := make([]string, 0, v.Len())
		for _, key := range v.Items() {
			if !key.IsString() {
				c.problems.Add(pointer, "should be a list of strings but it contains %s", key.Kind().WithArticle())
				return nil
			}
			keys = append(keys, key.Str())
		}
		return path{event.PathOf(keys...)}
	}
	return dynamicPath{pointer, c.stringOrDirective(v, pointer)}
}

func compileLiteral(c *compiler, v event.Value, pointer string) node {
	return c.compileValue(v, pointer)
}

// condition implements @if.
type condition struct {
	subject            node
	blank              bool // test for blank, not for exists
	thenIsSubject      bool // the then branch is the subject itself, which is not resolved again
	thenNode, elseNode node
}

func (n *condition) resolve(v event.Value) (event.Value, error) {
	subject, err := n.subject.resolve(v)
	if err != nil {
		return event.Value{}, err
	}
	if n.isMet(subject) {
		if n.thenIsSubject {
			return subject, nil
		}
		return n.thenNode.resolve(v)
	}
	return n.elseNode.resolve(v)
}

// describe returns which branch of the condition applies to an event, and why.
func (n *condition) describe(v event.Value) string {
	test, branch, taken := "exists", "else", n.elseNode
	if n.blank {
		test = "blank"
	}
	subject, err := n.subject.resolve(v)
	if err == nil && n.isMet(subject) {
		branch, taken = "then", n.thenNode
	}
	if l, ok := taken.(literal); ok && l.value.Kind() == event.Absent {
		return fmt.Sprintf("@if %s %s: no %s", test, n.subject.describe(v), branch)
	}
	return fmt.Sprintf("@if %s %s: %s %s", test, n.subject.describe(v), branch, taken.describe(v))
}

// isMet evaluates the test. exists means neither absent nor null. blank, despite its name, means present and not equal to "" by
// JavaScript's ==.
func (n *condition) isMet(v event.Value) bool {
	if !n.blank || !v.Exists() {
		return v.Exists()
	}
	if v.Kind() == event.Array {
		return v.Text() != ""
	}
	return v.Kind() == event.Object || !v.Falsy()
}

func compileIf(c *compiler, v event.Value, pointer string) node {
	o, ok := c.readOptions(v, pointer)
	if !ok {
		return nil
	}
	exists, blank := v.Get("exists"), v.Get("blank")
	if exists.Falsy() && blank.Falsy() {
		c.problems.Add(pointer, `should have an "exists" or a "blank" condition`)
		return nil
	}
	o.warnWithoutBranch()
	n := &condition{thenNode: o.compileOptional("then"), elseNode: o.compileOptional("else")}
	tested := exists
	if exists.Kind() != event.Absent {
		n.subject = o.compileOptional("exists")
	} else {
		tested, n.subject, n.blank = blank, o.compileOptional("blank"), true
	}
	n.thenIsSubject = tested.JSON() == v.Get("then").JSON()
	return n
}

// warnWithoutBranch warns about an @if that compiles but cannot mean what it says.
func (o options) warnWithoutBranch() {
	if !o.has("then") && !o.has("else") {
		o.c.warnings.Add(o.pointer, `has neither "then" nor "else", so its result is always absent`)
	}
	if o.has("exists") && o.has("blank") {
		o.c.warnings.Add(o.pointerTo("blank"), `has no effect beside "exists"`)
	}
}

// arrayPath implements @arrayPath: a root, and an optional mapping for each of its items.
type arrayPath struct {
	pointer string
	root    node
	shape   node // nil if the root is returned unchanged
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
			return event.Value{}, tooLarge(n.pointer)
		}
		items = append(items, shaped)
	}
	return checkSize(event.NewArray(items), n.pointer)
}

func (n *arrayPath) describe(v event.Value) string { return "@arrayPath over " + n.root.describe(v) }

func compileArrayPath(c *compiler, v event.Value, pointer string) node {
	if v.Kind() != event.Array {
		c.problems.Add(pointer, "should be an array but it is %s", describeKind(v))
		return nil
	}
	n := &arrayPath{pointer: pointer}
	switch first := v.Index(0); {
	case first.IsString():
		c.warnSelectors(first.Str(), pointer+"/0")
		n.root = path{event.NewPath(first.Str())}
	default:
		n.root = c.stringOrDirective(first, pointer+"/0")
	}
	switch shape := v.Index(1); {
	case shape.Kind() == event.Object && shape.Len() > 0:
		n.shape = c.compileValue(shape, pointer+"/1")
	case shape.Exists() && shape.Kind() != event.Object:
		c.warnings.Add(pointer+"/1", "has no effect: the mapping of the items should be an object but it is %s", shape.Kind().WithArticle())
	}
	if v.Len() > 2 {
		c.warnings.Add(pointer+"/2", "has no effect: @arrayPath has a path and a mapping of the items")
	}
	return n
}

// transform implements @transform: the second mapping sees only the result of the first.
type transform struct {
	pointer        string
	apply, mapping node
}

func (n transform) resolve(v event.Value) (event.Value, error) {
	inner, err := n.apply.resolve(v)
	if err != nil {
		return event.Value{}, err
	}
	if inner.Kind() != event.Object {
		return event.Value{}, mappingError(n.pointer+"/apply", "should produce an object but it produced %s", inner.Kind().WithArticle())
	}
	return n.mapping.resolve(inner)
}

func (transform) describe(event.Value) string { return "@transform" }

func compileTransform(c *compiler, v event.Value, pointer string) node {
	o, ok := c.readOptions(v, pointer)
	if !ok {
		return nil
	}
	n := transform{pointer: pointer}
	if apply, ok := o.requiredValue("apply"); ok {
		n.apply = c.objectOrDirective(apply, o.pointerTo("apply"))
	}
	if mapping, ok := o.requiredValue("mapping"); ok {
		n.mapping = c.objectOrDirective(mapping, o.pointerTo("mapping"))
	}
	return n
}
