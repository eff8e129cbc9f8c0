package request

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// Compile compiles a request that has passed the schema of definitions. The error is a fault.Problems with a JSON pointer into
// v for each problem.
func Compile(v event.Value, names Names) (*Request, error) {
	return newCompiler(names).compileAlone(v)
}

// CompileChange compiles a request that both adds and removes members of an audience, like Compile. Its batch.item may read member.
func CompileChange(v event.Value, names Names) (*Request, error) {
	c := newCompiler(names)
	c.isChange = true
	return c.compileAlone(v)
}

func newCompiler(names Names) *compiler { return &compiler{names: maps.Clone(names)} }

// compileAlone compiles a request without a result.
func (c *compiler) compileAlone(v event.Value) (*Request, error) {
	r := c.compileRequest(v)
	if err := c.problems.Err(); err != nil {
		return nil, err
	}
	return r, nil
}

// compileRequest compiles a request or the steps in its place.
func (c *compiler) compileRequest(v event.Value) *Request {
	if b := v.Get("batch"); b.Exists() {
		c.names[Payloads], c.names[Items] = nil, nil
		c.names.addItems(Payloads, Payload)
	}
	c.checkParts(v)
	r := c.compileParts(v, "")
	r.batch = c.compileBatch(v.Get("batch"), "/batch")
	r.refusals = c.compileRefusals(v.Get("refuse"), "/refuse")
	c.compileSteps(r, v.Get("steps"), "/steps")
	r.usesToken, r.usesQuery = c.used[Auth], c.used[Query]
	if r.batch != nil {
		r.shared = c.shared
	}
	return r
}

// checkParts checks that a request has either a URL or steps, and nothing that only steps can have.
func (c *compiler) checkParts(v event.Value) {
	if !v.Get("steps").Exists() {
		if !v.Get("url").Exists() {
			c.problems.Add("", "needs url, or steps")
		}
		return
	}
	for _, key := range []string{"method", "url", "headers", "query", "body", "encoding", "compress", "sign", "response"} {
		if v.Get(key).Exists() {
			c.problems.Add("/"+key, "belongs to a step: the request has steps")
		}
	}
}

// compileParts compiles what a request and a step have in common.
func (c *compiler) compileParts(v event.Value, place string) *Request {
	return &Request{
		method:   c.compileChoice(v.Get("method"), place+"/method", "POST", methods),
		encoding: c.compileChoice(v.Get("encoding"), place+"/encoding", "json", encodings),
		address:  c.compileAddress(v.Get("url"), place+"/url"),
		headers:  c.compileHeaders(v.Get("headers"), place+"/headers"),
		query:    c.compileMapping(v.Get("query"), place+"/query"),
		body:     c.compileMapping(v.Get("body"), place+"/body"),
		compress: c.compileChoice(v.Get("compress"), place+"/compress", uncompressed, compressions),
		sign:     c.compileSignature(v.Get("sign"), place+"/sign"),
		response: c.compileResponse(v.Get("response"), place+"/response"),
	}
}

// CheckMapping checks a mapping of a definition in which texts may be templates: it must compile, use filters that exist, and
// read only these names. The error is a fault.Problems with JSON pointers into v.
func CheckMapping(v event.Value, names Names) error {
	c := &compiler{names: names}
	c.compileMapping(v, "")
	return c.problems.Err()
}

// compiler collects problems and the names that are used.
type compiler struct {
	names    Names
	used     map[string]bool
	shared   []event.Path // paths below payload that are read; an empty path if a mapping reads the whole scope
	isCall   bool         // the request is not made for payloads
	isChange bool         // the request adds and removes members
	problems fault.Problems
}

// compileMapping compiles a mapping in which texts may be templates; nil if v is absent.
func (c *compiler) compileMapping(v event.Value, place string) *mapping.Mapping {
	if v.Kind() == event.Absent {
		return nil
	}
	v = mapping.ConvertTemplates(v)
	m, err := mapping.Compile(v)
	c.problems.AddUnder(place, err)
	if err == nil {
		c.problems.AddUnder(place, m.Warnings().Err())
		c.problems.AddUnder(place, mapping.Mistakes(v).Err())
	}
	c.checkReferences(v, place)
	return m
}

// compileChoice compiles a mapping whose value is one of choices.
func (c *compiler) compileChoice(v event.Value, place, otherwise string, choices []string) *mapping.Mapping {
	if v.Kind() == event.Absent {
		v = event.NewString(otherwise)
	}
	if v.IsString() && !strings.Contains(v.Str(), "{{") && !slices.Contains(choices, v.Str()) {
		c.problems.Add(place, "should be one of %s, but is %q%s", strings.Join(choices, ", "), v.Str(), fault.DidYouMean(v.Str(), choices))
	}
	return c.compileMapping(v, place)
}

// compileHeaders compiles a mapping of headers.
func (c *compiler) compileHeaders(v event.Value, place string) *mapping.Mapping {
	for name := range v.Members() {
		if !strings.HasPrefix(name, "@") && !httpguts.ValidHeaderFieldName(name) {
			c.problems.Add(place+fault.PointerKey(name), "is not a valid header name")
		}
	}
	return c.compileMapping(v, place)
}

