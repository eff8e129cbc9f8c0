package mapping

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// internalDirective is the key at the root of a mapping whose value is a directive that is applied to the rest of the mapping.
const internalDirective = "__segment_internal_directive"

// metadata is a key that is ignored beside a directive.
const metadata = "_metadata"

// compiler converts a mapping to nodes and collects its mistakes. A method returns a nil node after it has added a problem.
type compiler struct {
	directives map[string]directive
	optionKeys map[string]func() []string // see optionKeysByName
	problems   fault.Problems
	warnings   fault.Problems
	depth      int
}

// compileRoot compiles a whole mapping.
func (c *compiler) compileRoot(mapping event.Value) node {
	directive := mapping.Get(internalDirective)
	if directive.Kind() == event.Absent {
		return c.compileOutput(mapping, "")
	}
	pointer := fault.PointerKey(internalDirective)
	name, ok := c.directiveName(directive, pointer)
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
	defer c.moveToRoot(pointer + "/" + name + "/mapping")
	return c.compileValue(whole, pointer)
}

// moveToRoot corrects the pointers of problems in the rest of a mapping, which a directive at its root got as the option at place.
func (c *compiler) moveToRoot(place string) {
	for _, list := range []fault.Problems{c.problems, c.warnings} {
		for i := range list {
			if rest, inside := strings.CutPrefix(list[i].Pointer, place+"/"); inside {
				list[i].Pointer = "/" + rest
			}
		}
	}
}

// compileOutput compiles a value that is copied to the payload.
func (c *compiler) compileOutput(v event.Value, pointer string) node {
	n := c.compileValue(v, pointer)
	markCopied(n)
	return n
}

func markCopied(n node) {
	switch n := n.(type) {
	case *object:
		n.copied = true
		for _, child := range n.nodes {
			markCopied(child)
		}
	case *array:
		for _, item := range n.items {
			markCopied(item)
		}
	}
}

// compileValue compiles a directive, or a plain value that may contain directives.
func (c *compiler) compileValue(v event.Value, pointer string) node {
	c.depth++
	defer func() { c.depth-- }()
	if c.depth > MaxDepth {
		c.problems.Add(pointer, "is nested deeper than %d", MaxDepth)
		return nil
	}
	switch v.Kind() {
	case event.Object:
		if isDirective(v) {
			return c.compileDirective(v, pointer)
		}
		return c.compileObject(v, pointer)
	case event.Array:
		return c.compileArray(v, pointer)
	}
	return literal{v}
}

