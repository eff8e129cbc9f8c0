package mapping

import (
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// ConvertTemplates returns v with every text that contains {{…}} converted to a @template directive, at any depth except inside
// directives. It lets files say "https://{{settings.host}}" instead of writing the directive.
func ConvertTemplates(v event.Value) event.Value {
	switch v.Kind() {
	case event.String:
		if strings.Contains(v.Str(), "{{") {
			return event.NewObject([]event.Member{{Key: "@template", Value: v}})
		}
	case event.Array:
		items := make([]event.Value, 0, v.Len())
		for _, item := range v.Items() {
			items = append(items, ConvertTemplates(item))
		}
		return event.NewArray(items)
	case event.Object:
		var members []event.Member
		for key, m := range v.Members() {
			if !strings.HasPrefix(key, "@") {
				m = ConvertTemplates(m)
			}
			members = append(members, event.Member{Key: key, Value: m})
		}
		return event.NewObject(members)
	}
	return v
}

// TemplatePart is a piece of text and, unless it is the last part, the path whose value follows it.
type TemplatePart struct {
	Text string
	Path event.Path
	Last bool
}

// SplitTemplate splits the text of a @template at its paths. The last part always exists and has no path.
func SplitTemplate(text string) []TemplatePart {
	var parts []TemplatePart
	for _, p := range newTemplate(text, "").parts {
		parts = append(parts, TemplatePart{p.text, p.path, p.last})
	}
	return parts
}
