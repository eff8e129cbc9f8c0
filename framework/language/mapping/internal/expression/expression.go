// Package expression evaluates the expressions of @expr, on expr-lang/expr: an event's top-level keys are the variables.
//
// Compile checks an expression once. Evaluating is bounded in steps and in memory and never panics. The package knows
// events as values only. A Program is safe for concurrent use.
package expression

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Bounds of an expression and of its evaluation.
const (
	MaxLength = 10_000    // bytes of an expression
	MaxNodes  = 1_000     // parts of an expression
	MaxSteps  = 1_000_000 // evaluations of predicates, all together
	maxMemory = 1_000_000 // values that the machine may make
)

// Program is a compiled expression.
type Program struct {
	program *vm.Program
	names   []string // the variables that it reads
	paths   [][]string
}

// Paths returns the keys of everything that the expression reads of its input, as far as they are written out: settings.region
// and settings["region"] are both [settings region]. A path ends where a key is computed.
func (p *Program) Paths() [][]string { return p.paths }

// Compile reads an expression. The error is a fault.Problems with the place of the mistake.
func Compile(text string) (*Program, error) {
	if len(text) > MaxLength {
		return nil, fault.Problems{{Message: fmt.Sprintf("should be at most %d bytes long", MaxLength)}}
	}
	names := &names{paths: map[ast.Node][]string{}}
	options := []expr.Option{expr.AllowUndefinedVariables(), expr.MaxNodes(MaxNodes)}
	program, err := expr.Compile(text, append(options, expr.Patch(names))...) // what is counted below hides mistakes in types
	if err == nil {
		options = append(options, expr.Patch(counting{map[ast.Node]bool{}}), expr.Patch(exactly{}))
		program, err = expr.Compile(text, append(options, budgetFunctions()...)...)
	}
	if err != nil {
		return nil, fault.Problems{problem(err)}
	}
	if call := names.unknown; call != nil {
		return nil, fault.Problems{{
			Line: 1, Column: call.Location().From + 1,
			Message: fmt.Sprintf("there is no function %q%s", call.Value, fault.DidYouMean(call.Value, builtin.Names)),
		}}
	}
	return &Program{program: program, names: names.list, paths: names.read()}, nil
}

// problem is a mistake with its place.
func problem(err error) fault.Problem {
	var at *file.Error
	if errors.As(err, &at) {
		return fault.Problem{Line: at.Line, Column: at.Column + 1, Message: at.Message, Excerpt: at.Snippet}
	}
	return fault.Problem{Message: err.Error()}
}

// names collects the variables of an expression and the paths that lead from them, and a function that does not exist.
type names struct {
	list    []string
	paths   map[ast.Node][]string // by the part whose value stands at the path; only the longest of each chain
	defined []string              // by let
	unknown *ast.IdentifierNode
}

// environment is the name of the whole input in an expression.
const environment = "$env"

// Visit sees every part of an expression, what is inside of a part before the part itself.
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
		n.extend(*node, part.Node, part.Property)
	case *ast.ChainNode:
		n.extend(*node, part.Node, nil)
	case *ast.BuiltinNode:
		if part.Name == "get" && len(part.Arguments) == 2 {
			n.extend(*node, part.Arguments[0], part.Arguments[1])
		}
	case *ast.IdentifierNode:
		n.variable(part)
	}
}

func (n *names) variable(id *ast.IdentifierNode) {
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

// extend makes the path of a part of that of another one, with a key behind it; a nil key adds none. If the key is computed,
// the path ends.
func (n *names) extend(part, of, key ast.Node) {
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

// read returns the paths that begin outside of the expression, sorted.
func (n *names) read() [][]string {
	var list [][]string
	for _, path := range n.paths {
		if len(path) == 0 || !slices.Contains(n.defined, path[0]) {
			list = append(list, path)
		}
	}
	slices.SortFunc(list, slices.Compare)
	return list
}

// Eval evaluates the expression on an event. A result of nil is absent. Times become RFC 3339 texts.
func (p *Program) Eval(v event.Value) (result event.Value, err error) {
	defer func() {
		if r := recover(); r != nil {
			result, err = event.Value{}, fmt.Errorf("cannot be evaluated: %v", r)
		}
	}()
	spent := &budget{}
	env := map[string]any{stepsName: spent}
	for _, name := range p.names {
		env[name] = bind(v.Get(name))
	}
	machine := vm.VM{MemoryBudget: maxMemory}
	out, err := machine.Run(p.program, env)
	if err != nil {
		return event.Value{}, inWords(err)
	}
	if _, err := deepSize(out, 0, maxBytes); err != nil {
		return event.Value{}, err
	}
	return value(out, 0)
}

// inWords is an error of the machine on one line.
func inWords(err error) error {
	var at *file.Error
	for _, known := range []error{errSteps, errBytes} {
		if errors.Is(err, known) {
			return known
		}
	}
	if errors.As(err, &at) {
		return errors.New(at.Message)
	}
	return err
}

// wholeNumber is a whole number, by its digits, that no int can hold. It can be passed on and compared for equality; whoever
// counts with it gets an error, never a rounded number.
type wholeNumber string

func isWhole(digits string) bool { return !strings.ContainsAny(digits, ".eE") }

// bind is a value as the machine takes it. Whole numbers that fit are ints.
func bind(v event.Value) any {
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
			list = append(list, bind(item))
		}
		return list
	case event.Object:
		object := make(map[string]any)
		for key, m := range v.Members() {
			object[key] = bind(m)
		}
		return object
	}
	return nil
}

// value is a result of the machine as a value; nil inside of lists and maps is null.
func value(x any, depth int) (event.Value, error) {
	if depth > event.MaxDepth {
		return event.Value{}, fmt.Errorf("makes something nested deeper than %d", event.MaxDepth)
	}
	switch x := x.(type) {
	case nil:
		if depth == 0 {
			return event.Value{}, nil
		}
		return event.NewNull(), nil
	case string:
		if !utf8.ValidString(x) {
			return event.Value{}, errors.New("makes a text that is not UTF-8")
		}
		return event.NewString(x), nil
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return event.Value{}, fmt.Errorf("makes %v, which is no number in JSON", x)
		}
		return event.NewFloat(x), nil
	case time.Time:
		return event.NewString(x.Format(time.RFC3339Nano)), nil
	case time.Duration:
		return event.NewString(x.String()), nil
	case []any:
		items := make([]event.Value, len(x))
		for i, inner := range x {
			item, err := value(inner, depth+1)
			if err != nil {
				return event.Value{}, err
			}
			items[i] = item
		}
		return event.NewArray(items), nil
	case map[string]any:
		return object(x, depth)
	case wholeNumber:
		return event.ParseString(string(x))
	case bool, int, int64:
		return event.From(x)
	case *budget:
		return event.Value{}, errors.New("makes something that has no JSON form")
	}
	return collection(x, depth)
}

func object(m map[string]any, depth int) (event.Value, error) {
	members := make([]event.Member, 0, len(m))
	for key, inner := range m {
		if key == stepsName {
			continue
		}
		v, err := value(inner, depth+1)
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
