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

// placeholder matches {{{path}}} and {{path}}.
var placeholder = regexp.MustCompile(`\{\{\{([^}]+)\}\}\}|\{\{([^}]+)\}\}`)

// template implements @template: text with paths in between.
type template struct {
	pointer string
	parts   []part
}

// part is a piece of text and, unless it is the last part, the path whose value follows it.
type part struct {
	text string
	path event.Path
	last bool
}

func newTemplate(text, pointer string) *template {
	t := &template{pointer: pointer}
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
			return event.Value{}, tooLarge(t.pointer)
		}
	}
	return event.NewString(b.String()), nil
}

func (t *template) describe(event.Value) string {
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.text)
		if !p.last {
			b.WriteString("{{" + p.path.String() + "}}")
		}
	}
	return "@template " + quoteText(b.String())
}

// dynamicTemplate implements @template with a template that another directive provides.
type dynamicTemplate struct {
	pointer string
	text    node
}

func (n dynamicTemplate) resolve(v event.Value) (event.Value, error) {
	text, err := n.text.resolve(v)
	if err != nil {
		return event.Value{}, err
	}
	if !text.IsString() {
		return event.Value{}, mappingError(n.pointer, "needs a string but got %s", text.Kind().WithArticle())
	}
	return newTemplate(text.Str(), n.pointer).resolve(v)
}

func (n dynamicTemplate) describe(v event.Value) string { return "@template of " + n.text.describe(v) }

func compileTemplate(c *compiler, v event.Value, pointer string) node {
	if v.IsString() {
		t := newTemplate(v.Str(), pointer)
		for _, p := range t.parts {
			c.warnSelectors(p.path.String(), pointer)
		}
		return t
	}
	return dynamicTemplate{pointer, c.stringOrDirective(v, pointer)}
}

// letterCase implements @case.
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
	caser := cases.Lower(language.Und) // a Caser has state, so each use needs its own
	if n.upper {
		caser = cases.Upper(language.Und)
	}
	return event.NewString(caser.String(text)), nil
}

func (n letterCase) describe(v event.Value) string { return "@case of " + n.value.describe(v) }

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func compileCase(c *compiler, v event.Value, pointer string) node {
	o, ok := c.readOptions(v, pointer)
	if !ok {
		return nil
	}
	n := letterCase{upper: o.choiceValue("operator", "lower", "upper") == "upper", value: literal{}}
	if value := v.Get("value"); !value.Falsy() {
		n.value = c.stringOrDirective(value, o.pointerTo("value"))
	} else if !o.has("value") {
		c.warnings.Add(pointer, `has no "value", so its result is always absent`)
	}
	return n
}

// The limits of @replace, in UTF-16 code units.
const (
	maxPattern     = 10
	maxReplacement = 10
)

// replace implements @replace.
type replace struct {
	pointer    string
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
		if text = n.applyStep(text, step); len(text) > MaxOutput {
			return event.Value{}, tooLarge(n.pointer)
		}
	}
	return event.NewString(text), nil
}

func (n *replace) describe(v event.Value) string { return "@replace in " + n.value.describe(v) }

func (n *replace) applyStep(text string, step replacement) string {
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

// foldedPrefix returns the number of bytes at the beginning of text that equal pattern regardless of case, or 0.
func foldedPrefix(text, pattern string) int {
	at := 0
	for _, want := range pattern {
		got, size := utf8.DecodeRuneInString(text[at:])
		if size == 0 || foldCase(got) != foldCase(want) {
			return 0
		}
		at += size
	}
	return at
}

// foldCase maps a character as a regular expression of ECMAScript does when it ignores case.
func foldCase(r rune) rune {
	if upper := unicode.ToUpper(r); r < utf8.RuneSelf || upper >= utf8.RuneSelf {
		return upper
	}
	return r
}

func compileReplace(c *compiler, v event.Value, pointer string) node {
	o, ok := c.readOptions(v, pointer)
	if !ok {
		return nil
	}
	n := &replace{pointer: pointer, all: o.flagValue("global", true), ignoreCase: o.flagValue("ignorecase", false)}
	if value, ok := o.requiredValue("value"); ok {
		n.value = c.stringOrDirective(value, o.pointerTo("value"))
	}
	if _, ok := o.requiredValue("pattern"); ok {
		pattern := o.textValue("pattern", "", 1, maxPattern)
		n.steps = append(n.steps, replacement{pattern, o.textValue("replacement", "", 0, maxReplacement)})
	}
	second := replacement{o.textValue("pattern2", "", 0, maxPattern), o.textValue("replacement2", "", 0, maxReplacement)}
	if second.pattern != "" {
		n.steps = append(n.steps, second)
	} else if o.has("replacement2") {
		c.warnings.Add(o.pointerTo("replacement2"), `has no effect without "pattern2"`)
	}
	return n
}
