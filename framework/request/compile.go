package request

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/mapping"
)

// Compile checks a request whose form has been checked by the schema of definitions. The error is a fault.Problems with a
// JSON pointer into v for each mistake.
func Compile(v event.Value, names Names) (*Request, error) {
	c := &compiler{names: maps.Clone(names)}
	if b := v.Get("batch"); b.Exists() {
		c.names[Payloads], c.names[Items] = nil, nil
	}
	r := &Request{
		method:   c.choice(v.Get("method"), "/method", "POST", methods),
		encoding: c.choice(v.Get("encoding"), "/encoding", "json", encodings),
		address:  c.address(v.Get("url"), "/url"),
		headers:  c.headers(v.Get("headers"), "/headers"),
		query:    c.mapping(mapping.Templates(v.Get("query")), "/query"),
		body:     c.mapping(v.Get("body"), "/body"),
		sign:     c.sign(v.Get("sign"), "/sign"),
		batch:    c.batch(v.Get("batch"), "/batch"),
		answer:   c.answer(v.Get("response"), "/response"),
	}
	r.token, r.asks = c.said[Auth], c.said[Query]
	if err := c.problems.Err(); err != nil {
		return nil, err
	}
	return r, nil
}

// compiler collects what is wrong, and which names are spoken of.
type compiler struct {
	names    Names
	said     map[string]bool
	problems fault.Problems
}

// mapping compiles a mapping; nil where there is none.
func (c *compiler) mapping(v event.Value, place string) *mapping.Mapping {
	if v.Kind() == event.Absent {
		return nil
	}
	m, err := mapping.Compile(v)
	c.problems.Under(place, err)
	c.references(v, place)
	return m
}

// text compiles a mapping of a text, which may be a template.
func (c *compiler) text(v event.Value, place string) *mapping.Mapping {
	return c.mapping(mapping.Templates(v), place)
}

// choice compiles a mapping of one of these texts.
func (c *compiler) choice(v event.Value, place, otherwise string, choices []string) *mapping.Mapping {
	if v.Kind() == event.Absent {
		v = event.NewString(otherwise)
	}
	if v.IsString() && !strings.Contains(v.Str(), "{{") && !slices.Contains(choices, v.Str()) {
		c.problems.Add(place, "should be one of %s, but is %q%s", strings.Join(choices, ", "), v.Str(), fault.DidYouMean(v.Str(), choices))
	}
	return c.text(v, place)
}

// headers compiles a mapping of headers.
func (c *compiler) headers(v event.Value, place string) *mapping.Mapping {
	for name := range v.Members() {
		if !strings.HasPrefix(name, "@") && !httpguts.ValidHeaderFieldName(name) {
			c.problems.Add(place+fault.PointerKey(name), "is no name of a header")
		}
	}
	return c.mapping(mapping.Templates(v), place)
}

// references checks what the paths of a mapping speak of, at every depth where they see the scope.
func (c *compiler) references(v event.Value, place string) {
	for i, item := range v.Items() {
		c.references(item, fmt.Sprintf("%s/%d", place, i))
	}
	for key, m := range v.Members() {
		inner := place + fault.PointerKey(key)
		switch {
		case key == "@path" && m.IsString():
			c.refer(event.NewPath(m.Str()), inner)
		case key == "@template" && m.IsString():
			for _, p := range mapping.Split(m.Str()) {
				if !p.Last {
					c.refer(p.Path, inner)
				}
			}
		case key == "@arrayPath" && m.Index(0).IsString():
			c.refer(event.NewPath(m.Index(0).Str()), inner+"/0")
		case key == "@transform":
			c.references(m.Get("apply"), inner+"/apply")
		case key == "@expr", key == "@liquid":
			c.mention(m.Str())
		default:
			c.references(m, inner)
		}
	}
}

// word is one word of another language.
var word = regexp.MustCompile(`[A-Za-z_]+`)

// mention takes note of names in a text of another language.
func (c *compiler) mention(text string) {
	for _, name := range word.FindAllString(text, -1) {
		if _, ok := c.names[name]; ok {
			c.say(name)
		}
	}
}

func (c *compiler) say(name string) {
	if c.said == nil {
		c.said = map[string]bool{}
	}
	c.said[name] = true
}

// refer checks that a path begins with a name of the scope, and with a key that is known where the keys are.
func (c *compiler) refer(path event.Path, place string) {
	keys := path.Keys()
	if len(keys) == 0 {
		return // the whole scope
	}
	known, ok := c.names[keys[0]]
	if !ok {
		names := slices.Sorted(maps.Keys(c.names))
		c.problems.Add(place, "speaks of %q, but there are only %s here%s", keys[0], strings.Join(names, ", "), fault.DidYouMean(keys[0], names))
		return
	}
	c.say(keys[0])
	if known != nil && len(keys) > 1 && !slices.Contains(known, keys[1]) {
		c.problems.Add(place, "speaks of %s.%s, which there is not%s", keys[0], keys[1], fault.DidYouMean(keys[1], known))
	}
}
