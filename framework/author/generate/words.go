package generate

import (
	"fmt"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// inWords is a default as people read it: a value, or what a mapping takes from the event, such as `userId`, otherwise `anonymousId`.
func inWords(v event.Value) string {
	switch v.Kind() {
	case event.Absent:
		return ""
	case event.Null:
		return "nothing"
	case event.String:
		return ofText(v.Str())
	case event.Array:
		var items []string
		for _, item := range v.Items() {
			items = append(items, inWords(item))
		}
		return strings.Join(items, ", ")
	case event.Object:
		return ofObject(v)
	}
	return v.JSON()
}

// ofText is a text, or a template.
func ofText(text string) string {
	if strings.Contains(text, "{{") || text == "" {
		return code(text)
	}
	return "“" + text + "”"
}

func code(text string) string {
	if text == "" {
		return "an empty text"
	}
	return "`" + text + "`"
}

// ofObject is a directive, or an object whose members may be mappings.
func ofObject(v event.Value) string {
	for key, m := range v.Members() {
		if strings.HasPrefix(key, "@") {
			return directive(key, m)
		}
	}
	if v.Len() == 0 {
		return "an empty object"
	}
	return members(v)
}

func members(v event.Value) string {
	var parts []string
	for key, m := range v.Members() {
		parts = append(parts, fmt.Sprintf("%s: %s", key, inWords(m)))
	}
	return strings.Join(parts, "; ")
}

// directive is what a directive gives.
func directive(name string, v event.Value) string {
	switch name {
	case "@path":
		return ofPath(v)
	case "@template":
		return code(v.Str())
	case "@literal":
		return inWords(v)
	case "@if":
		return choice(v)
	case "@case":
		return fmt.Sprintf("%s in %s case", inWords(v.Get("value")), v.Get("operator").Str())
	case "@replace":
		return fmt.Sprintf("%s with %s replaced by %s", inWords(v.Get("value")), inWords(v.Get("pattern")), inWords(orEmptyText(v.Get("replacement"))))
	case "@arrayPath":
		return each(v)
	case "@merge":
		var parts []string
		for _, part := range v.Get("objects").Items() {
			parts = append(parts, inWords(part))
		}
		return strings.Join(parts, " together with ")
	case "@flatten":
		return fmt.Sprintf("%s, flattened with %s", inWords(v.Get("value")), inWords(v.Get("separator")))
	case "@scalars":
		return inWords(v.Get("value")) + ", with lists and objects as text"
	case "@json":
		if v.Get("mode").Str() == "decode" {
			return inWords(v.Get("value")) + ", read as JSON"
		}
		return inWords(v.Get("value")) + " as JSON"
	case "@excludeWhenNull":
		return inWords(v) + ", unless that is null"
	}
	if v.IsString() {
		return code(v.Str()) // an expression
	}
	return code(event.NewObject([]event.Member{{Key: name, Value: v}}).JSON())
}

func orEmptyText(v event.Value) event.Value {
	if v.Kind() == event.Absent {
		return event.NewString("")
	}
	return v
}

// ofPath is the place of an event that a path leads to.
func ofPath(v event.Value) string {
	if !v.IsString() {
		return "what " + inWords(v) + " leads to"
	}
	if path := strings.TrimPrefix(v.Str(), "$."); path != "" && path != "$" {
		return code(path)
	}
	return "the whole event"
}

// choice is an @if. The one that asks whether a value is there and takes it is the common one.
func choice(v event.Value) string {
	condition, is := v.Get("exists"), "exists"
	if condition.Kind() == event.Absent {
		condition, is = v.Get("blank"), "is not empty"
	}
	then, otherwise := v.Get("then"), v.Get("else")
	text := inWords(then)
	switch {
	case then.Kind() == event.Absent:
		return fmt.Sprintf("%s, unless %s %s", inWords(otherwise), inWords(condition), is)
	case !event.Equal(then, condition):
		text += fmt.Sprintf(" if %s %s", inWords(condition), is)
	}
	if otherwise.Kind() == event.Absent {
		return text
	}
	return text + ", otherwise " + inWords(otherwise)
}

// each is an @arrayPath.
func each(v event.Value) string {
	from := v.Index(0)
	list := inWords(from)
	if from.IsString() {
		list = ofPath(from)
	}
	if shape := v.Index(1); shape.Len() > 0 {
		return "for each of " + list + ": " + members(shape)
	}
	return list
}
