// Package liquid renders the templates of @liquid: Liquid without loops and includes, as Segment restricts it, with the results of
// liquidjs.
//
// Compile parses a template once; rendering parses nothing. Values are of event.Value and are read lazily from the event. Rendering
// is limited in time and memory, starts no goroutine and never panics. The package knows nothing about mappings. A Template is
// immutable and safe for concurrent use. tagTable and filterTable list what the language offers.
package liquid

import (
	"fmt"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
)

// Limits of a template and of rendering it. Exceeding one is an error that names the limit.
const (
	MaxLength = 1000                   // length of a template in UTF-16 code units
	MaxText   = 1 << 20                // bytes of the output, and of any input or output of a filter
	MaxItems  = 100_000                // items of a list that a template creates
	MaxWork   = 32 << 20               // total bytes of the inputs and outputs of all filters in one rendering
	MaxTime   = 500 * time.Millisecond // duration of one rendering
)

// Template is a compiled template.
type Template struct {
	text string
	root *content
	uses *uses
}

// Compile compiles a template. The error names the mistake, quotes the tag or output that contains it, and gives its position.
func Compile(text string) (*Template, error) {
	if n := event.UTF16Len(text); n > MaxLength {
		return nil, fmt.Errorf("should be at most %d characters long but has %d", MaxLength, n)
	}
	c := &compiler{expressionParser: expressionParser{filters: filters(), uses: &uses{}}, template: text, tags: tagsByName()}
	var err error
	if c.pieces, err = splitTemplate(text, c.tags); err != nil {
		return nil, err
	}
	root, err := c.compileTemplate()
	if err != nil {
		return nil, err
	}
	return &Template{text: text, root: root, uses: c.uses}, nil
}

// Render renders the template for an event. The error names the cause, quotes the tag or output that failed, and gives its position.
func (t *Template) Render(v event.Value) (string, error) {
	s := newScope(t.text, v)
	if err := t.root.render(s); err != nil {
		return "", err
	}
	return s.out.String(), nil
}

// Text returns the text from which the template was compiled.
func (t *Template) Text() string { return t.text }
