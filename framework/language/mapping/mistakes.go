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
	findMistakes(mapping, "", &found)
	return found
}

func findMistakes(v event.Value, place string, found *fault.Problems) {
	for i, item := range v.Items() {
		findMistakes(item, fmt.Sprintf("%s/%d", place, i), found)
	}
	for key, m := range v.Members() {
		inner := place + fault.PointerKey(key)
		switch {
		case key == "@path" && m.IsString():
			checkPath(m.Str(), inner, found)
		case key == "@arrayPath" && m.Index(0).IsString():
			checkPath(m.Index(0).Str(), inner+"/0", found)
		case key == "@template" && m.IsString():
			checkTemplate(m.Str(), inner, found)
		}
		findMistakes(m, inner, found)
	}
}

func checkPath(path, place string, found *fault.Problems) {
	if bracket := event.UnpairedBracket(path); bracket != "" {
		found.Add(place, "has an unpaired %s in the path %q, so no value matches: write [0] for an item, ['a key'] for a key", bracket, truncateText(path))
	}
}

func checkTemplate(text, place string, found *fault.Problems) {
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
