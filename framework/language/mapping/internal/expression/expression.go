// Package expression evaluates the expressions of @expr with expr-lang/expr. The top-level keys of an event are the variables.
//
// Compile checks an expression once. Evaluation is limited in steps and memory and never panics. The package knows events only as
// values. A Program is safe for concurrent use.
package expression

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/optimizer"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Limits of an expression and of evaluating it.
const (
	MaxLength = 10_000    // size of an expression in bytes
	MaxNodes  = 1_000     // syntax nodes of an expression
	MaxSteps  = 1_000_000 // evaluations of all predicates together
	maxMemory = 1_000_000 // values that the virtual machine may create
)

// Program is a compiled expression.
type Program struct {
	machineProgram
	whole *machineProgram // the same expression without passed parts; nil if it has none
}

// machineProgram is a program of the virtual machine, with what it needs of the input.
type machineProgram struct {
	program   *vm.Program
	variables []variable
	passed    []passed
}

// Compile compiles an expression. The error is a fault.Problems with the line and column of the mistake.
func Compile(text string) (*Program, error) {
	if len(text) > MaxLength {
		return nil, fault.Problems{{Message: fmt.Sprintf("should be at most %d bytes long", MaxLength)}}
	}
	names, calls := newNames(), newCallPatcher()
	_, err := compile(text, calls, names, variablePatcher{}) // without the patches below, which hide type errors
	if err == nil && calls.problem != nil {
		return nil, fault.Problems{*calls.problem}
	}
	whole := &machineProgram{variables: variablesOf(names)}
	if err == nil {
		whole.program, err = compile(text, append([]ast.Visitor{calls}, safePatches()...)...)
	}
	if err != nil {
		return nil, fault.Problems{problemOf(text, err)}
	}
	if call := names.unknown; call != nil {
		return nil, fault.Problems{{
			Line: 1, Column: call.Location().From + 1,
			Message: fmt.Sprintf("unknown function %q%s", call.Value, fault.DidYouMean(call.Value, slices.Concat(builtin.Names, functionNames()))),
		}}
	}
	return withPassed(text, whole)
}

// withPassed returns a program that passes the parts of the input whose content the expression does not read.
func withPassed(text string, whole *machineProgram) (*Program, error) {
	tree, config, err := parse(text, newCallPatcher())
	if err != nil {
		return nil, err
	}
	parts := &passPatcher{names: newNames()}
	ast.Walk(&tree.Node, parts.names)
	if parts.visit(&tree.Node); len(parts.list) == 0 {
		return &Program{machineProgram: *whole}, nil
	}
	read := newNames()
	applyPatches(tree, append([]ast.Visitor{read}, safePatches()...)...)
	program, err := compileTree(tree, config)
	if err != nil {
		return nil, fault.Problems{problemOf(text, err)}
	}
	return &Program{machineProgram{program, variablesOf(read), parts.list}, whole}, nil
}

// Paths returns the paths that an expression reads from its input, as far as they are constant: settings.region and
// settings["region"] are both [settings region]. A path ends before a computed key. There are none if the expression cannot be parsed.
// constant reports whether it can be parsed and gives the same value for every input, at any time.
func Paths(text string) (paths [][]string, constant bool) {
	if len(text) > MaxLength {
		return nil, false
	}
	tree, _, err := parse(text, newCallPatcher())
	if err != nil {
		return nil, false
	}
	names, clock := newNames(), &clockFinder{}
	applyPatches(tree, names, clock)
	paths = names.inputPaths()
	return paths, len(paths) == 0 && !clock.found
}

// clockFinder finds calls that read the clock.
type clockFinder struct{ found bool }

// Visit implements ast.Visitor.
func (c *clockFinder) Visit(node *ast.Node) {
	if call, ok := (*node).(*ast.BuiltinNode); ok && call.Name == "now" {
		c.found = true
	}
}

// parse parses an expression and applies patches, which need no types. expr.Compile would check the types again before each patch.
func parse(text string, patches ...ast.Visitor) (*parser.Tree, *conf.Config, error) {
	config := *baseConfig()
	tree, err := parser.ParseWithConfig(text, &config)
	if err != nil {
		return nil, nil, err
	}
	applyPatches(tree, patches...)
	return tree, &config, nil
}

func applyPatches(tree *parser.Tree, patches ...ast.Visitor) {
	for _, patch := range patches {
		ast.Walk(&tree.Node, patch)
	}
}

// safePatches returns the patches that each program needs to run within its limits and to be right, in their order.
func safePatches() []ast.Visitor {
	return []ast.Visitor{variablePatcher{}, &backwardPatcher{}, budgetPatcher{map[ast.Node]bool{}}, exactPatcher{}}
}

// baseConfig returns the functions and limits of all expressions. Its tables are only read; a compilation copies the rest.
var baseConfig = sync.OnceValue(func() *conf.Config {
	config := conf.CreateNew()
	for _, set := range slices.Concat(ownFunctions(), budgetFunctions(), []expr.Option{expr.AllowUndefinedVariables(), expr.MaxNodes(MaxNodes)}) {
		set(config)
	}
	config.Check()
	return config
})

