package mapping

import (
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping/internal/expression"
	"github.com/landfall-dev/landfall/framework/language/mapping/internal/liquid"
)

// liquidText implements @liquid.
type liquidText struct {
	pointer  string
	template *liquid.Template
}

func (n liquidText) resolve(v event.Value) (event.Value, error) {
	text, err := n.template.Render(v)
	if err != nil {
		return event.Value{}, mappingError(n.pointer, "%v", err)
	}
	return event.NewString(text), nil
}

func compileLiquid(c *compiler, v event.Value, pointer string) node {
	if !v.IsString() {
		c.problems.Add(pointer, "should be a string but it is %s", describeKind(v))
		return nil
	}
	template, err := liquid.Compile(v.Str())
	if err != nil {
		c.problems.AddUnder(pointer, err)
		return nil
	}
	for _, name := range template.UnknownFilters() {
		c.warnings.Add(pointer, "unknown filter %q, which has no effect%s", name, fault.DidYouMean(name, liquid.FilterNames()))
	}
	return liquidText{pointer, template}
}

// computed implements @expr.
type computed struct {
	pointer string
	program *expression.Program
}

func (n computed) resolve(v event.Value) (event.Value, error) {
	value, err := n.program.Eval(v)
	if err != nil {
		return event.Value{}, mappingError(n.pointer, "%v", err)
	}
	return checkSize(value, n.pointer)
}

func compileExpr(c *compiler, v event.Value, pointer string) node {
	if !v.IsString() {
		c.problems.Add(pointer, "should be a string but it is %s", describeKind(v))
		return nil
	}
	program, err := expression.Compile(v.Str())
	if err != nil {
		c.problems.AddUnder(pointer, err)
		return nil
	}
	return computed{pointer, program}
}

// ReferencedPaths returns the paths that the text of an @expr or @liquid reads, as far as they are constant: [settings region] and
// [settings zone] for settings.region + settings["zone"]. An empty path means the whole input. It returns nil if the text does not
// compile, and for any other directive.
func ReferencedPaths(directive, text string) [][]string {
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
