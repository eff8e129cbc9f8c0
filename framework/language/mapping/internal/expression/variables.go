package expression

import (
	"slices"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"

	"github.com/landfall-dev/landfall/framework/event"
)

// environment is the variable that holds the whole input.
const environment = "$env"

// variableName returns the name that the virtual machine has for a variable. The names of builtin functions, such as type, would be
// values of a function there, and $env would hold the internal names as well.
func variableName(name string) string {
	if name == environment || slices.Contains(builtin.Names, name) {
		return internalPrefix + "variable_" + name
	}
	return name
}

// variablePatcher renames variables as variableName says.
type variablePatcher struct{}

// Visit implements ast.Visitor.
func (variablePatcher) Visit(node *ast.Node) {
	if id, ok := (*node).(*ast.IdentifierNode); ok {
		id.Value = variableName(id.Value)
	}
}

// variable is a variable of an expression.
type variable struct {
	name string // as it is written
	key  string // for the virtual machine
}

func variablesOf(names []string) []variable {
	list := make([]variable, len(names))
	for i, name := range names {
		list[i] = variable{name, variableName(name)}
	}
	return list
}

func (v variable) valueIn(input event.Value) event.Value {
	if v.name == environment {
		return input
	}
	return input.Get(v.name)
}
