package mapping

import (
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping/internal/expression"
	"github.com/landfall-dev/landfall/framework/language/mapping/internal/liquid"
	"github.com/landfall-dev/landfall/framework/language/reference"
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

func (n liquidText) describe(event.Value) string { return "@liquid " + quoteText(n.template.Text()) }

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
	text    string
	program *expression.Program
}

func (n computed) resolve(v event.Value) (event.Value, error) {
	value, err := n.program.Eval(v)
	if err != nil {
		return event.Value{}, mappingError(n.pointer, "%v", err)
	}
	return checkSize(value, n.pointer)
}

func (n computed) describe(event.Value) string { return "@expr " + quoteText(n.text) }

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
	return computed{pointer, v.Str(), program}
}

func readsLiquid(v event.Value) (list []Reference, complete bool) {
	template, err := liquid.Compile(v.Str())
	if err != nil {
		return nil, false
	}
	return referencesTo(template.Paths()), template.IsConstant()
}

func readsExpr(v event.Value) (list []Reference, complete bool) {
	paths, constant := expression.Paths(v.Str())
	return referencesTo(paths), constant
}

// AnyItem is the key of an indirect reference that stands for each item of a list.
const AnyItem = expression.AnyItem

// IndirectReferences returns the paths that @liquid and @expr read through items of lists, with a number or AnyItem for the position, and
// through variables. They are below the paths of References.
func IndirectReferences(directive string, argument event.Value) []Reference {
	switch directive {
	case "@liquid":
		if template, err := liquid.Compile(argument.Str()); err == nil {
			return referencesTo(template.IndirectPaths())
		}
	case "@expr":
		return referencesTo(expression.IndirectPaths(argument.Str()))
	}
	return nil
}

func referencesTo(paths [][]string) []Reference {
	list := make([]Reference, len(paths))
	for i, keys := range paths {
		list[i].Path = event.PathOf(keys...)
	}
	return list
}

// LiquidFilters lists the filters of @liquid. Their examples are templates.
func LiquidFilters() []reference.Entry { return liquid.Filters() }

// ExprFunctions lists the functions that @expr has besides those of expr-lang. Their examples are expressions.
func ExprFunctions() []reference.Entry { return expression.Functions() }

// LiquidTags lists the tags of @liquid.
func LiquidTags() []reference.Entry { return liquid.Tags() }

// DisabledLiquid returns the names of the tags and filters of Liquid that @liquid refuses.
func DisabledLiquid() (tags, filters []string) { return liquid.Disabled() }