// literalKeys are the keys of texts in which {{ has no special meaning.
var literalKeys = []string{"@literal", "pattern", "replacement", "pattern2", "replacement2"}

// checkReferences checks the names that a mapping reads, at every depth that sees the scope. A text with {{ can only be left
// inside a directive, where it is not a template.
func (c *compiler) checkReferences(v event.Value, place string) {
	if strings.Contains(v.Str(), "{{") {
		c.problems.Add(place, `is inside a directive, where {{…}} is not a template: write {"@template": …}, or {"@literal": …} for the braces`)
	}
	if c.isPath(v.Str()) {
		c.problems.Add(place, `is the text %q: write {"@path": %s} for the value at this path, or {"@literal": …} for the text`, fault.Shorten(v.Str(), 80), fault.Shorten(v.Str(), 80))
	}
	for i, item := range v.Items() {
		c.checkReferences(item, fmt.Sprintf("%s/%d", place, i))
	}
	for key, m := range v.Members() {
		inner := place + fault.PointerKey(key)
		references, reads := mapping.References(key, m)
		for _, r := range references {
			c.checkPath(r.Path, inner+r.Pointer)
		}
		for _, r := range mapping.IndirectReferences(key, m) {
			c.checkKeys(r.Path.Keys(), inner)
		}
		switch {
		case key == "@arrayPath":
			c.checkArrayPath(m, inner)
		case m.IsString() && (reads || slices.Contains(literalKeys, key)): // braces have no meaning here, or are checked
		case strings.HasPrefix(key, "@") && c.isPath(m.Str()): // an unknown directive, which is reported
		case key == "@transform":
			c.checkReferences(m.Get("apply"), inner+"/apply")
			c.checkTransform(m, inner+"/mapping")
		default:
			c.checkReferences(m, inner)
		}
	}
}

// checkArrayPath checks the list of an @arrayPath, and its shape, which reads the items of the list.
func (c *compiler) checkArrayPath(m event.Value, place string) {
	if !m.Index(0).IsString() {
		c.checkReferences(m.Index(0), place+"/0")
		return
	}
	if names, ok := c.names.below(event.NewPath(m.Index(0).Str()).Keys()); ok {
		inner := &compiler{names: names}
		inner.checkReferences(m.Index(1), place+"/1")
		c.problems = append(c.problems, inner.problems...)
	}
}

// isPath reports whether a text is most likely a path that should be read, such as $.payload.email.
func (c *compiler) isPath(text string) bool {
	path, ok := strings.CutPrefix(text, "$.")
	if !ok || strings.ContainsAny(path, " \n{}") {
		return false
	}
	name := path[:len(path)-len(strings.TrimLeft(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))]
	_, known := c.names[name]
	return known && slices.Contains(pathNames, name)
}

// pathNames are the names that no path of an API's own language is likely to begin with.
var pathNames = []string{Payload, "settings", "auth", "answers", "audience", "user", "inputs", "hooks"}

// checkTransform checks the mapping of a @transform against the keys of the object that it is applied to, if they are constant.
func (c *compiler) checkTransform(transform event.Value, place string) {
	apply := transform.Get("apply")
	if apply.Kind() != event.Object || mapping.IsDirective(apply) {
		return
	}
	inner := &compiler{names: Names{}}
	for key := range apply.Members() {
		inner.names[key] = nil
	}
	inner.checkReferences(transform.Get("mapping"), place)
	c.problems = append(c.problems, inner.problems...)
}

func (c *compiler) recordName(name string) {
	if c.used == nil {
		c.used = map[string]bool{}
	}
	c.used[name] = true
}

// recordShared records a path below payload. All payloads of a request must agree in it.
func (c *compiler) recordShared(name string, keys []string) {
	if name == Payload {
		c.shared = append(c.shared, event.PathOf(keys...))
	}
}

// checkPath checks that a path begins with a name of the scope, followed by a known key.
func (c *compiler) checkPath(path event.Path, place string) {
	keys := path.Keys()
	if len(keys) == 0 { // the whole scope
		c.recordShared(Payload, nil)
		return
	}
	if _, ok := c.names[keys[0]]; !ok {
		names := c.names.members()
		c.problems.Add(place, "reads %q, but the names here are %s%s", keys[0], strings.Join(names, ", "), fault.DidYouMean(keys[0], names))
		return
	}
	c.recordName(keys[0])
	c.recordShared(keys[0], keys[1:])
	c.checkKeys(keys, place)
}

// checkKeys checks that the keys of a path are known.
func (c *compiler) checkKeys(keys []string, place string) {
	before, key, known, found := c.names.unknownKey(keys)
	switch {
	case found && key == mapping.AnyItem:
		c.problems.Add(place, "reads the items of %s, which is an object and not a list", before)
	case found && strings.Contains(key, " |"):
		c.problems.Add(place, "reads the key %q of %s: a path has no filters, which need {\"@liquid\": …}", key, before)
	case found:
		c.problems.Add(place, "reads %s.%s, which does not exist%s", before, key, fault.DidYouMean(key, known))
	}
}
