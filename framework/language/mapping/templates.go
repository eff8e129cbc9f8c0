package mapping

import (
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// Templates is v with each text that holds {{…}} as a @template directive, at every depth but inside of directives. It lets
// files say "https://{{settings.host}}" where a text stands for nothing else.
func Templates(v event.Value) event.Value {
	switch v.Kind() {
	case event.String:
		if strings.Contains(v.Str(), "{{") {
			return event.NewObject([]event.Member{{Key: "@template", Value: v}})
		}
	case event.Array:
		items := make([]event.Value, 0, v.Len())
		for _, item := range v.Items() {
			items = append(items, Templates(item))
		}
		return event.NewArray(items)
	case event.Object:
		var members []event.Member
		for key, m := range v.Members() {
			if !strings.HasPrefix(key, "@") {
				m = Templates(m)
			}
			members = append(members, event.Member{Key: key, Value: m})
		}
		return event.NewObject(members)
	}
	return v
}

// Part is some text of a template and, unless it is the last one, the path whose value follows it.
type Part struct {
	Text string
	Path event.Path
	Last bool
}

// Split divides the text of a @template at its paths. There is always a last part.
func Split(text string) []Part {
	var parts []Part
	for _, p := range newTemplate(text, "").parts {
		parts = append(parts, Part{p.text, p.path, p.last})
	}
	return parts
}
