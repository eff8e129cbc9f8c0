package mapping

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"

	"github.com/landfall-dev/landfall/framework/event"
)

// placeholder is {{{path}}} or {{path}}.
var placeholder = regexp.MustCompile(`\{\{\{([^}]+)\}\}\}|\{\{([^}]+)\}\}`)

// template is a @template: text with paths between.
type template struct {
	place string
	parts []part
}

// part is some text and, unless last, the path whose value follows it.
type part struct {
	text string
	path event.Path
	last bool
}

func newTemplate(text, place string) *template {
	t := &template{place: place}
	from := 0
	for _, at := range placeholder.FindAllStringSubmatchIndex(text, -1) {
		inner := at[2:4]
		if inner[0] < 0 {
			inner = at[4:6]
		}
		path := event.NewPath(strings.TrimSpace(text[inner[0]:inner[1]]))
		t.parts = append(t.parts, part{text: text[from:at[0]], path: path})
		from = at[1]
	}
	t.parts = append(t.parts, part{text: text[from:], last: true})
	return t
}

func (t *template) resolve(v event.Value) (event.Value, error) {
	if len(t.parts) == 1 {
		return event.NewString(t.parts[0].text), nil
	}
	var b strings.Builder
	for i := range t.parts {
		b.WriteString(t.parts[i].text)
		if !t.parts[i].last {
			b.WriteString(t.parts[i].path.Read(v).Text())
		}
		if b.Len() > MaxOutput {
			return event.Value{}, tooLarge(t.place)
		}
	}
	return event.NewString(b.String()), nil
}

// dynamicTemplate renders the template that another part of the mapping gives.
type dynamicTemplate struct {
	place string
	text  node
}

func (n dynamicTemplate) resolve(v event.Value) (event.Value, error) {
	text, err := n.text.resolve(v)
	if err != nil {
		return event.Value{}, err
	}
	if !text.IsString() {
		return event.Value{}, failed(n.place, "needs a string but got %s", text.Kind().WithArticle())
	}
	return newTemplate(text.Str(), n.place).resolve(v)
}

func compileTemplate(c *compiler, v event.Value, place string) node {
	if v.IsString() {
		return newTemplate(v.Str(), place)
	}
	return dynamicTemplate{place, c.stringOrDirective(v, place)}
}

// letterCase is a @case.
type letterCase struct {
	upper bool
	value node
}

func (n letterCase) resolve(v event.Value) (event.Value, error) {
	value, err := n.value.resolve(v)
	if err != nil || !value.IsString() {
		return value, err
	}
	text := value.Str()
	if isASCII(text) {
		if n.upper {
			return event.NewString(strings.ToUpper(text)), nil
		}
		return event.NewString(strings.ToLower(text)), nil
	}
	caser := cases.Lower(language.Und) // a Caser keeps state: each use has its own
	if n.upper {
		caser = cases.Upper(language.Und)
	}
	return event.NewString(caser.String(text)), nil
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func compileCase(c *compiler, v event.Value, place string) node {
	o, ok := c.options(v, place)
	if !ok {
		return nil
	}
	n := letterCase{upper: o.choice("operator", "lower", "upper") == "upper", value: literal{}}
	if value := v.Get("value"); !value.Falsy() {
		n.value = c.stringOrDirective(value, o.at("value"))
	}
	return n
}

// The bounds of @replace, in UTF-16 units.
const (
	maxPattern     = 10
	maxReplacement = 10
)

// replace is a @replace.
type replace struct {
	place      string
	value      node
	steps      []replacement
	all        bool
	ignoreCase bool
}

type replacement struct{ pattern, with string }

func (n *replace) resolve(v event.Value) (event.Value, error) {
	value, err := n.value.resolve(v)
	if err != nil {
		return event.Value{}, err
	}
	switch value.Kind() {
	case event.String, event.Number, event.True, event.False:
	default:
		return event.NewString(""), nil
	}
	text := value.Text()
	for _, step := range n.steps {
		if text = n.apply(text, step); len(text) > MaxOutput {
			return event.Value{}, tooLarge(n.place)
		}
	}
	return event.NewString(text), nil
}

func (n *replace) apply(text string, step replacement) string {
	if !n.ignoreCase {
		if n.all {
			return strings.ReplaceAll(text, step.pattern, step.with)
		}
		return strings.Replace(text, step.pattern, step.with, 1)
	}
	var b strings.Builder
	for text != "" {
		if size := foldedPrefix(text, step.pattern); size > 0 {
			b.WriteString(step.with)
			text = text[size:]
			if !n.all {
				break
			}
			continue
		}
		_, size := utf8.DecodeRuneInString(text)
		b.WriteString(text[:size])
		text = text[size:]
	}
	b.WriteString(text)
	return b.String()
}

// foldedPrefix is the number of bytes at the start of text that are pattern but for case, 0 where they are not.
func foldedPrefix(text, pattern string) int {
	at := 0
	for _, want := range pattern {
		got, size := utf8.DecodeRuneInString(text[at:])
		if size == 0 || folded(got) != folded(want) {
			return 0
		}
		at += size
	}
	return at
}

// folded is how a regular expression of ECMAScript sees a character when it ignores case.
func folded(r rune) rune {
	if upper := unicode.ToUpper(r); r < utf8.RuneSelf || upper >= utf8.RuneSelf {
		return upper
	}
	return r
}

func compileReplace(c *compiler, v event.Value, place string) node {
	o, ok := c.options(v, place)
	if !ok {
		return nil
	}
	n := &replace{place: place, all: o.flag("global", true), ignoreCase: o.flag("ignorecase", false)}
	if value, ok := o.required("value"); ok {
		n.value = c.stringOrDirective(value, o.at("value"))
	}
	if _, ok := o.required("pattern"); ok {
		pattern := o.text("pattern", "", 1, maxPattern)
		n.steps = append(n.steps, replacement{pattern, o.text("replacement", "", 0, maxReplacement)})
	}
	second := replacement{o.text("pattern2", "", 0, maxPattern), o.text("replacement2", "", 0, maxReplacement)}
	if second.pattern != "" {
		n.steps = append(n.steps, second)
	}
	return n
}