func (c *compiler) compileObject(v event.Value, pointer string) node {
	n, keys, constant := &object{pointer: pointer}, []string(nil), []event.Member{}
	for key, m := range v.Members() {
		child := c.compileValue(m, pointer+fault.PointerKey(key))
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

func (c *compiler) compileArray(v event.Value, pointer string) node {
	n, constant := &array{pointer: pointer}, []event.Value{}
	for i, item := range v.Items() {
		child := c.compileValue(item, fmt.Sprintf("%s/%d", pointer, i))
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

// IsDirective reports whether a mapping as a whole is one directive, which produces all keys of the payload.
func IsDirective(mapping event.Value) bool { return isDirective(mapping) }

// isDirective reports whether an object is meant as a directive: it has a key that starts with @.
func isDirective(v event.Value) bool {
	for key := range v.Members() {
		if strings.HasPrefix(key, "@") {
			return true
		}
	}
	return false
}

func (c *compiler) compileDirective(v event.Value, pointer string) node {
	name, ok := c.directiveName(v, pointer)
	if !ok {
		return nil
	}
	c.checkOptions(name, v.Get(name), pointer+"/"+name)
	return c.directives[name].compile(c, v.Get(name), pointer+"/"+name)
}

// checkOptions warns about keys that a directive does not have. Segment ignores them, so a mapping with one is valid.
func (c *compiler) checkOptions(directive string, argument event.Value, pointer string) {
	if argument.Kind() != event.Object || isDirective(argument) {
		return
	}
	known := c.optionKeys[directive]()
	if known == nil {
		return
	}
	for key := range argument.Members() {
		if !slices.Contains(known, key) {
			c.warnings.Add(pointer+fault.PointerKey(key), "%s has no key %q, so it has no effect%s", directive, truncateText(key), fault.DidYouMean(key, known))
		}
	}
}

// directiveName returns the @-prefixed key of a directive. It adds a problem unless there is exactly one and it is known.
func (c *compiler) directiveName(v event.Value, pointer string) (string, bool) {
	if v.Kind() != event.Object {
		c.problems.Add(pointer, "should be a directive object but it is %s", v.Kind().WithArticle())
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
		c.problems.Add(pointer, "should only have one @-prefixed key but it has %d keys", len(names)+len(others))
		return "", false
	}
	if _, ok := c.directives[names[0]]; !ok {
		known := slices.Sorted(maps.Keys(c.directives))
		c.problems.Add(pointer, "has an invalid directive: %s%s", truncateText(names[0]), fault.DidYouMean(names[0], known))
		return "", false
	}
	return names[0], true
}

// selectors matches the brackets of JSONPath that select several items or count from the end, outside of quotes. They compile, as a part of a
// key.
var selectors = regexp.MustCompile(`(?:^|[^'"])(\[(?:\*|-[0-9]+|[0-9]*:[0-9]*|\?[^]]*)\])`)

// warnSelectors warns about a path that cannot mean what it says. Segment reads it as a key, too.
func (c *compiler) warnSelectors(path, pointer string) {
	if found := selectors.FindStringSubmatch(path); found != nil {
		c.warnings.Add(pointer, "has %s in the path %q, which no value matches: write [0] for an item, or @arrayPath to map each item", truncateText(found[1]), truncateText(path))
	}
}

func truncateText(text string) string { return fault.Shorten(text, 60) }

func quoteText(text string) string { return truncateText(strconv.Quote(text)) }

// describeKind returns the kind of a value for error messages.
func describeKind(v event.Value) string {
	if isDirective(v) {
		return "a directive"
	}
	return v.Kind().WithArticle()
}

// options reads the options of a directive. It adds problems at the keys that they concern.
type options struct {
	c       *compiler
	value   event.Value
	pointer string
}

func (c *compiler) readOptions(v event.Value, pointer string) (options, bool) {
	if v.Kind() != event.Object || isDirective(v) {
		c.problems.Add(pointer, "should be an object but it is %s", describeKind(v))
		return options{}, false
	}
	return options{c, v, pointer}, true
}

func (o options) pointerTo(key string) string { return o.pointer + fault.PointerKey(key) }

func (o options) has(key string) bool { return o.value.Get(key).Kind() != event.Absent }

// requiredValue returns the value of a key and adds a problem if it is missing.
func (o options) requiredValue(key string) (event.Value, bool) {
	v := o.value.Get(key)
	if v.Kind() == event.Absent {
		o.c.problems.Add(o.pointer, "should have field %q but it doesn't", key)
		return v, false
	}
	return v, true
}

// compileOptional compiles the value of a key. A missing key resolves to an absent value.
func (o options) compileOptional(key string) node {
	v := o.value.Get(key)
	if v.Kind() == event.Absent {
		return literal{}
	}
	return o.c.compileValue(v, o.pointerTo(key))
}

// textValue returns the constant string of a key, or fallback. minLen and maxLen limit its length in UTF-16 code units.
func (o options) textValue(key, fallback string, minLen, maxLen int) string {
	v := o.value.Get(key)
	switch {
	case v.Kind() == event.Absent:
		return fallback
	case !v.IsString():
		o.c.problems.Add(o.pointerTo(key), "should be a string but it is %s", describeKind(v))
	case event.UTF16Len(v.Str()) > maxLen:
		o.c.problems.Add(o.pointerTo(key), "should be a string of length %d or less", maxLen)
	case event.UTF16Len(v.Str()) < minLen:
		o.c.problems.Add(o.pointerTo(key), "should be a string of length %d or greater", minLen)
	}
	return v.Str()
}

// flagValue returns the constant boolean of a key, or fallback.
func (o options) flagValue(key string, fallback bool) bool {
	v := o.value.Get(key)
	if v.Kind() == event.Absent {
		return fallback
	}
	b, ok := v.Bool()
	if !ok {
		o.c.problems.Add(o.pointerTo(key), "should be a boolean but it is %s", describeKind(v))
	}
	return b
}

// choiceValue returns the constant string of a key, which must be one of choices.
func (o options) choiceValue(key string, choices ...string) string {
	v, ok := o.requiredValue(key)
	if ok && (!v.IsString() || !slices.Contains(choices, v.Str())) {
		o.c.problems.Add(o.pointerTo(key), "should be %s", orList(choices))
	}
	return v.Str()
}

// orList returns `"a" or "b"`.
func orList(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(quoted, " or ")
}

// stringOrDirective compiles a value that must be a string or a directive that returns one.
func (c *compiler) stringOrDirective(v event.Value, pointer string) node {
	if !v.IsString() && !isDirective(v) {
		c.problems.Add(pointer, "should be a string or a mapping directive but it is %s", v.Kind().WithArticle())
		return nil
	}
	return c.compileValue(v, pointer)
}

// objectOrDirective compiles a value that must be an object or a directive.
func (c *compiler) objectOrDirective(v event.Value, pointer string) node {
	if v.Kind() != event.Object {
		c.problems.Add(pointer, "should be an object or a mapping directive but it is %s", v.Kind().WithArticle())
		return nil
	}
	return c.compileValue(v, pointer)
}