// compile compiles an expression after applying patches.
func compile(text string, patches ...ast.Visitor) (*vm.Program, error) {
	tree, config, err := parse(text, patches...)
	if err != nil {
		return nil, err
	}
	return compileTree(tree, config)
}

func compileTree(tree *parser.Tree, config *conf.Config) (*vm.Program, error) {
	if _, err := checker.Check(tree, config); err != nil {
		return nil, err
	}
	if err := optimizer.Optimize(&tree.Node, config); err != nil {
		if at := (*file.Error)(nil); errors.As(err, &at) {
			return nil, at.Bind(tree.Source)
		}
		return nil, err
	}
	return compiler.Compile(tree, config)
}

// names collects the variables of an expression, the paths that start at them, and a call of an unknown function.
type names struct {
	list    []string
	paths   map[ast.Node][]string // by the node whose value is at the path; only the longest path of each chain
	defined []string              // variables that are declared with let
	unknown *ast.IdentifierNode
}

func newNames() *names { return &names{paths: map[ast.Node][]string{}} }

// Visit implements ast.Visitor. Child nodes are visited before their parents.
func (n *names) Visit(node *ast.Node) {
	switch part := (*node).(type) {
	case *ast.CallNode:
		if id, ok := part.Callee.(*ast.IdentifierNode); ok && !strings.HasPrefix(id.Value, internalPrefix) {
			n.unknown = id
		}
		delete(n.paths, part.Callee)
	case *ast.VariableDeclaratorNode:
		n.defined = append(n.defined, part.Name)
	case *ast.MemberNode:
		n.extendPath(*node, part.Node, part.Property)
	case *ast.ChainNode:
		n.extendPath(*node, part.Node, nil)
	case *ast.BuiltinNode:
		if part.Name == "get" && len(part.Arguments) == 2 {
			n.extendPath(*node, part.Arguments[0], part.Arguments[1])
		}
	case *ast.IdentifierNode:
		n.addVariable(part)
	}
}

func (n *names) addVariable(id *ast.IdentifierNode) {
	if strings.HasPrefix(id.Value, internalPrefix) {
		return
	}
	if !slices.Contains(n.list, id.Value) {
		n.list = append(n.list, id.Value)
	}
	if id.Value == environment {
		n.paths[id] = []string{}
	} else {
		n.paths[id] = []string{id.Value}
	}
}

// extendPath sets the path of a node to the path of another node followed by a key. A nil key adds nothing. A computed key ends the
// path.
func (n *names) extendPath(part, of, key ast.Node) {
	path, ok := n.paths[of]
	if !ok {
		return
	}
	switch key := key.(type) {
	case nil:
	case *ast.StringNode:
		path = append(slices.Clone(path), key.Value)
	default:
		return
	}
	delete(n.paths, of)
	n.paths[part] = path
}

// inputPaths returns the paths that do not start at a declared variable, sorted.
func (n *names) inputPaths() [][]string {
	var list [][]string
	for _, path := range n.paths {
		if len(path) == 0 || !slices.Contains(n.defined, path[0]) {
			list = append(list, path)
		}
	}
	slices.SortFunc(list, slices.Compare)
	return list
}

// evaluation is what evaluating an expression needs. Nothing of it is part of a result.
type evaluation struct {
	machine vm.VM
	env     map[string]any
	spent   budget
}

var evaluations = sync.Pool{New: func() any {
	return &evaluation{machine: vm.VM{MemoryBudget: maxMemory}, env: map[string]any{}}
}}

// maxKeptStack is the number of values up to which the stack of a machine is kept for other evaluations.
const maxKeptStack = 64

// release makes the evaluation available to others, without data of events. It is not called after a panic.
func (e *evaluation) release() {
	if cap(e.machine.Stack) > maxKeptStack || e.machine.Scopes != nil { // predicates may have left their lists in it
		e.machine = vm.VM{MemoryBudget: maxMemory}
	}
	clear(e.machine.Stack[:cap(e.machine.Stack)])
	clear(e.machine.Variables)
	clear(e.env)
	evaluations.Put(e)
}

// setVariables sets what the program reads. It returns false if the input lacks the objects that hold passed parts.
func (p *machineProgram) setVariables(env map[string]any, input event.Value) bool {
	for _, part := range p.passed {
		value, ok := part.valueIn(input)
		if !ok {
			return false
		}
		env[part.key] = value
	}
	for _, variable := range p.variables {
		env[variable.key] = variable.nativeIn(input)
	}
	return true
}

// Eval evaluates the expression for an event. A nil result is absent. Times become RFC 3339 texts.
func (p *Program) Eval(v event.Value) (result event.Value, err error) {
	defer func() {
		if r := recover(); r != nil {
			result, err = event.Value{}, fmt.Errorf("cannot be evaluated: %v", r)
		}
	}()
	e := evaluations.Get().(*evaluation)
	e.spent = budget{}
	e.env[budgetName] = &e.spent
	program := &p.machineProgram
	if !program.setVariables(e.env, v) {
		program = p.whole
		program.setVariables(e.env, v)
	}
	out, err := e.machine.Run(program.program, e.env)
	if err != nil {
		err = evalError(err, program.program.Source().String())
	} else if _, err = deepSize(out, 0, maxBytes); err == nil {
		result, err = toValue(out, 0)
	}
	e.release()
	return result, err
}
