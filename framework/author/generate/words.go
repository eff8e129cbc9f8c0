package generate

import (
	"fmt"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// describeDefault describes a default in words: a value, or a mapping such as `userId`, otherwise `anonymousId`.
func describeDefault(v event.Value) string {
	switch v.Kind() {
	case event.Absent:
		return ""
	case event.Null:
		return "nothing"
	case event.String:
		return describeText(v.Str())
	case event.Array:
		var items []string
		for _, item := range v.Items() {
			items = append(items, describeDefault(item))
		}
		return strings.Join(items, ", ")
	case event.Object:
		return describeObject(v)
	}
	return v.JSON()
}

// describeText describes a text, which may be a template.
func describeText(text string) string {
	if strings.Contains(text, "{{") || text == "" {
		return markdownCode(text)
	}
	return "“" + text + "”"
}

func markdownCode(text string) string {
	if text == "" {
		return "an empty text"
	}
	return "`" + text + "`"
}

// describeObject describes a directive, or an object whose members may be mappings.
func describeObject(v event.Value) string {
	for key, m := range v.Members() {
		if strings.HasPrefix(key, "@") {
			return describeDirective(key, m)
		}
	}
	if v.Len() == 0 {
		return "an empty object"
	}
	return describeMembers(v)
}

func describeMembers(v event.Value) string {
	var parts []string
	for key, m := range v.Members() {
		parts = append(parts, fmt.Sprintf("%s: %s", key, describeDefault(m)))
	}
	return strings.Join(parts, "; ")
}

// describeDirective describes the result of a directive.
func describeDirective(name string, v event.Value) string {
	switch name {
	case "@path":
		return describePath(v)
	case "@template":
		return markdownCode(v.Str())
	case "@literal":
		return describeDefault(v)
	case "@if":
		return describeIf(v)
	case "@case":
		return fmt.Sprintf("%s in %s case", describeDefault(v.Get("value")), v.Get("operator").Str())
	case "@replace":
		return fmt.Sprintf("%s with %s replaced by %s", describeDefault(v.Get("value")), describeDefault(v.Get("pattern")), describeDefault(orEmptyText(v.Get("replacement"))))
	case "@arrayPath":
		return describeArrayPath(v)
	case "@merge":
		var parts []string
		for _, part := range v.Get("objects").Items() {
			parts = append(parts, describeDefault(part))
		}
		return strings.Join(parts, " together with ")
	case "@flatten":
		return fmt.Sprintf("%s, flattened with %s", describeDefault(v.Get("value")), describeDefault(v.Get("separator")))
	case "@scalars":
		return describeDefault(v.Get("value")) + ", with lists and objects as text"
	case "@json":
		if v.Get("mode").Str() == "decode" {
			return describeDefault(v.Get("value")) + ", read as JSON"
		}
		return describeDefault(v.Get("value")) + " as JSON"
	case "@excludeWhenNull":
		return describeDefault(v) + ", unless that is null"
	}
	if v.IsString() {
		return markdownCode(v.Str()) // an expression
	}
	return markdownCode(event.NewObject([]event.Member{{Key: name, Value: v}}).JSON())
}

func orEmptyText(v event.Value) event.Value {
	if v.Kind() == event.Absent {
		return event.NewString("")
	}
	return v
}

// describePath describes a path in an event.
func describePath(v event.Value) string {
	if !v.IsString() {
		return "the value at " + describeDefault(v)
	}
	if path := strings.TrimPrefix(v.Str(), "$."); path != "" && path != "$" {
		return markdownCode(path)
	}
	return "the whole event"
}

// describeIf describes an @if. The usual form uses a value if it exists.
func describeIf(v event.Value) string {
	condition, is := v.Get("exists"), "exists"
	if condition.Kind() == event.Absent {
		condition, is = v.Get("blank"), "is not empty"
	}
	then, otherwise := v.Get("then"), v.Get("else")
	text := describeDefault(then)
	switch {
	case then.Kind() == event.Absent:
		return fmt.Sprintf("%s, unless %s %s", describeDefault(otherwise), describeDefault(condition), is)
	case !event.Equal(then, condition):
		text += fmt.Sprintf(" if %s %s", describeDefault(condition), is)
	}
	if otherwise.Kind() == event.Absent {
		return text
	}
	return text + ", otherwise " + describeDefault(otherwise)
}

// describeArrayPath describes an @arrayPath.
func describeArrayPath(v event.Value) string {
	from := v.Index(0)
	list := describeDefault(from)
	if from.IsString() {
		list = describePath(from)
	}
	if shape := v.Index(1); shape.Len() > 0 {
		return "for each of " + list + ": " + describeMembers(shape)
	}
	return list
}
