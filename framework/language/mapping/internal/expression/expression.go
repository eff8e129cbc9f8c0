// Package expression evaluates the expressions of @expr with expr-lang/expr. The top-level keys of an event are the variables.
//
// Compile checks an expression once. Evaluation is limited in steps and memory and never panics. The package knows events only as
// values. A Program is safe for concurrent use.
package expression

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

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
	program   *vm.Program
	variables []variable // that the expression reads
}

// Compile compiles an expression. The error is a fault.Problems with the line and column of the mistake.
func Compile(text string) (*Program, error) {
	if len(text) > MaxLength {
		return nil, fault.Problems{{Message: fmt.Sprintf("should be at most %d bytes long", MaxLength)}}
	}
	names, calls := newNames(), newCallPatcher()
	program, err := compile(text, calls, names, variablePatcher{}) // without the patches below, which hide type errors
	if err == nil && calls.problem != nil {
		return nil, fault.Problems{*calls.problem}
	}
	if err == nil {
		program, err = compile(text, calls, variablePatcher{}, budgetPatcher{map[ast.Node]bool{}}, exactPatcher{})
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
	return &Program{program: program, variables: variablesOf(names)}, nil
}

// Paths returns the paths that an expression reads from its input, as far as they are constant: settings.region and
// settings["region"] are both [settings region]. A path ends before a computed key. There are none if the expression cannot be parsed.
func Paths(text string) [][]string {
	if len(text) > MaxLength {
		return nil
	}
	tree, _, err := parse(text, newCallPatcher())
	if err != nil {
		return nil
	}
	names := newNames()
	ast.Walk(&tree.Node, names)
	return names.inputPaths()
}

// parse parses an expression and applies patches, which need no types. expr.Compile would check the types again before each patch.
func parse(text string, patches ...ast.Visitor) (*parser.Tree, *conf.Config, error) {
	config := *baseConfig()
	tree, err := parser.ParseWithConfig(text, &config)
	if err != nil {
		return nil, nil, err
	}
	for _, patch := range patches {
		ast.Walk(&tree.Node, patch)
	}
	return tree, &config, nil
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
	for _, variable := range p.variables {
		e.env[variable.key] = variable.nativeIn(v)
	}
	out, err := e.machine.Run(p.program, e.env)
	if err != nil {
		err = evalError(err)
	} else if _, err = deepSize(out, 0, maxBytes); err == nil {
		result, err = toValue(out, 0)
	}
	e.release()
	return result, err
}

// wholeNumber holds the digits of an integer that does not fit an int. It can be passed through and compared for equality.
// Arithmetic with it is an error; it is never rounded.
type wholeNumber string

func isWhole(digits string) bool { return !strings.ContainsAny(digits, ".eE") }

// toNative converts a value for the virtual machine. Integers that fit become ints.
func toNative(v event.Value) any {
	switch v.Kind() {
	case event.True, event.False:
		return v.Kind() == event.True
	case event.Number:
		if n, err := strconv.Atoi(v.Digits()); err == nil {
			return n
		}
		if isWhole(v.Digits()) {
			return wholeNumber(v.Digits())
		}
		return v.Float()
	case event.String:
		return v.Str()
	case event.Array:
		list := make([]any, 0, v.Len())
		for _, item := range v.Items() {
			list = append(list, toNative(item))
		}
		return list
	case event.Object:
		object := make(map[string]any)
		for key, m := range v.Members() {
			object[key] = toNative(m)
		}
		return object
	}
	return nil
}

// toValue converts a result of the virtual machine to a value. nil inside of lists and maps becomes null.
func toValue(x any, depth int) (event.Value, error) {
	if depth > event.MaxDepth {
		return event.Value{}, fmt.Errorf("produces a value nested deeper than %d", event.MaxDepth)
	}
	switch x := x.(type) {
	case nil:
		if depth == 0 {
			return event.Value{}, nil
		}
		return event.NewNull(), nil
	case string:
		if !utf8.ValidString(x) {
			return event.Value{}, errors.New("produces a text that is not UTF-8")
		}
		return event.NewString(x), nil
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return event.Value{}, fmt.Errorf("produces %v, which is not a number in JSON", x)
		}
		return event.NewFloat(x), nil
	case time.Time:
		return event.NewString(x.Format(time.RFC3339Nano)), nil
	case time.Duration:
		return event.NewString(x.String()), nil
	case []any:
		items := make([]event.Value, len(x))
		for i, inner := range x {
			item, err := toValue(inner, depth+1)
			if err != nil {
				return event.Value{}, err
			}
			items[i] = item
		}
		return event.NewArray(items), nil
	case map[string]any:
		return toObject(x, depth)
	case wholeNumber:
		return event.ParseString(string(x))
	case bool, int, int64:
		return event.From(x)
	case *budget:
		return event.Value{}, errors.New("produces a value that has no JSON form")
	}
	return collectionValue(x, depth)
}

func toObject(m map[string]any, depth int) (event.Value, error) {
	members := make([]event.Member, 0, len(m))
	for key, inner := range m {
		if key == budgetName {
			continue
		}
		v, err := toValue(inner, depth+1)
		if err != nil {
			return event.Value{}, err
		}
		members = append(members, event.Member{Key: key, Value: v})
	}
	slices.SortFunc(members, func(a, b event.Member) int {
		if a.Key < b.Key {
			return -1
		}
		return 1
	})
	return event.NewObject(members), nil
}
