// Package liquid renders the templates of @liquid: Liquid without loops and includes, as Segment restricts it, with the
// results of liquidjs.
//
// Compile reads a template once; osteele/liquid matches its blocks and runs them, expressions and filters are this package's
// own, on event.Value and read lazily from the event. Rendering is bounded in time and memory, starts no goroutine and never
// panics. The package knows nothing of mappings. A Template is immutable and safe for concurrent use.
package liquid

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/osteele/liquid/parser"
	"github.com/osteele/liquid/render"

	"github.com/landfall-dev/landfall/framework/event"
)

// Bounds of a template and of its rendering. What is beyond them is an error that names the bound.
const (
	MaxLength = 1000                   // of a template, in UTF-16 units
	MaxText   = 1 << 20                // bytes of the output, and of any value that a filter takes or makes
	MaxItems  = 100_000                // items of a list that a template makes
	MaxWork   = 32 << 20               // bytes of all the values that the filters of one rendering take and make
	MaxTime   = 500 * time.Millisecond // of one rendering
)

// Template is a compiled template.
type Template struct {
	root   render.Node
	config render.Config
	pieces []piece
	uses   *uses
}

// Compile reads a template. The error says what is wrong and shows the tag or output that it is in.
func Compile(text string) (t *Template, err error) {
	defer contain(&err)
	if n := event.UTF16Len(text); n > MaxLength {
		return nil, fmt.Errorf("should be at most %d characters long but has %d", MaxLength, n)
	}
	pieces, err := split(text)
	if err != nil {
		return nil, err
	}
	t = &Template{pieces: pieces, uses: &uses{}}
	t.config = newConfig(pieces, t.uses)
	root, failure := t.config.Compile(outline(pieces), start)
	if failure != nil {
		return nil, t.located(failure)
	}
	t.root = root
	return t, nil
}

// Render makes a text of an event. The error says which tag or output could not be rendered and why.
func (t *Template) Render(v event.Value) (text string, err error) {
	defer contain(&err)
	s := newScope(v)
	out := &output{scope: s}
	if failure := render.Render(t.root, out, map[string]any{scopeKey: s}, t.config); failure != nil {
		return "", t.located(failure)
	}
	return out.text.String(), nil
}

// located is an error of the library with the source it is in. Every piece is on a line of its own in the outline.
func (t *Template) located(failure parser.Error) error {
	at := failure.LineNumber() - start.LineNo
	if at < 0 || at >= len(t.pieces) {
		return errors.New(failure.Error())
	}
	message := trimmed(failure.Error(), start.Pathname, failure.LineNumber())
	return fmt.Errorf("%s in %s", message, shortened(t.pieces[at].source))
}

// contain turns a panic into an error: the library panics where its writer fails.
func contain(err *error) {
	r := recover()
	if r == nil {
		return
	}
	failure, ok := r.(error)
	if _, bug := r.(runtime.Error); bug || !ok {
		failure = fmt.Errorf("cannot be processed: %v", r)
	}
	*err = failure
}
