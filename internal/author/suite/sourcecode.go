package suite

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"strings"

	"github.com/landfall-dev/landfall/internal/textfile"
)

// forbiddenNames lists names that a destination must not use, and the alternative.
func forbiddenNames() map[string]map[string]string {
	const client, clock, log = "send requests with call.Client", "ask call.Now", "write to call.Log"
	return map[string]map[string]string{
		"net/http": {
			"Client": client, "DefaultClient": client, "Get": client, "Post": client, "PostForm": client, "Head": client,
			"NewRequest": client, "NewRequestWithContext": client, "DefaultTransport": client, "Transport": client,
		},
		"time": {
			"Now": clock, "Since": clock, "Until": clock, "Sleep": "return a *fault.Error with RetryAfter", "After": "return a *fault.Error with RetryAfter",
			"Tick": "start nothing", "NewTimer": "start nothing", "NewTicker": "start nothing", "AfterFunc": "start nothing",
		},
		"os": {
			"Getenv": "ask call.Env", "LookupEnv": "ask call.Env", "Environ": "ask call.Env", "Setenv": "ask call.Env", "Stdout": log, "Stderr": log, "Exit": "return an error",
		},
		"context": {"Background": "use the handler's context", "TODO": "use the handler's context"},
		"fmt":     {"Print": log, "Println": log, "Printf": log},
		"log":     {"*": log},
		"log/slog": {
			"Default": log, "Debug": log, "Info": log, "Warn": log, "Error": log, "Log": log, "New": log, "SetDefault": log,
		},
		"crypto/tls": {"*": client},
		"net":        {"*": client},
		"os/exec":    {"*": "start nothing"},
		"unsafe":     {"*": "do without"},
	}
}

// sandboxFile is the one file that may hold state, since it simulates the remote.
const sandboxFile = "sandbox.go"

// checkPlumbing checks that a destination starts no goroutines, keeps no state in package variables, and gets its client, clock
// and environment from the framework.
func checkPlumbing(s *subject) {
	files, err := textfile.Glob(s.dir, "*.go")
	if err != nil {
		s.addFinding("", "%v", err)
		return
	}
	p := codePackage{subject: s, set: token.NewFileSet(), forbidden: forbiddenNames()}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(p.set, file, nil, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			s.addFinding(filepath.Base(file), "%v", err)
			return
		}
		if ast.IsGenerated(parsed) || !isBuildIgnored(parsed) {
			p.files = append(p.files, parsed)
		}
	}
	p.inspectFiles()
}

// isBuildIgnored reports whether a file is a separate program (//go:build ignore).
func isBuildIgnored(f *ast.File) bool {
	for _, group := range f.Comments {
		for _, c := range group.List {
			if c.Pos() < f.Package && strings.HasPrefix(c.Text, "//go:build ignore") {
				return true
			}
		}
	}
	return false
}

// codePackage is the Go source of a destination with type information. Imports are not loaded; their names are enough.
type codePackage struct {
	*subject
	set       *token.FileSet
	files     []*ast.File
	uses      map[*ast.Ident]types.Object
	scope     *types.Scope
	forbidden map[string]map[string]string
}

func (p *codePackage) inspectFiles() {
	info := types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{
		Error:    func(error) {}, // errors because imports are not loaded
		Importer: noImports{},
	}
	pkg, _ := config.Check("destination", p.set, p.files, &info) // only errors of the imports
	p.uses, p.scope = info.Uses, pkg.Scope()
	for _, f := range p.files {
		sandbox := filepath.Base(p.set.Position(f.Package).Filename) == sandboxFile
		ast.Inspect(f, func(n ast.Node) bool {
			p.checkNode(n, sandbox)
			return true
		})
	}
}

// noImports is an importer that loads no package.
type noImports struct{}

func (noImports) Import(string) (*types.Package, error) {
	return nil, errors.New("imports are not read")
}

func (p *codePackage) checkNode(n ast.Node, sandbox bool) {
	switch n := n.(type) {
	case *ast.FuncDecl:
		if n.Name.Name == "init" && n.Recv == nil {
			p.reportAt(n, "an init function: the list of destinations is generated")
		}
	case *ast.GoStmt:
		p.reportAt(n, "a goroutine: a handler does its work itself, the framework runs many")
	case *ast.SelectorExpr:
		p.checkSelector(n, sandbox)
	case *ast.AssignStmt:
		for _, target := range n.Lhs {
			p.checkMutation(target)
		}
	case *ast.IncDecStmt:
		p.checkMutation(n.X)
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			p.checkMutation(n.X)
		}
	case *ast.CallExpr:
		if name, ok := n.Fun.(*ast.Ident); ok && (name.Name == "delete" || name.Name == "clear") && len(n.Args) > 0 {
			p.checkMutation(n.Args[0])
		}
	case *ast.GenDecl:
		p.checkVariables(n)
	}
}

// checkSelector reports the use of forbidden names of other packages.
func (p *codePackage) checkSelector(n *ast.SelectorExpr, sandbox bool) {
	name, ok := n.X.(*ast.Ident)
	if !ok {
		return
	}
	imported, ok := p.uses[name].(*types.PkgName)
	if !ok {
		return
	}
	path := imported.Imported().Path()
	if sandbox && (path == "time" || path == "net/http") {
		return
	}
	names := p.forbidden[path]
	for _, key := range []string{n.Sel.Name, "*"} {
		if instead, no := names[key]; no {
			p.reportAt(n, "%s.%s: %s", path, n.Sel.Name, instead)
			return
		}
	}
}

// checkMutation reports a package variable that is assigned to, in whole or in part, or whose address is taken.
func (p *codePackage) checkMutation(target ast.Expr) {
	for {
		switch e := target.(type) {
		case *ast.IndexExpr:
			target = e.X
		case *ast.SelectorExpr:
			target = e.X
		case *ast.StarExpr:
			target = e.X
		case *ast.ParenExpr:
			target = e.X
		case *ast.Ident:
			if v, ok := p.uses[e].(*types.Var); ok && v.Parent() == p.scope {
				p.reportAt(e, "the package variable %s is changed: keep it in call.State, or pass it as an argument", e.Name)
			}
			return
		default:
			return
		}
	}
}

// checkVariables reports package variables whose type is only useful for shared state.
func (p *codePackage) checkVariables(d *ast.GenDecl) {
	if d.Tok != token.VAR {
		return
	}
	for _, spec := range d.Specs {
		v, ok := spec.(*ast.ValueSpec)
		if !ok || p.scope.Lookup(v.Names[0].Name) == nil || p.scope.Lookup(v.Names[0].Name).Pos() != v.Names[0].Pos() {
			continue
		}
		ast.Inspect(v, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncLit:
				return false
			case *ast.ChanType:
				p.reportAt(n, "the package variable %s is a channel", v.Names[0].Name)
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok {
					pkg, ok := p.uses[x].(*types.PkgName)
					if ok && holdsState(pkg.Imported().Path(), n.Sel.Name) {
						p.reportAt(n, "the package variable %s is made to change: keep it in call.State", v.Names[0].Name)
					}
				}
			}
			return true
		})
	}
}

func holdsState(path, name string) bool {
	return path == "sync/atomic" || path == "sync" && !strings.HasPrefix(name, "Once")
}

// reportAt adds a finding with a place in the source.
func (p *codePackage) reportAt(n ast.Node, format string, args ...any) {
	place := p.set.Position(n.Pos())
	p.addFinding(filepath.Base(place.Filename), "line %d: "+format, append([]any{place.Line}, args...)...)
}
