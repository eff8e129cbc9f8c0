package liquid

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/osteele/tuesday"

	"github.com/landfall-dev/landfall/framework/event"
)

// edge is the first or the last item of a list.
func edge(v any, first bool) any {
	items := list(v)
	switch {
	case len(items) == 0:
		return nil
	case first:
		return items[0]
	}
	return items[len(items)-1]
}

func size(v any) int {
	switch v := v.(type) {
	case string:
		return utf8.RuneCountInString(v)
	case []any:
		return len(v)
	case object:
		return len(v)
	}
	return 0
}

func join(v, separator any) (string, error) {
	glue := " "
	if separator != nil {
		glue = text(separator)
	}
	var b strings.Builder
	for i, item := range list(v) {
		if i > 0 {
			b.WriteString(glue)
		}
		b.WriteString(text(item))
		if b.Len() > MaxText {
			return "", errTooLong
		}
	}
	return b.String(), nil
}

func compact(v any) []any {
	kept := []any{}
	for _, item := range list(v) {
		if item != nil {
			kept = append(kept, item)
		}
	}
	return kept
}

func sum(v, property any) any {
	total := 0.0
	for _, item := range list(v) {
		if property != nil {
			o, _ := item.(object)
			item = o[text(property)]
		}
		total += num(item)
	}
	return exact(total)
}

// where keeps the objects whose property is a value, or is anything where none is given.
func where(v, property, value any) []any {
	kept := []any{}
	for _, item := range list(v) {
		o, ok := item.(object)
		if !ok {
			continue
		}
		got := o[text(property)]
		if value == nil && got != nil && got != false || value != nil && text(got) == text(value) {
			kept = append(kept, item)
		}
	}
	return kept
}

// maxItems bounds a list that a template makes longer.
const maxItems = 10_000

func push(v, item any) ([]any, error) { return joined(list(v), []any{item}) }

func unshift(v, item any) ([]any, error) { return joined([]any{item}, list(v)) }

func joined(a, b []any) ([]any, error) {
	if len(a)+len(b) > maxItems {
		return nil, fmt.Errorf("makes a list of more than %d items", maxItems)
	}
	return append(a[:len(a):len(a)], b...), nil
}

// date prints a date by a format of strftime; what is no date prints as it is.
func date(v, format any) string {
	layout := "%A, %B %-e, %Y at %-l:%M %P %z"
	if format != nil {
		layout = text(format)
	}
	at, ok := when(v)
	if !ok || len(layout) > MaxLength {
		return text(v)
	}
	layout = strings.ReplaceAll(layout, "%:z", at.Format("-07:00"))
	printed, err := tuesday.Strftime(layout, at)
	if err != nil {
		return text(v)
	}
	return printed
}

func when(v any) (time.Time, bool) {
	switch s := text(v); s {
	case "":
		return time.Time{}, false
	case "now", "today":
		return time.Now().UTC(), true
	default:
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return time.Unix(n, 0).UTC(), true
		}
		return event.ParseTime(s)
	}
}
