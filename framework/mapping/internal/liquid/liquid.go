// Package liquid renders the templates of @liquid: Liquid without loops and includes, as Segment restricts it, on
// osteele/liquid with the filters of liquidjs.
//
// Compile checks a template once. Rendering is bounded in time and in memory and never panics. The package knows events as
// values only. A Template is safe for concurrent use.
package liquid

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/osteele/liquid"

	"github.com/landfall-dev/landfall/framework/event"
)

// Bounds of a template and of what it makes.
const (
	MaxLength = 1000    // of a template, in UTF-16 units
	MaxText   = 1 << 20 // bytes of the output, of any text on the way, and of an event as JSON
	MaxTime   = 500 * time.Millisecond
)

// Template is a compiled template.
type Template struct {
	template *liquid.Template
	names    []string // the top-level keys of an event that the template may read
	blanks   []blank
}

// Compile reads a template. The error says what is wrong in the template's own words.
func Compile(text string) (*Template, error) {
	if n := event.UTF16Len(text); n > MaxLength {
		return nil, fmt.Errorf("should be at most %d characters long but has %d", MaxLength, n)
	}
	source, err := scan(text)
	if err != nil {
		return nil, err
	}
	t := &Template{names: source.names, blanks: source.blanks}
	err = guarded(func() error {
		engine := newEngine(source.unknown)
		parsed, err := engine.ParseString(source.text)
		if err != nil {
			return err
		}
		t.template = parsed
		return nil
	})
	if err != nil {
		return nil, inWords(err)
	}
	return t, nil
}

// newEngine is an engine with the filters there are; unknown ones pass their value through.
func newEngine(unknown []string) *liquid.Engine {
	engine := liquid.NewEngine()
	for name, filter := range filters() {
		engine.RegisterFilter(name, filter)
	}
	for _, name := range unknown {
		engine.RegisterFilter(name, func(v any, _ ...any) any { return v })
	}
	registerTags(engine)
	return engine
}

// Render makes a text of an event.
func (t *Template) Render(v event.Value) (string, error) {
	if v.Size() > MaxText {
		return "", fmt.Errorf("takes events of at most %d MB", MaxText>>20)
	}
	bindings := map[string]any{"blank": "", "empty": ""}
	for _, name := range t.names {
		if member := v.Get(name); member.Exists() {
			bindings[name] = bind(member)
		}
	}
	for i, b := range t.blanks {
		bindings[blankName(i)] = b.holds(v)
	}
	out := &output{deadline: time.Now().Add(MaxTime)}
	err := guarded(func() error {
		if err := t.template.FRender(out, bindings); err != nil {
			return err
		}
		return nil
	})
	switch {
	case out.err != nil:
		return "", out.err
	case err != nil:
		return "", inWords(err)
	}
	return out.text.String(), nil
}

// output is where a template writes, within its bounds.
type output struct {
	text     bytes.Buffer
	deadline time.Time
	err      error
}

var (
	errTooLong = fmt.Errorf("makes more than %d MB of text", MaxText>>20)
	errTooSlow = fmt.Errorf("takes longer than %v", MaxTime)
)

func (o *output) Write(p []byte) (int, error) {
	switch {
	case o.text.Len()+len(p) > MaxText:
		o.err = errTooLong
	case time.Now().After(o.deadline):
		o.err = errTooSlow
	}
	if o.err != nil {
		return 0, o.err
	}
	return o.text.Write(p)
}

// guarded turns a panic of the library, which is how it reports some errors, into an error.
func guarded(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			known, ok := r.(error)
			if !ok {
				known = fmt.Errorf("%v", r)
			}
			err = known
		}
	}()
	return do()
}

// inWords is an error of the library on one line.
func inWords(err error) error {
	return errors.New(strings.TrimPrefix(strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", " "), "Liquid error: "))
}
