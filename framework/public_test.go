package framework_test

import (
	"go/ast"
	"go/doc"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// publicPackages are the packages that programs and destinations outside of this repository may rely on, relative to framework/.
var publicPackages = []string{
	"../destinations", "cli", "destination", "destination/destinationtest", "destination/httpx", "destination/oauth", "destination/sandbox", "dispatch", "event",
	"event/incoming", "fault", "files/audiencesync", "files/stream", "runtime", "runtime/ballast", "runtime/config", "runtime/instances", "runtime/tasks", "state",
}

// exposedPackages are the packages that are not public, but whose types occur in the exported signatures of public ones: the languages
// and the parts of definitions and configs that a program reads but never makes.
var exposedPackages = []string{
	"destination/request", "dispatch/budget", "event/identifier", "language/fieldschema", "language/fql", "language/mapping", "language/reference", "language/yamldoc", "server/access",
}

func TestREADMEListsThePublicPackages(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "## What others can rely on\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	var listed []string
	for _, link := range regexp.MustCompile(`\]\(([a-z./]+[a-z])\)`).FindAllStringSubmatch(section, -1) {
		listed = append(listed, link[1])
	}
	listed = slices.DeleteFunc(listed, func(link string) bool { return strings.HasSuffix(link, ".go") })
	slices.Sort(listed)
	require.Equal(t, publicPackages, listed)
}

// minPackageDoc is the least length of a package comment that says what the package is for, how to use it and who may use it concurrently.
const minPackageDoc = 250

func TestPublicPackagesAreDocumented(t *testing.T) {
	for _, public := range publicPackages {
		p := documentation(t, public)
		assert.GreaterOrEqual(t, len(p.Doc), minPackageDoc, "%s needs a package comment that reads as a guide", public)
		assert.True(t, runsAnExample(p), "%s needs an Example with an output", public)
		for _, name := range undocumented(p) {
			t.Errorf("%s: %s needs a doc comment", public, name)
		}
	}
}

func importPath(public string) string { return path.Join(module+"framework", public) }

// documentation returns what go doc shows of a package, with the examples of its tests.
func documentation(t *testing.T, public string) *doc.Package {
	fset := token.NewFileSet()
	names, err := filepath.Glob(filepath.Join(public, "*.go"))
	require.NoError(t, err)
	var files []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		require.NoError(t, err)
		files = append(files, file)
	}
	p, err := doc.NewFromFiles(fset, files, importPath(public))
	require.NoError(t, err)
	return p
}

func runsAnExample(p *doc.Package) bool {
	examples := slices.Clone(p.Examples)
	for _, t := range p.Types {
		examples = append(examples, t.Examples...)
		for _, f := range slices.Concat(t.Funcs, t.Methods) {
			examples = append(examples, f.Examples...)
		}
	}
	for _, f := range p.Funcs {
		examples = append(examples, f.Examples...)
	}
	return slices.ContainsFunc(examples, func(e *doc.Example) bool { return e.Output != "" || e.EmptyOutput })
}

// interfaceMethods are methods of well-known interfaces, which need no comment.
var interfaceMethods = []string{"Error", "ServeHTTP", "String", "Unwrap"}

// undocumented lists the exported names of a package without a comment. A group of constants or variables may share one.
func undocumented(p *doc.Package) (names []string) {
	functions := p.Funcs
	values := slices.Concat(p.Consts, p.Vars)
	for _, t := range p.Types {
		if t.Doc == "" {
			names = append(names, t.Name)
		}
		functions = slices.Concat(functions, t.Funcs, t.Methods)
		values = slices.Concat(values, t.Consts, t.Vars)
	}
	for _, f := range functions {
		if f.Doc == "" && (f.Recv == "" || !slices.Contains(interfaceMethods, f.Name)) {
			names = append(names, strings.TrimPrefix(f.Recv+"."+f.Name, "."))
		}
	}
	for _, v := range values {
		if v.Doc == "" && !commented(v.Decl) {
			names = append(names, v.Names...)
		}
	}
	return names
}

