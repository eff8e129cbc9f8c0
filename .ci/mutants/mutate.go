package main

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// switchSource is a file that is added to the package: MUTANT names the fault that is switched on.
const switchSource = `package PACKAGE

import (
	mutantOS "os"
	mutantStrconv "strconv"
)

var mutantActive, _ = mutantStrconv.Atoi(mutantOS.Getenv("MUTANT"))

func mutantOn(id int) bool { return mutantActive == id }

func mutantError(id int, err error) error {
	if mutantActive == id {
		return nil
	}
	return err
}

// A call that is skipped has succeeded.
func mutantSkip(id int, call func() error) error {
	if mutantActive == id {
		return nil
	}
	return call()
}

type mutantNumber interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

func mutantMore[T mutantNumber](id int, bound T) T {
	if mutantActive == id {
		return bound + 1
	}
	return bound
}

func mutantPlus[T mutantNumber](id int, a, b T) T {
	if mutantActive == id {
		return a - b
	}
	return a + b
}

func mutantMinus[T mutantNumber](id int, a, b T) T {
	if mutantActive == id {
		return a + b
	}
	return a - b
}
`

// mutant is one fault: text is put before and after a node, and perhaps instead of its operator.
type mutant struct {
	id            int
	file          string
	line, column  int
	last          int // the last line of the node
	kind, text    string
	start, end    int // offsets of the node
	before, after string
	operator      int // offset of the operator that instead replaces; -1: none
	width         int
	instead       string
	risky         bool // often does not compile: the first to be left out
	out           bool // left out: it does not compile
}

// source is a file and its faults.
type source struct {
	file, pkg string
	text      []byte
	faults    []*mutant
}

