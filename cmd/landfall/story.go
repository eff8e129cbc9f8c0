package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/landfall-dev/landfall/framework/runtime/explain"
)

// printStory tells a story to people.
func printStory(w io.Writer, s explain.Trace) {
	fmt.Fprintf(w, "%s › %s\n", s.Instance, s.Subscription)
	if s.Matched {
		fmt.Fprintln(w, "  matched")
	} else {
		fmt.Fprintln(w, "  not matched: this subscription does not take the event")
	}
	fmt.Fprint(w, indented(s.Conditions.String(), "    "))
	if len(s.Fields) > 0 {
		fmt.Fprintln(w, "  fields")
		for _, f := range s.Fields {
			printField(w, f)
		}
	}
	if s.Batch != nil {
		fmt.Fprintf(w, "  batch of at most %d: %s\n", s.Batch.Size, orNone(s.Batch.Key))
	}
	for _, r := range s.Requests {
		body, _ := json.Marshal(r.JSON)
		fmt.Fprintf(w, "  request: %s %s\n    %s\n", r.Method, r.URL, body)
	}
	fmt.Fprintf(w, "  → %s", s.Outcome)
	if s.Reason != "" {
		fmt.Fprintf(w, ": %s", s.Reason)
	}
	fmt.Fprint(w, "\n\n")
}

func printField(w io.Writer, f explain.Field) {
	value := string(f.Value)
	if value == "" {
		value = "absent"
	}
	fmt.Fprintf(w, "    %-24s %s\n", f.Field, clipped(value))
	if f.From != "" {
		fmt.Fprintf(w, "    %-24s   from %s\n", "", f.From)
	}
	if f.Note != "" {
		mapped := ""
		if len(f.Mapped) > 0 && string(f.Mapped) != string(f.Value) {
			mapped = "was " + clipped(string(f.Mapped)) + "; "
		}
		fmt.Fprintf(w, "    %-24s   %s%s\n", "", mapped, f.Note)
	}
}

// clipped is a value that fits on a line.
func clipped(text string) string {
	const most = 100
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

func orNone(key string) string {
	if key == "" {
		return "with all others of the subscription"
	}
	return "with others of " + strings.TrimSuffix(key, ",")
}

func indented(text, margin string) string {
	return margin + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+margin) + "\n"
}
