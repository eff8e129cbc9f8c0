package console

import (
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// chip is one visual element of a mapping: a directive with its arguments, or a plain value.
type chip struct {
	Directive string // such as @path; "" for a plain value
	Text      string
	Label     string // name of an argument, such as then
	Parts     []chip
}

// mappingChips returns the chips of a mapping; none if it is absent.
func mappingChips(v event.Value) []chip {
	if v.Kind() == event.Absent {
		return nil
	}
	return []chip{newChip("", v, 0)}
}

const maxChipDepth = 6 // deeper values are shown as JSON

func newChip(label string, v event.Value, depth int) chip {
	if v.Kind() == event.Object && v.Len() > 0 && depth < maxChipDepth {
		if !mapping.IsDirective(v) {
			return chip{Label: label, Parts: chipParts(v, depth)}
		}
		for name, argument := range v.Members() {
			c := chip{Label: label, Directive: name}
			switch argument.Kind() {
			case event.Object:
				c.Parts = chipParts(argument, depth)
			case event.Array:
				for _, item := range argument.Items() {
					c.Parts = append(c.Parts, newChip("", item, depth+1))
				}
			default:
				c.Text = argument.Text()
			}
			return c
		}
	}
	return chip{Label: label, Text: truncateText(v.JSON())}
}

func chipParts(v event.Value, depth int) []chip {
	var parts []chip
	for key, member := range v.Members() {
		parts = append(parts, newChip(key, member, depth+1))
	}
	return parts
}
