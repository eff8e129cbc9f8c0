package mapping

import (
	"fmt"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// Describe describes a mapping in words, as Markdown: a value, or paths such as `userId`, otherwise `anonymousId`.
func Describe(v event.Value) string {
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
			items = append(items, Describe(item))
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
		parts = append(parts, fmt.Sprintf("%s: %s", key, Describe(m)))
	}
	return strings.Join(parts, "; ")
}

// describeDirective describes the result of a directive.
func describeDirective(name string, v event.Value) string {
	d, known := directivesByName()[name]
	if !known {
		return markdownCode(event.NewObject([]event.Member{{Key: name, Value: v}}).JSON())
	}
	return d.describe(v)
}

// describeCode describes a directive whose argument is text in another language.
func describeCode(v event.Value) string {
	if v.IsString() {
		return markdownCode(v.Str())
	}
	return "the result of " + Describe(v)
}

func describeCase(v event.Value) string {
	return fmt.Sprintf("%s in %s case", Describe(v.Get("value")), v.Get("operator").Str())
}

func describeReplace(v event.Value) string {
	return fmt.Sprintf("%s with %s replaced by %s", Describe(v.Get("value")), Describe(v.Get("pattern")), Describe(orEmptyText(v.Get("replacement"))))
}

func describeMerge(v event.Value) string {
	var parts []string
	for _, part := range v.Get("objects").Items() {
		parts = append(parts, Describe(part))
	}
	return strings.Join(parts, " together with ")
}

func describeFlatten(v event.Value) string {
	return fmt.Sprintf("%s, flattened with %s", Describe(v.Get("value")), Describe(v.Get("separator")))
}

func describeScalars(v event.Value) string {
	return Describe(v.Get("value")) + ", with lists and objects as text"
}

func describeJSON(v event.Value) string {
	if v.Get("mode").Str() == "decode" {
		return Describe(v.Get("value")) + ", read as JSON"
	}
	return Describe(v.Get("value")) + " as JSON"
}

func describeTransform(v event.Value) string {
	return fmt.Sprintf("%s, of (%s)", Describe(v.Get("mapping")), Describe(v.Get("apply")))
}

func describeExcludeWhenNull(v event.Value) string { return Describe(v) + ", unless that is null" }

func orEmptyText(v event.Value) event.Value {
	if v.Kind() == event.Absent {
		return event.NewString("")
	}
	return v
}

// describePath describes a path in an event.
func describePath(v event.Value) string {
	if !v.IsString() {
		return "the value at " + Describe(v)
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
	text := Describe(then)
	switch {
	case then.Kind() == event.Absent:
		return fmt.Sprintf("%s, unless %s %s", Describe(otherwise), Describe(condition), is)
	case !event.Equal(then, condition):
		text += fmt.Sprintf(" if %s %s", Describe(condition), is)
	}
	if otherwise.Kind() == event.Absent {
		return text
	}
	return text + ", otherwise " + Describe(otherwise)
}

// describeArrayPath describes an @arrayPath.
func describeArrayPath(v event.Value) string {
	from := v.Index(0)
	list := Describe(from)
	if from.IsString() {
		list = describePath(from)
	}
	if shape := v.Index(1); shape.Len() > 0 {
		return "for each of " + list + ": " + describeMembers(shape)
	}
	return list
}
