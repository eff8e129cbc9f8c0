package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Problem is one mistake in a file or text that a user wrote.
type Problem struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`    // from 1; 0 if unknown
	Column  int    `json:"column,omitempty"`  // from 1, in characters
	Pointer string `json:"pointer,omitempty"` // JSON pointer to the invalid value
	Message string `json:"message"`
	Excerpt string `json:"excerpt,omitempty"` // the line and a caret under the column
}

func (p Problem) String() string {
	var b strings.Builder
	switch {
	case p.File != "" && p.Line > 0:
		fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Column)
	case p.File != "":
		fmt.Fprintf(&b, "%s: ", p.File)
	case p.Line > 0:
		fmt.Fprintf(&b, "line %d, column %d: ", p.Line, p.Column)
	}
	if p.Pointer != "" {
		b.WriteString(p.Pointer + " ")
	}
	b.WriteString(p.Message)
	if p.Excerpt != "" {
		b.WriteString("\n" + p.Excerpt)
	}
	return b.String()
}

// Problems lists the mistakes in a text, in their order. A non-empty list is an error.
type Problems []Problem

func (list Problems) Error() string {
	lines := make([]string, len(list))
	for i, p := range list {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Add appends a problem at a JSON pointer.
func (list *Problems) Add(pointer, format string, args ...any) {
	*list = append(*list, Problem{Pointer: pointer, Message: fmt.Sprintf(format, args...)})
}

// AddUnder appends the problems of a part of the text, with prefix added to their pointers. An err that is not Problems becomes one
// problem at prefix.
func (list *Problems) AddUnder(prefix string, err error) {
	for _, p := range ProblemsOf(err) {
		p.Pointer = prefix + p.Pointer
		*list = append(*list, p)
	}
}

// AddNew appends the problems of a later check, except at places that the list has already: what is wrong there, such as a variable that is not
// set, usually causes further problems.
func (list *Problems) AddNew(later Problems) {
	known := map[string]bool{}
	for _, p := range *list {
		known[p.Pointer] = p.Pointer != ""
	}
	for _, p := range later {
		if !known[p.Pointer] {
			*list = append(*list, p)
		}
	}
}

// Err returns the list as an error, or nil if it is empty.
func (list Problems) Err() error {
	if len(list) == 0 {
		return nil
	}
	return list
}

// ProblemsOf returns the Problems that err wraps, or a list of one problem without a position. It returns nil for a nil err.
func ProblemsOf(err error) Problems {
	if err == nil {
		return nil
	}
	var list Problems
	if errors.As(err, &list) {
		return list
	}
	return Problems{{Message: err.Error()}}
}

// PointerKey returns key as one step of a JSON pointer, including the slash.
func PointerKey(key string) string { return "/" + pointerEscapes.Replace(key) }

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")