// parseSources reads the package's files and finds their faults. Tests and generated code have none.
func parseSources(dir, only string) ([]*source, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var sources []*source
	next := 1
	for _, file := range files {
		base := filepath.Base(file)
		if strings.HasSuffix(base, "_test.go") || strings.HasSuffix(base, "_gen.go") || only != "" && !slices.Contains(strings.Split(only, ","), base) {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, file, text, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		s := &source{file: file, pkg: f.Name.Name, text: text}
		finder := &finder{source: s, set: set, next: &next}
		ast.Inspect(f, finder.visit)
		sources = append(sources, s)
	}
	if len(sources) == 0 {
		return nil, errors.New("no Go files")
	}
	return sources, nil
}

// live returns the faults that compile.
func (s *source) live() []*mutant {
	return slices.DeleteFunc(slices.Clone(s.faults), func(m *mutant) bool { return m.out })
}

// leaveOut takes the faults that touch a line out: the risky ones first.
func (s *source) leaveOut(line int) int {
	taken := 0
	for _, risky := range []bool{true, false} {
		for _, m := range s.live() {
			if m.line <= line && line <= m.last && m.risky == risky && (risky || m.line == line) {
				m.out = true
				taken++
			}
		}
		if taken > 0 {
			break
		}
	}
	return taken
}

// leaveOutRisky takes all risky faults out, since one of them may change the type of a variable that another line uses.
func (s *source) leaveOutRisky() int {
	taken := 0
	for _, m := range s.live() {
		if m.risky {
			m.out = true
			taken++
		}
	}
	return taken
}

// insertion is text put into the source at an offset, instead of width bytes.
type insertion struct {
	offset, width int
	text          string
	closes        bool
	span          int
}

// changed returns the source with all its faults behind switches.
func (s *source) changed() []byte {
	var list []insertion
	for i, m := range s.live() {
		// Of two wrappers around the same node the one found first, which is the outer one, opens first and closes last.
		span := (m.end-m.start)<<16 - i
		list = append(list, insertion{offset: m.start, text: m.before, span: span}, insertion{offset: m.end, text: m.after, closes: true, span: span})
		if m.operator >= 0 {
			list = append(list, insertion{offset: m.operator, width: m.width, text: m.instead})
		}
	}
	slices.SortStableFunc(list, func(a, b insertion) int {
		switch {
		case a.offset != b.offset:
			return cmp.Compare(a.offset, b.offset)
		case a.closes != b.closes:
			if a.closes {
				return -1
			}
			return 1
		case a.closes:
			return cmp.Compare(a.span, b.span)
		}
		return cmp.Compare(b.span, a.span)
	})
	var out []byte
	at := 0
	for _, e := range list {
		out = append(append(out, s.text[at:e.offset]...), e.text...)
		at = e.offset + e.width
	}
	return append(out, s.text[at:]...)
}

// finder collects the faults of a file.
type finder struct {
	*source
	set  *token.FileSet
	next *int
}

// at returns the source text of a node.
func (f *finder) at(node ast.Node) string {
	return string(f.text[f.set.Position(node.Pos()).Offset:f.set.Position(node.End()).Offset])
}

// add adds a fault around a node: %d in before and after stands for its number.
func (f *finder) add(node ast.Node, kind, before, after string) *mutant {
	start, end := f.set.Position(node.Pos()), f.set.Position(node.End())
	number := func(text string) string { return strings.ReplaceAll(text, "%d", fmt.Sprint(*f.next)) }
	line, _, _ := strings.Cut(f.at(node), "\n")
	m := &mutant{id: *f.next, file: f.file, line: start.Line, last: end.Line, column: start.Column, kind: kind, text: line, start: start.Offset, end: end.Offset,
		before: number(before), after: number(after), operator: -1}
	*f.next++
	f.faults = append(f.faults, m)
	return m
}

// visit adds the faults of one node.
func (f *finder) visit(node ast.Node) bool {
	switch n := node.(type) {
	case *ast.FuncDecl:
		return !slices.Contains(textMethods, n.Name.Name)
	case *ast.GenDecl:
		return n.Tok == token.VAR
	case *ast.BinaryExpr:
		f.binary(n)
	case *ast.IfStmt:
		if a, ok := n.Init.(*ast.AssignStmt); ok {
			f.errorOf(a)
		}
		f.add(n.Cond, "condition never true", "(!mutantOn(%d) && (", "))")
	case *ast.ExprStmt:
		if call, ok := n.X.(*ast.CallExpr); ok && !slices.Contains(ignoredCalls, called(call)) {
			f.add(n, "call removed", "if !mutantOn(%d) { ", " }")
		}
	case *ast.BranchStmt:
		if n.Tok == token.CONTINUE {
			f.add(n, "continue removed", "if !mutantOn(%d) { ", " }")
		}
	case *ast.BlockStmt:
		f.assignments(n.List)
	case *ast.CaseClause:
		f.assignments(n.Body)
	case *ast.ReturnStmt:
		f.returns(n)
	case *ast.CallExpr:
		f.bounds(n)
	case *ast.SliceExpr:
		for _, bound := range []ast.Expr{n.Low, n.High} {
			if number, ok := bound.(*ast.BasicLit); ok {
				f.add(number, "bound plus one", "mutantMore(%d, ", ")").risky = true
			}
		}
	case *ast.Ident:
		if n.Name == "true" || n.Name == "false" {
			f.add(n, n.Name+" inverted", "(mutantOn(%d) != ", ")")
		}
	}
	return true
}

// textMethods only write text for people; a package's users rely on none of their details.
var textMethods = []string{"String", "GoString", "LogValue", "Usage"}

// ignoredCalls are calls whose removal no test of the package can be asked to notice: logging, panics after mistakes of a
// programmer, and locks, which are for the race detector.
var ignoredCalls = []string{"Debug", "Info", "Warn", "Error", "DebugContext", "InfoContext", "WarnContext", "ErrorContext", "LogAttrs",
	"Lock", "RLock", "Unlock", "RUnlock", "Helper", "panic"}

// boundingCalls have a limit among their arguments.
var boundingCalls = []string{"min", "max", "LimitReader", "MaxBytesReader", "SplitN"}

// called returns the name of the function or method of a call, without what it belongs to.
func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// bounds adds one to each argument of a call that limits something.
func (f *finder) bounds(call *ast.CallExpr) {
	if !slices.Contains(boundingCalls, called(call)) {
		return
	}
	for _, argument := range call.Args {
		f.add(argument, "bound plus one", "mutantMore(%d, ", ")").risky = true
	}
}

// returns adds the loss of a returned error, the loss of the call that could have failed, and the removal of an early return.
func (f *finder) returns(n *ast.ReturnStmt) {
	if len(n.Results) == 0 {
		f.add(n, "return removed", "if !mutantOn(%d) { ", " }")
		return
	}
	switch last := n.Results[len(n.Results)-1].(type) {
	case *ast.Ident:
		if last.Name == "err" {
			f.add(last, "error dropped", "mutantError(%d, ", ")")
		}
	case *ast.CallExpr:
		f.add(last, "error dropped", "mutantError(%d, ", ")").risky = true
		if len(n.Results) == 1 {
			f.skipped(last)
		}
	}
}

// skipped adds that a call which returns an error does nothing and succeeds.
func (f *finder) skipped(call *ast.CallExpr) {
	if name := called(call); name != "Errorf" && name != "New" {
		f.add(call, "call skipped", "mutantSkip(%d, func() error { return ", " })").risky = true
	}
}

// assignments adds the removal of each plain assignment of a block.
func (f *finder) assignments(list []ast.Stmt) {
	for _, statement := range list {
		a, ok := statement.(*ast.AssignStmt)
		if !ok {
			continue
		}
		if a.Tok != token.DEFINE && f.at(a.Lhs[0]) != "_" {
			f.add(a, "assignment removed", "if !mutantOn(%d) { ", " }")
		}
		f.errorOf(a)
	}
}

// errorOf adds the skipped call of a statement that keeps the call's error alone.
func (f *finder) errorOf(a *ast.AssignStmt) {
	if call, ok := a.Rhs[0].(*ast.CallExpr); ok && len(a.Lhs) == 1 && f.at(a.Lhs[0]) == "err" {
		f.skipped(call)
	}
}

// binary adds the faults of an operator.
func (f *finder) binary(n *ast.BinaryExpr) {
	x, y := "("+f.at(n.X)+")", "("+f.at(n.Y)+")"
	switch n.Op {
	case token.LAND:
		f.add(n.X, "first operand dropped", "(mutantOn(%d) || (", "))")
		f.add(n.Y, "second operand dropped", "(mutantOn(%d) || (", "))")
	case token.LOR:
		f.add(n.X, "first operand dropped", "(!mutantOn(%d) && (", "))")
		f.add(n.Y, "second operand dropped", "(!mutantOn(%d) && (", "))")
	case token.EQL, token.NEQ:
		f.add(n, n.Op.String()+" inverted", "(mutantOn(%d) != (", "))")
	case token.LSS, token.GTR:
		f.add(n, n.Op.String()+" with equality", "((", ") || mutantOn(%d) && "+flat(x)+" == "+flat(y)+")")
	case token.LEQ, token.GEQ:
		f.add(n, n.Op.String()+" without equality", "((", ") && !(mutantOn(%d) && "+flat(x)+" == "+flat(y)+"))")
	case token.ADD, token.SUB:
		name := map[token.Token]string{token.ADD: "mutantPlus(%d, ", token.SUB: "mutantMinus(%d, "}[n.Op]
		m := f.add(n, n.Op.String()+" exchanged", name, ")")
		m.risky = true
		m.operator, m.width, m.instead = f.set.Position(n.OpPos).Offset, 1, ", "
	}
}

// flat keeps an operand on its line, so that the lines of the changed source stay those of the file.
func flat(text string) string { return strings.ReplaceAll(text, "\n", " ") }
