package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/explain"
)

// printStory prints how one subscription processed an event.
func printStory(w io.Writer, s explain.Trace) {
	fmt.Fprintf(w, "%s › %s\n", s.Instance, s.Subscription)
	if s.Matched {
		fmt.Fprintln(w, "  matched")
	} else {
		fmt.Fprintln(w, "  not matched: the query of this subscription does not match the event")
	}
	fmt.Fprint(w, indentLines(s.Conditions.String(), "    "))
	if len(s.Fields) > 0 {
		fmt.Fprintln(w, "  fields")
		for _, f := range s.Fields {
			printField(w, f)
		}
	}
	if s.Batch != nil {
		fmt.Fprintf(w, "  batch of at most %d: %s\n", s.Batch.Size, describeBatchKey(s.Batch.Key))
	}
	for _, r := range s.Requests {
		body, _ := json.Marshal(r.JSON)
		fmt.Fprintf(w, "  request: %s %s\n    %s\n", r.Method, r.URL, body)
	}
	fmt.Fprintf(w, "  → %s", s.Outcome)
	if s.Reason != "" {
		fmt.Fprintf(w, ": %s", s.Reason)
	}
	if s.Next != "" {
		fmt.Fprintf(w, "\n    %s", s.Next)
	}
	fmt.Fprint(w, "\n\n")
}

func printField(w io.Writer, f explain.Field) {
	value := string(f.Value)
	if value == "" {
		value = "absent"
	}
	fmt.Fprintf(w, "    %-24s %s\n", f.Field, truncateValue(value))
	if f.From != "" {
		fmt.Fprintf(w, "    %-24s   from %s\n", "", f.From)
	}
	if f.Note != "" {
		mapped := ""
		if len(f.Mapped) > 0 && string(f.Mapped) != string(f.Value) {
			mapped = "was " + truncateValue(string(f.Mapped)) + "; "
		}
		fmt.Fprintf(w, "    %-24s   %s%s\n", "", mapped, f.Note)
	}
}

// truncateValue shortens a value so that it fits on a line.
func truncateValue(text string) string { return fault.Shorten(text, 100) }

// describeBatchKey says which events share a batch.
func describeBatchKey(key string) string {
	if key == "" {
		return "with all others of the subscription"
	}
	return "with others of " + strings.TrimSuffix(key, ",")
}

// indentLines puts a margin before each line.
func indentLines(text, margin string) string {
	return margin + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+margin) + "\n"
}
