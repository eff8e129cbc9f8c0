package delivery

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// handlerMethods are the methods of dispatch.Handler, which are called with the lock held and have the names of the interface.
var handlerMethods = []string{"Finished", "Exhausted", "Retried"}

// A method that needs a lock held has a name that ends in Locked. So functions that call such a method either lock a mutex themselves, or have such a
// name too.
func TestMethodsThatNeedALockSaySo(t *testing.T) {
	checked := 0
	for name, f := range parseSources(t) {
		for _, d := range f.Decls {
			decl, ok := d.(*ast.FuncDecl)
			if !ok || decl.Body == nil {
				continue
			}
			checked += checkLocks(t, name, decl.Name.Name, decl.Body)
		}
	}
	assert.Greater(t, checked, 50)
}

// The check finds a function that calls a method without its lock.
func TestCheckOfLocksFindsMissingOnes(t *testing.T) {
	for text, want := range map[string]string{
		`func f() { p.readLocked() }`:                                                   "f calls readLocked",
		`func f() { p.mu.Lock(); defer p.mu.Unlock(); p.readLocked() }`:                 "",
		`func fLocked() { p.readLocked() }`:                                             "",
		`func f() { p.mu.Lock(); go func() { p.readLocked() }() }`:                      "f calls readLocked",
		`func f() { go func() { p.mu.Lock(); defer p.mu.Unlock(); p.readLocked() }() }`: "",
		`func f() { p.mu.Lock(); defer func() { p.readLocked() }() }`:                   "",
		`func fLocked() { w.goroutines.Go(func() { p.readLocked() }) }`:                 "fLocked calls readLocked",
		`func fLocked() { withLocked(func() { p.readLocked() }) }`:                      "",
		`func fLocked() { p.mu.Lock() }`:                                                "",
		`func f() { submit(func() { p.readLocked() }) }`:                                "f calls readLocked",
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "", "package x\n"+text, 0)
		require.NoError(t, err)
		decl := f.Decls[0].(*ast.FuncDecl)
		_, found := missingLocks(decl.Name.Name, decl.Body)
		assert.Equal(t, want, strings.Join(found, "; "), text)
	}
}

func parseSources(t *testing.T) map[string]*ast.File {
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	files := map[string]*ast.File{}
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			files[name], err = parser.ParseFile(token.NewFileSet(), name, nil, 0)
			require.NoError(t, err)
		}
	}
	return files
}

func checkLocks(t *testing.T, file, function string, body *ast.BlockStmt) int {
	checked, found := missingLocks(function, body)
	for _, text := range found {
		assert.Fail(t, "a lock is missing", "%s: %s: lock the mutex, or give the function a name that ends in Locked", file, text)
	}
	return checked
}

// missingLocks returns how many calls of methods with such a name a function has, and those without the lock.
func missingLocks(function string, body *ast.BlockStmt) (checked int, found []string) {
	c := &lockCheck{function: function}
	c.checkBody(body, strings.HasSuffix(function, "Locked") || slices.Contains(handlerMethods, function))
	return c.checked, c.found
}

type lockCheck struct {
	function string
	checked  int
	found    []string
}

// checkBody checks a body in which the lock is held from the start or not. A function literal that is passed to another function, or runs in a
// goroutine, is a body of its own.
func (c *lockCheck) checkBody(body *ast.BlockStmt, held bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.DeferStmt:
			if f, ok := n.Call.Fun.(*ast.FuncLit); ok {
				c.checkBody(f.Body, held)
				return false
			}
		case *ast.CallExpr:
			name := calledName(n)
			switch {
			case name == "Lock":
				held = true
			case strings.HasSuffix(name, "Locked"):
				c.checked++
				if !held {
					c.found = append(c.found, c.function+" calls "+name)
				}
			}
			for _, arg := range n.Args {
				if f, ok := arg.(*ast.FuncLit); ok {
					c.checkBody(f.Body, held && callsAtOnce(n))
				}
			}
			if f, ok := n.Fun.(*ast.FuncLit); ok {
				c.checkBody(f.Body, false)
			}
		case *ast.FuncLit:
			return false
		}
		return true
	})
}

// callsAtOnce reports whether a call calls its arguments before it returns, with the lock held: those of package slices and those with Locked in
// their name.
func callsAtOnce(call *ast.CallExpr) bool {
	if f, ok := call.Fun.(*ast.SelectorExpr); ok {
		if x, ok := f.X.(*ast.Ident); ok && x.Name == "slices" {
			return true
		}
	}
	return strings.HasSuffix(strings.ToLower(calledName(call)), "locked")
}

// calledName returns the name of the called function or method.
func calledName(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}
