package yamldoc

import (
	"regexp"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// Write is a value as YAML that people read, which Parse reads as the same value. Objects and lists stand on lines of their own,
// save short ones without others in them, such as {"@path": $.userId}.
func Write(v event.Value) []byte {
	if text, ok := flow(v); ok {
		return []byte(text + "\n")
	}
	return block(nil, v, 0)
}

// block appends the members or items of a value, each on lines of its own.
func block(dst []byte, v event.Value, indent int) []byte {
	margin := strings.Repeat("  ", indent)
	if v.Kind() == event.Array {
		for _, item := range v.Items() {
			dst = append(dst, margin+"- "...)
			if text, ok := line(item); ok {
				dst = append(dst, text+"\n"...)
				continue
			}
			inner := block(nil, item, indent+1)
			dst = append(dst, inner[len(margin)+2:]...)
		}
		return dst
	}
	for key, m := range v.Members() {
		dst = append(dst, margin+plain(key)+":"...)
		if text, ok := line(m); ok {
			dst = append(dst, " "+text+"\n"...)
			continue
		}
		dst = block(append(dst, '\n'), m, indent+1)
	}
	return dst
}

// maxFlow is the length to which an object or a list stands on one line.
const maxFlow = 80

// flow is a value on one line; ok is false for one that should not be.
func flow(v event.Value) (text string, ok bool) {
	switch v.Kind() {
	case event.String:
		return plain(v.Str()), true
	case event.Array, event.Object:
	default:
		return v.JSON(), true
	}
	var parts []string
	add := func(prefix string, m event.Value) bool {
		nested := m.Len() > 0 && (m.Kind() == event.Array || m.Kind() == event.Object)
		part, short := flow(m)
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
		ok = add(plain(key)+": ", m) && ok
	}
	text = opens + strings.Join(parts, ", ") + closes
	directive := v.Len() <= 1 || v.Kind() == event.Array
	return text, ok && directive && len(text) <= maxFlow
}

// line is a value behind a key or in a list of its own, where it fits on the line.
func line(v event.Value) (text string, ok bool) {
	if v.IsString() && reference.MatchString(v.Str()) {
		return v.Str(), true
	}
	return flow(v)
}

var (
	// reference is a secret's place, which needs no quotes outside of flow.
	reference = regexp.MustCompile(`^\$\{[A-Za-z0-9_]+\}$`)
	// safe are texts that YAML reads as themselves, on a line of their own and behind a key.
	safe = regexp.MustCompile(`^[A-Za-z$][A-Za-z0-9_$.=()'"/@+! -]*$`)
	// words are texts that YAML, or a version of it, takes for something else.
	words = regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|null|y|n|nan|inf)$`)
)

// plain is a text without quotes where it can do without.
func plain(text string) string {
	if safe.MatchString(text) && !words.MatchString(text) && !strings.HasSuffix(text, " ") {
		return text
	}
	return string(event.AppendString(nil, text))
}
