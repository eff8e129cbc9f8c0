package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Problem is one mistake in a file or text that a person wrote.
type Problem struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`    // from 1; 0 where it is not known
	Column  int    `json:"column,omitempty"`  // from 1, in characters
	Pointer string `json:"pointer,omitempty"` // a JSON pointer to the value that is wrong
	Message string `json:"message"`
	Excerpt string `json:"excerpt,omitempty"` // the line at fault and a caret under the place
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

// Problems are all the mistakes of a text, in its order. They are an error where there is at least one.
type Problems []Problem

func (list Problems) Error() string {
	lines := make([]string, len(list))
	for i, p := range list {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Add appends a problem at a pointer.
func (list *Problems) Add(pointer, format string, args ...any) {
	*list = append(*list, Problem{Pointer: pointer, Message: fmt.Sprintf(format, args...)})
}

// Under appends the problems of a part, which lies at prefix; an err that is no Problems becomes one.
func (list *Problems) Under(prefix string, err error) {
	for _, p := range ProblemsOf(err) {
		p.Pointer = prefix + p.Pointer
		*list = append(*list, p)
	}
}

// Err is the list as an error, nil where it is empty.
func (list Problems) Err() error {
	if len(list) == 0 {
		return nil
	}
	return list
}

// ProblemsOf is err as a list of problems: itself where one is inside, else one problem without a place, none for nil.
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

// PointerKey is key as one step of a JSON pointer, the slash included.
func PointerKey(key string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}
