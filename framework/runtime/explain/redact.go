package explain

import (
	"regexp"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// maxShownLiteral is the length to which a literal is cut.
const maxShownLiteral = 60

// quoted matches a text in quotes, which may be cut.
var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*("|$)`)

// secretHider hides the secrets of a trace: by their names, as in requests, and in URLs.
type secretHider struct{ *httpx.Redactor }

func newSecretHider() secretHider { return secretHider{httpx.NewRedactor(nil, nil)} }

// from returns where the value of a field comes from.
func (h secretHider) from(t mapping.Trace) string {
	switch {
	case t.Literal:
		return "literal " + fault.Shorten(h.Value(t.Key, t.Value).JSON(), maxShownLiteral)
	case httpx.IsSecretName(t.Key):
		return hideQuoted(t.From)
	}
	return h.Text(t.From)
}

func hideQuoted(text string) string {
	return quoted.ReplaceAllLiteralString(text, `"`+httpx.Hidden+`"`)
}

// conditions hides the values of fields with the names of secrets.
func (h secretHider) conditions(e fql.Explanation) fql.Explanation {
	found := make([]fql.Found, len(e.Found))
	for i, f := range e.Found {
		if found[i] = f; httpx.IsSecretName(f.Path[strings.LastIndexByte(f.Path, '.')+1:]) {
			found[i].Value, e.Text = hideQuoted(f.Value), hideQuoted(e.Text)
		} else {
			found[i].Value = h.Text(f.Value)
		}
	}
	if len(found) > 0 {
		e.Found = found
	}
	parts := make([]fql.Explanation, len(e.Parts))
	for i, part := range e.Parts {
		parts[i] = h.conditions(part)
	}
	if len(parts) > 0 {
		e.Parts = parts
	}
	return e
}

// batchKey returns the key of a batch, which is the JSON of the fields that the payload names, each followed by a comma.
func (h secretHider) batchKey(key string, payload event.Value) string {
	values, err := event.ParseString("[" + strings.TrimSuffix(key, ",") + "]")
	if err != nil {
		return h.Text(key)
	}
	var shown []byte
	names := payload.Get(destination.BatchKeys)
	for i, v := range values.Items() {
		shown = append(h.Value(names.Index(i).Str(), v).AppendJSON(shown), ',')
	}
	return string(shown)
}
