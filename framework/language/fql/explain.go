package fql

import (
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// Explanation says whether an event matched a query, condition by condition. All conditions are tried, also those that
// no longer decide.
type Explanation struct {
	Text    string        `json:"text"` // the condition; "all of", "any of" or "none of" for one that has parts
	Matched bool          `json:"matched"`
	Found   []Found       `json:"found,omitempty"` // what the event holds in the fields of the condition
	Why     string        `json:"why,omitempty"`   // a rule of the language that decided, where it may surprise
	Parts   []Explanation `json:"parts,omitempty"`
}

// Found is a field and what an event holds there.
type Found struct {
	Path  string `json:"path"`
	Value string `json:"value"` // JSON, cut at about 100 characters; the word nothing where the field is absent
}

// Explain says why the query takes an event, or why not.
func (q *Query) Explain(root event.Value) Explanation {
	if root.Kind() != event.Object {
		return Explanation{Text: "the event", Why: "an event is an object, and this is " + root.Kind().WithArticle()}
	}
	return q.root.explain(root)
}

// String draws the tree, one condition a line.
func (e Explanation) String() string {
	var b strings.Builder
	e.draw(&b, "")
	return b.String()
}

func (e Explanation) draw(b *strings.Builder, margin string) {
	b.WriteString(margin + choose(e.Matched, "✓ ", "✗ ") + e.Text)
	for i, f := range e.Found {
		b.WriteString(choose(i == 0, "  ← ", ", ") + f.Path + ": " + f.Value)
	}
	if e.Why != "" {
		b.WriteString(" (" + e.Why + ")")
	}
	b.WriteByte('\n')
	for _, part := range e.Parts {
		part.draw(b, margin+"  ")
	}
}

func (g group) explain(root event.Value) Explanation {
	e := Explanation{Text: choose(g.or, "any of", "all of"), Matched: g.match(root)}
	for _, part := range g.parts {
		e.Parts = append(e.Parts, part.explain(root))
	}
	return e
}

func (n not) explain(root event.Value) Explanation {
	return Explanation{Text: "none of", Matched: n.match(root), Parts: []Explanation{n.part.explain(root)}}
}

func (h holds) explain(root event.Value) Explanation { return leaf(h, root, h.of) }

func (c comparison) explain(root event.Value) Explanation {
	e := leaf(c, root, c.left, c.right)
	if c.wantsNumber() {
		e.Why = only("numbers", event.Number, c.left.value(root), c.right.value(root))
	}
	return e
}

func (l lacks) explain(root event.Value) Explanation {
	e := leaf(l, root, l.test)
	if arg := l.noText(root); arg != nil {
		e.Why = only("text", event.String, arg.value(root))
	}
	return e
}

// only says that one of the values is not of the kind that a condition takes; it is empty where all are.
func only(what string, kind event.Kind, values ...event.Value) string {
	for _, v := range values {
		switch v.Kind() {
		case kind:
		case event.Absent:
			return "this takes only " + what + ", and nothing is there"
		default:
			return "this takes only " + what + ", not " + v.Kind().WithArticle()
		}
	}
	return ""
}

// leaf explains a condition without parts.
func leaf(c condition, root event.Value, operands ...operand) Explanation {
	e := Explanation{Text: c.String(), Matched: c.match(root)}
	seen := map[*field]bool{}
	for _, o := range operands {
		o.fields(func(f *field) {
			if !seen[f] {
				seen[f] = true
				e.Found = append(e.Found, Found{f.text, brief(f.value(root))})
			}
		})
	}
	return e
}

// maxBrief is where the JSON of a value found is cut, in characters.
const maxBrief = 100

// brief is a value as JSON, cut where it is long.
func brief(v event.Value) string {
	if v.Kind() == event.Absent {
		return v.Kind().String()
	}
	b := appendBrief(nil, v)
	if runes := []rune(string(b)); len(runes) > maxBrief {
		return string(runes[:maxBrief]) + "…"
	}
	return string(b)
}

// appendBrief appends the start of a value's JSON, at least as much of it as is shown.
func appendBrief(dst []byte, v event.Value) []byte {
	const enough = maxBrief * 4
	switch v.Kind() {
	case event.String:
		s := v.Str()
		return event.AppendString(dst, s[:min(len(s), enough)])
	case event.Array:
		dst = append(dst, '[')
		for i, item := range v.Items() {
			if len(dst) > enough {
				return dst
			}
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendBrief(dst, item)
		}
		return append(dst, ']')
	case event.Object:
		dst = append(dst, '{')
		first := true
		for key, member := range v.Members() {
			if len(dst) > enough {
				return dst
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(event.AppendString(dst, key[:min(len(key), enough)]), ':')
			dst = appendBrief(dst, member)
		}
		return append(dst, '}')
	}
	return v.AppendJSON(dst)
}