// commented reports whether a comment belongs to one of the declaration's specs.
func commented(d *ast.GenDecl) bool {
	return slices.ContainsFunc(d.Specs, func(s ast.Spec) bool {
		v, ok := s.(*ast.ValueSpec)
		return ok && (v.Doc.Text() != "" || v.Comment.Text() != "")
	})
}

func TestPublicPackagesExposePublicTypes(t *testing.T) {
	imported, found := importExports(t), map[string]bool{}
	for _, public := range publicPackages {
		p, err := imported.Import(importPath(public))
		require.NoError(t, err)
		for exposed, place := range exposedIn(p) {
			found[exposed] = true
			assert.Contains(t, exposedPackages, exposed, "a type of a package that is not public is exposed by %s.%s", public, place)
		}
	}
	assert.Equal(t, exposedPackages, slices.Sorted(maps.Keys(found)))
}

// importExports returns an importer that reads what the compiler exports from each package.
func importExports(t *testing.T) types.Importer {
	arguments := []string{"list", "-deps", "-export", "-f", `{{if .Export}}{{.ImportPath}} {{.Export}}{{end}}`}
	for _, public := range publicPackages {
		arguments = append(arguments, importPath(public))
	}
	out, err := exec.Command("go", arguments...).Output()
	require.NoError(t, err)
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		files[name] = file
	}
	return importer.ForCompiler(token.NewFileSet(), "gc", func(name string) (io.ReadCloser, error) { return os.Open(files[name]) })
}

// exposedIn returns the packages of this module that are not public but whose types are part of p's interface, with one place each.
func exposedIn(p *types.Package) map[string]string {
	found := map[string]string{}
	for _, name := range p.Scope().Names() {
		if o := p.Scope().Lookup(name); o.Exported() {
			exposure{p, found, map[types.Type]bool{}}.visitObject(o)
		}
	}
	return found
}

// exposure collects the types of other packages that are not public.
type exposure struct {
	of    *types.Package
	found map[string]string
	seen  map[types.Type]bool
}

func (x exposure) visitObject(o types.Object) {
	named, _ := o.Type().(*types.Named)
	if _, isType := o.(*types.TypeName); !isType || named == nil {
		x.visit(o.Type(), o.Name())
		return
	}
	x.visit(named.Underlying(), o.Name())
	for m := range named.Methods() {
		if m.Exported() {
			x.visit(m.Type(), o.Name()+"."+m.Name())
		}
	}
}

func (x exposure) visit(t types.Type, place string) {
	if x.seen[t] {
		return
	}
	x.seen[t] = true
	switch t := t.(type) {
	case *types.Alias:
		x.visit(types.Unalias(t), place)
	case *types.Named:
		x.note(t.Obj(), place)
		for argument := range t.TypeArgs().Types() {
			x.visit(argument, place)
		}
	case *types.Signature:
		x.visit(t.Params(), place)
		x.visit(t.Results(), place)
	case *types.Tuple:
		for v := range t.Variables() {
			x.visit(v.Type(), place)
		}
	case *types.Struct:
		for f := range t.Fields() {
			if f.Exported() {
				x.visit(f.Type(), place+"."+f.Name())
			}
		}
	case *types.Interface:
		for m := range t.ExplicitMethods() {
			x.visit(m.Type(), place+"."+m.Name())
		}
	case *types.Map:
		x.visit(t.Key(), place)
		x.visit(t.Elem(), place)
	case interface{ Elem() types.Type }:
		x.visit(t.Elem(), place)
	}
}

func (x exposure) note(o *types.TypeName, place string) {
	if o.Pkg() == nil || o.Pkg() == x.of {
		return
	}
	isPublic := func(public string) bool { return importPath(public) == o.Pkg().Path() }
	if strings.HasPrefix(o.Pkg().Path(), module) && !slices.ContainsFunc(publicPackages, isPublic) {
		x.found[strings.TrimPrefix(o.Pkg().Path(), module+"framework/")] = place
	}
}
