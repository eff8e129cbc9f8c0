package docs

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/yuin/goldmark/ast"
)

// headingIDs gives headings the names that links use, as GitHub forms them: lower-case letters, digits, - and _, with a number if the name
// occurred before.
type headingIDs struct{ used map[string]int }

func newHeadingIDs() *headingIDs { return &headingIDs{map[string]int{}} }

// Generate returns the name of a heading.
func (h *headingIDs) Generate(value []byte, _ ast.NodeKind) []byte {
	name := headingName(string(value))
	n := h.used[name]
	h.used[name]++
	if n > 0 {
		name = fmt.Sprintf("%s-%d", name, n)
	}
	return []byte(name)
}

// Put reserves a name.
func (h *headingIDs) Put(value []byte) { h.used[string(value)]++ }

func headingName(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(title))
}
