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
	name string   // as it is written
	key  string   // for the virtual machine
	keys []string // the keys that the expression reads if the variable is an object; nil for all
}

func variablesOf(n *names) []variable {
	list := make([]variable, len(n.list))
	for i, name := range n.list {
		list[i] = variable{name, variableName(name), n.keysOf(name)}
	}
	return list
}

// keysOf returns the keys that an expression reads of a variable, if it reads nothing else of it; otherwise nil.
func (n *names) keysOf(name string) (keys []string) {
	if name == environment || slices.Contains(n.defined, name) {
		return nil
	}
	for _, path := range n.paths {
		switch {
		case len(path) == 0 || path[0] != name:
		case len(path) == 1:
			return nil
		case !slices.Contains(keys, path[1]):
			keys = append(keys, path[1])
		}
	}
	return keys
}

// nativeIn converts the variable's value, as far as the expression reads it, for the virtual machine.
func (v variable) nativeIn(input event.Value) any {
	value := v.valueIn(input)
	if v.keys == nil || value.Kind() != event.Object {
		return toNative(value)
	}
	object := make(map[string]any, len(v.keys))
	for key, m := range value.Members() {
		if slices.Contains(v.keys, key) {
			object[key] = toNative(m)
		}
	}
	return object
}

func (v variable) valueIn(input event.Value) event.Value {
	if v.name == environment {
		return input
	}
	return input.Get(v.name)
}
