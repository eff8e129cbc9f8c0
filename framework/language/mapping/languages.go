package mapping

import (
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping/internal/expression"
	"github.com/landfall-dev/landfall/framework/language/mapping/internal/liquid"
)

// liquidText is a @liquid.
type liquidText struct {
	place    string
	template *liquid.Template
}

func (n liquidText) resolve(v event.Value) (event.Value, error) {
	text, err := n.template.Render(v)
	if err != nil {
		return event.Value{}, failed(n.place, "%v", err)
	}
	return event.NewString(text), nil
}

func compileLiquid(c *compiler, v event.Value, place string) node {
	if !v.IsString() {
		c.problems.Add(place, "should be a string but it is %s", described(v))
		return nil
	}
	template, err := liquid.Compile(v.Str())
	if err != nil {
		c.problems.Under(place, err)
		return nil
	}
	for _, name := range template.UnknownFilters() {
		c.warnings.Add(place, "there is no filter %q, so it changes nothing%s", name, fault.DidYouMean(name, liquid.FilterNames()))
	}
	return liquidText{place, template}
}

// computed is an @expr.
type computed struct {
	place   string
	program *expression.Program
}

func (n computed) resolve(v event.Value) (event.Value, error) {
	value, err := n.program.Eval(v)
	if err != nil {
		return event.Value{}, failed(n.place, "%v", err)
	}
	return bounded(value, n.place)
}

func compileExpr(c *compiler, v event.Value, place string) node {
	if !v.IsString() {
		c.problems.Add(place, "should be a string but it is %s", described(v))
		return nil
	}
	program, err := expression.Compile(v.Str())
	if err != nil {
		c.problems.Under(place, err)
		return nil
	}
	return computed{place, program}
}

// Reads returns the keys of everything that the text of an @expr or a @liquid reads, as far as they are written out: for
// settings.region + settings["zone"] they are [settings region] and [settings zone]. An empty path is the whole input. It is
// nil for a text that does not compile, and for any other directive.
func Reads(directive, text string) [][]string {
	switch directive {
	case "@expr":
		if program, err := expression.Compile(text); err == nil {
			return program.Paths()
		}
	case "@liquid":
		if template, err := liquid.Compile(text); err == nil {
			return template.Paths()
		}
	}
	return nil
}
