package yamldoc

import (
	"regexp"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// Write returns a value as readable YAML. Parse returns the same value. Objects and lists are written in block style, except short
// flat ones such as {"@path": $.userId}.
func Write(v event.Value) []byte {
	if text, ok := flowText(v); ok {
		return []byte(text + "\n")
	}
	return appendBlock(nil, v, 0)
}

// appendBlock appends the members or items of a value in block style.
func appendBlock(dst []byte, v event.Value, indent int) []byte {
	margin := strings.Repeat("  ", indent)
	if v.Kind() == event.Array {
		for _, item := range v.Items() {
			dst = append(dst, margin+"- "...)
			if text, ok := inlineText(item); ok {
				dst = append(dst, text+"\n"...)
				continue
			}
			inner := appendBlock(nil, item, indent+1)
			dst = append(dst, inner[len(margin)+2:]...)
		}
		return dst
	}
	for key, m := range v.Members() {
		dst = append(dst, margin+scalarText(key)+":"...)
		if text, ok := inlineText(m); ok {
			dst = append(dst, " "+text+"\n"...)
			continue
		}
		dst = appendBlock(append(dst, '\n'), m, indent+1)
	}
	return dst
}

// maxFlow is the maximum length of an object or list in flow style.
const maxFlow = 80

// flowText returns a value in flow style, on one line. ok is false if the value should be in block style.
func flowText(v event.Value) (text string, ok bool) {
	switch v.Kind() {
	case event.String:
		return scalarText(v.Str()), true
	case event.Array, event.Object:
	default:
		return v.JSON(), true
	}
	var parts []string
	add := func(prefix string, m event.Value) bool {
		nested := m.Len() > 0 && (m.Kind() == event.Array || m.Kind() == event.Object)
		part, short := flowText(m)
		parts = append(parts, prefix+part)
		return short && !nested && !strings.ContainsAny(part[1:max(1, len(part)-1)], ",[]{}")
	}
	ok = true
	opens, closes := "{", "}"
	if v.Kind() == event.Array {
		opens, closes = "[", "]"
		for _, item := range v.Items() {
			ok = add("", item) && ok
		}
	}
	for key, m := range v.Members() {
		ok = add(scalarText(key)+": ", m) && ok
	}
	text = opens + strings.Join(parts, ", ") + closes
	directive := v.Len() <= 1 || v.Kind() == event.Array
	return text, ok && directive && len(text) <= maxFlow
}

// inlineText returns a value that follows a key or a dash on the same line. ok is false if it needs lines of its own.
func inlineText(v event.Value) (text string, ok bool) {
	if v.IsString() && secretReference.MatchString(v.Str()) {
		return v.Str(), true
	}
	return flowText(v)
}

var (
	// secretReference matches a reference to a secret, which needs no quotes outside of flow style.
	secretReference = regexp.MustCompile(`^\$\{[A-Za-z0-9_]+\}$`)
	// plainScalar matches texts that YAML reads as themselves without quotes, alone on a line or after a key.
	plainScalar = regexp.MustCompile(`^[A-Za-z$][A-Za-z0-9_$.=()'"/@+! -]*$`)
	// reservedWords matches texts that YAML 1.1 or 1.2 reads as another type.
	reservedWords = regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|null|y|n|nan|inf)$`)
)

// scalarText returns a text without quotes if it does not need them, and with quotes otherwise.
func scalarText(text string) string {
	if plainScalar.MatchString(text) && !reservedWords.MatchString(text) && !strings.HasSuffix(text, " ") {
		return text
	}
	return string(event.AppendString(nil, text))
}
