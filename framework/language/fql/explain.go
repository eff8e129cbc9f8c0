package fql

import (
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Explanation says whether an event matched a query, condition by condition. It includes the conditions that no longer affect the
// result.
type Explanation struct {
	Text    string        `json:"text"` // the condition; "all of", "any of" or "none of" for one with parts
	Matched bool          `json:"matched"`
	Found   []Found       `json:"found,omitempty"` // the values of the fields that the condition reads
	Why     string        `json:"why,omitempty"`   // a rule of the language that decided the result, if it may be surprising
	Parts   []Explanation `json:"parts,omitempty"`
}

// Found is the value of a field in an event.
type Found struct {
	Path  string `json:"path"`
	Value string `json:"value"` // JSON, truncated to about 100 characters, or "nothing" if the field is absent
}

// Explain returns why the query matches an event or does not.
func (q *Query) Explain(root event.Value) Explanation {
	if root.Kind() != event.Object {
		return Explanation{Text: "the event", Why: "an event is an object, and this is " + root.Kind().WithArticle()}
	}
	return q.root.explain(root)
}

// String returns the explanation as a tree, one condition per line.
func (e Explanation) String() string {
	var b strings.Builder
	e.writeTree(&b, "")
	return b.String()
}

func (e Explanation) writeTree(b *strings.Builder, margin string) {
	b.WriteString(margin + textIf(e.Matched, "✓ ", "✗ ") + e.Text)
	for i, f := range e.Found {
		b.WriteString(textIf(i == 0, "  ← ", ", ") + f.Path + ": " + f.Value)
	}
	if e.Why != "" {
		b.WriteString(" (" + e.Why + ")")
	}
	b.WriteByte('\n')
	for _, part := range e.Parts {
		part.writeTree(b, margin+"  ")
	}
}

func (g group) explain(root event.Value) Explanation {
	e := Explanation{Text: textIf(g.or, "any of", "all of"), Matched: g.matches(root)}
	for _, part := range g.parts {
		e.Parts = append(e.Parts, part.explain(root))
	}
	return e
}

func (n not) explain(root event.Value) Explanation {
	return Explanation{Text: "none of", Matched: n.matches(root), Parts: []Explanation{n.part.explain(root)}}
}

func (h valueTest) explain(root event.Value) Explanation { return explainLeaf(h, root, h.operand) }

func (c comparison) explain(root event.Value) Explanation {
	e := explainLeaf(c, root, c.left, c.right)
	if c.wantsNumber() {
		e.Why = kindMismatch("numbers", event.Number, c.left.evaluate(root), c.right.evaluate(root))
	}
	return e
}

func (l negatedTextTest) explain(root event.Value) Explanation {
	e := explainLeaf(l, root, l.call)
	if arg := l.firstNonText(root); arg != nil {
		e.Why = kindMismatch("text", event.String, arg.evaluate(root))
	}
	return e
}

// kindMismatch returns a message if one of the values has another kind than a condition accepts, and "" otherwise.
func kindMismatch(what string, kind event.Kind, values ...event.Value) string {
	for _, v := range values {
		switch v.Kind() {
		case kind:
		case event.Absent:
			return "this condition accepts only " + what + ", but the field is absent"
		default:
			return "this condition accepts only " + what + ", not " + v.Kind().WithArticle()
		}
	}
	return ""
}

// explainLeaf explains a condition without parts.
func explainLeaf(c condition, root event.Value, operands ...operand) Explanation {
	e := Explanation{Text: c.String(), Matched: c.matches(root)}
	seen := map[*field]bool{}
	for _, o := range operands {
		o.eachField(func(f *field) {
			if !seen[f] {
				seen[f] = true
				e.Found = append(e.Found, Found{f.text, shortJSON(f.evaluate(root))})
			}
		})
	}
	return e
}

// maxShortJSON is the maximum length of a displayed value, in characters.
const maxShortJSON = 100

// shortJSON returns a value as truncated JSON.
func shortJSON(v event.Value) string {
	if v.Kind() == event.Absent {
		return v.Kind().String()
	}
	return fault.Shorten(string(appendShortJSON(nil, v)), maxShortJSON)
}

// appendShortJSON appends the beginning of a value's JSON, at least as much as is displayed.
func appendShortJSON(dst []byte, v event.Value) []byte {
	const enough = maxShortJSON * 4
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
			dst = appendShortJSON(dst, item)
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
			dst = appendShortJSON(dst, member)
		}
		return append(dst, '}')
	}
	return v.AppendJSON(dst)
}
