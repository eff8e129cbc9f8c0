package console

import (
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// chip is a part of a mapping as people read it: a directive and what it takes, or a plain value.
type chip struct {
	Directive string // such as @path; "" for a plain value
	Text      string
	Label     string // of an argument, such as then
	Parts     []chip
}

// chips draw a mapping; none where there is nothing.
func chips(v event.Value) []chip {
	if v.Kind() == event.Absent {
		return nil
	}
	return []chip{chipOf("", v, 0)}
}

const deepChips = 6 // what lies deeper is shown as JSON

func chipOf(label string, v event.Value, depth int) chip {
	if v.Kind() == event.Object && v.Len() > 0 && depth < deepChips {
		if !mapping.IsDirective(v) {
			return chip{Label: label, Parts: partsOf(v, depth)}
		}
		for name, argument := range v.Members() {
			c := chip{Label: label, Directive: name}
			switch argument.Kind() {
			case event.Object:
				c.Parts = partsOf(argument, depth)
			case event.Array:
				for _, item := range argument.Items() {
					c.Parts = append(c.Parts, chipOf("", item, depth+1))
				}
			default:
				c.Text = argument.Text()
			}
			return c
		}
	}
	return chip{Label: label, Text: clip(v.JSON())}
}

func partsOf(v event.Value, depth int) []chip {
	var parts []chip
	for key, member := range v.Members() {
		parts = append(parts, chipOf(key, member, depth+1))
	}
	return parts
}
