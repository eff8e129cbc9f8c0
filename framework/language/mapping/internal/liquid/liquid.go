// Package liquid renders the templates of @liquid: Liquid without loops and includes, as Segment restricts it, with the results of
// liquidjs.
//
// Compile parses a template once. osteele/liquid matches its blocks and runs its tags; this package implements expressions and
// filters on event.Value, which is read lazily from the event. Rendering is limited in time and memory, starts no goroutine and
// never panics. The package knows nothing about mappings. A Template is immutable and safe for concurrent use.
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
	root   render.Node
	config render.Config
	pieces []piece
	uses   *uses
}

// Compile compiles a template. The error names the mistake and quotes the tag or output that contains it.
func Compile(text string) (t *Template, err error) {
	defer recoverError(&err)
	if n := event.UTF16Len(text); n > MaxLength {
		return nil, fmt.Errorf("should be at most %d characters long but has %d", MaxLength, n)
	}
	pieces, err := splitTemplate(text)
	if err != nil {
		return nil, err
	}
	t = &Template{pieces: pieces, uses: &uses{}}
	t.config = newConfig(pieces, t.uses)
	root, failure := t.config.Compile(outlineOf(pieces), start)
	if failure != nil {
		return nil, t.locatedError(failure)
	}
	t.root = root
	return t, nil
}

// Render renders the template for an event. The error names the cause and quotes the tag or output that failed.
func (t *Template) Render(v event.Value) (text string, err error) {
	defer recoverError(&err)
	s := newScope(v)
	out := &output{scope: s}
	if failure := render.Render(t.root, out, map[string]any{scopeKey: s}, t.config); failure != nil {
		return "", t.locatedError(failure)
	}
	return out.text.String(), nil
}

// locatedError adds the source of the tag to an error of the library. In the outline every piece is on its own line.
func (t *Template) locatedError(failure parser.Error) error {
	at := failure.LineNumber() - start.LineNo
	if at < 0 || at >= len(t.pieces) {
		return errors.New(failure.Error())
	}
	message := trimPosition(failure.Error(), start.Pathname, failure.LineNumber())
	return fmt.Errorf("%s in %s", message, truncateSource(t.pieces[at].source))
}

// recoverError turns a panic into an error, because the library panics if its writer fails.
func recoverError(err *error) {
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
