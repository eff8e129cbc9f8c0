// Command mutants takes a random sample of small faults in a package and reports which of them the package's own tests do not notice.
//
//	go run ./.ci/mutants -n 30 -seed 1 ./framework/event ./framework/state
//
// Each fault is one change of one expression or statement: a comparison, an operand, a dropped error, a removed call, a bound. It is
// compiled with the -overlay flag of go test, so that no file of the tree changes. Faults that do not compile are not counted.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// mutant is one fault: the bytes of a file from start to end are replaced.
type mutant struct {
	file       string
	start, end token.Position
	text       string // what stands there instead
	kind       string
}

func main() {
	n := flag.Int("n", 20, "faults of each package")
	seed := flag.Uint64("seed", 1, "of the sample")
	timeout := flag.String("timeout", "2m", "for the tests of one fault; a fault that makes them slower counts as noticed")
	flag.Parse()
	for _, dir := range flag.Args() {
		if err := sample(dir, *n, rand.New(rand.NewPCG(*seed, 1)), *timeout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// sample tries n random faults of a package and prints those that survive.
func sample(dir string, n int, random *rand.Rand, timeout string) error {
	list, err := mutantsOf(dir)
	if err != nil {
		return err
	}
	random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	caught, tried := 0, 0
	for _, m := range list {
		if tried == n {
			break
		}
		compiled, survived, err := try(dir, m, timeout)
		if err != nil {
			return err
		}
		if !compiled {
			continue
		}
		tried++
		if !survived {
			caught++
			continue
		}
		fmt.Printf("%s:%d:%d: %s: not noticed\n", m.file, m.start.Line, m.start.Column, m.kind)
	}
	fmt.Printf("%s: %d of %d noticed\n", dir, caught, tried)
	return nil
}

// mutantsOf returns all faults of a package's files without tests and generated code.
func mutantsOf(dir string) ([]mutant, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var list []mutant
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || strings.HasSuffix(file, "_gen.go") {
			continue
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			return nil, err
		}
		add := func(from, to token.Pos, text, kind string) {
			list = append(list, mutant{file, set.Position(from), set.Position(to), text, kind})
		}
		ast.Inspect(f, func(node ast.Node) bool { mutate(node, add); return true })
	}
	return list, nil
}

// opposite are comparisons and what they are changed to.
var opposite = map[token.Token]string{
	token.EQL: "!=", token.NEQ: "==", token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">",
	token.ADD: "-", token.SUB: "+",
}

// mutate adds the faults of one node.
func mutate(node ast.Node, add func(from, to token.Pos, text, kind string)) {
	switch n := node.(type) {
	case *ast.BinaryExpr:
		if n.Op == token.LAND || n.Op == token.LOR {
			add(n.X.End(), n.Y.End(), "", "second operand dropped")
			add(n.X.Pos(), n.Y.Pos(), "", "first operand dropped")
		} else if text := opposite[n.Op]; text != "" {
			add(n.OpPos, n.OpPos+token.Pos(len(n.Op.String())), text, n.Op.String()+" changed to "+text)
		}
	case *ast.IfStmt:
		add(n.Cond.Pos(), n.Cond.End(), "false && ("+"\x00"+")", "condition never true")
	case *ast.ExprStmt:
		if _, ok := n.X.(*ast.CallExpr); ok {
			add(n.Pos(), n.End(), "", "call removed")
		}
	case *ast.ReturnStmt:
		if k := len(n.Results); k > 0 {
			if id, ok := n.Results[k-1].(*ast.Ident); ok && id.Name == "err" {
				add(id.Pos(), id.End(), "nil", "error dropped")
			}
		}
	case *ast.Ident:
		switch n.Name {
		case "true":
			add(n.Pos(), n.End(), "false", "true changed to false")
		case "false":
			add(n.Pos(), n.End(), "true", "false changed to true")
		}
	}
}

// try runs the tests of a package with a fault.
func try(dir string, m mutant, timeout string) (compiled, survived bool, err error) {
	source, err := os.ReadFile(m.file)
	if err != nil {
		return false, false, err
	}
	work, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return false, false, err
	}
	defer os.RemoveAll(work)
	text := strings.ReplaceAll(m.text, "\x00", string(source[m.start.Offset:m.end.Offset]))
	changed := bytes.Join([][]byte{source[:m.start.Offset], []byte(text), source[m.end.Offset:]}, nil)
	full, err := filepath.Abs(m.file)
	if err != nil {
		return false, false, err
	}
	replaced, overlay := filepath.Join(work, "file.go"), filepath.Join(work, "overlay.json")
	spec, err := json.Marshal(map[string]map[string]string{"Replace": {full: replaced}})
	if err := errors.Join(err, os.WriteFile(replaced, changed, 0o600), os.WriteFile(overlay, spec, 0o600)); err != nil {
		return false, false, err
	}
	if exec.Command("go", "build", "-overlay", overlay, dir).Run() != nil {
		return false, false, nil
	}
	survived = exec.Command("go", "test", "-vet=off", "-short", "-failfast", "-timeout", timeout, "-overlay", overlay, dir).Run() == nil
	return true, survived, nil
}
