package mapping

import (
	"fmt"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Mistakes returns the paths and templates of a mapping that compile but cannot mean what they say, with a JSON pointer into the
// mapping for each: a bracket that is never closed is read as part of a key, and an unclosed {{ as text.
func Mistakes(mapping event.Value) fault.Problems {
	var found fault.Problems
	directivesByName().findMistakes(mapping, "", &found)
	return found
}

// mistakesFunc adds a problem for each mistake in the argument of a directive.
type mistakesFunc func(v event.Value, place string, found *fault.Problems)

func (t directives) findMistakes(v event.Value, place string, found *fault.Problems) {
	for i, item := range v.Items() {
		t.findMistakes(item, fmt.Sprintf("%s/%d", place, i), found)
	}
	for key, m := range v.Members() {
		inner := place + fault.PointerKey(key)
		if check := t[key].mistakes; check != nil {
			check(m, inner, found)
		}
		t.findMistakes(m, inner, found)
	}
}

func pathMistakes(v event.Value, place string, found *fault.Problems) {
	checkPath(v.Str(), place, found)
}

func arrayPathMistakes(v event.Value, place string, found *fault.Problems) {
	checkPath(v.Index(0).Str(), place+"/0", found)
}

func checkPath(path, place string, found *fault.Problems) {
	if bracket := event.UnpairedBracket(path); bracket != "" {
		found.Add(place, "has an unpaired %s in the path %q, so no value matches: write [0] for an item, ['a key'] for a key", bracket, truncateText(path))
	}
}

func templateMistakes(v event.Value, place string, found *fault.Problems) {
	text := v.Str()
	rest := text
	for _, at := range placeholder.FindAllStringSubmatchIndex(text, -1) {
		for _, group := range [][]int{at[2:4], at[4:6]} {
			if group[0] >= 0 {
				checkPath(strings.TrimSpace(text[group[0]:group[1]]), place, found)
			}
		}
		rest = text[at[1]:]
	}
	if open := strings.LastIndex(rest, "{{"); open >= 0 && !strings.Contains(rest[open:], "}}") {
		found.Add(place, "has {{ without a closing }}, so it stays as text: %q", truncateText(rest[open:]))
	}
}
