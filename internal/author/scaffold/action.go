package scaffold

import (
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// used holds the names that a new destination's package declares or imports.
var used = []string{
	"definition", "baseURL", "test", "send", "newSandbox", "api", "user", "reply", "maxUsers", "maxID",
	"maxMembers", "audiences", "audience", "readChange", "audiencePath", "membersBody", "sendJSON", "takeUsers", "url",
	"plugin", "runHook", "outputs", "createAudience", "getAudience", "path",
	"context", "embed", "http", "json", "destination", "event", "fault", "fmt", "maps", "slices", "sync", "sandbox",
}

// Action adds an action to a destination: a handler, a case, and entries in the definition and in plugin.go, whose other content does
// not change. In a destination without code the definition has its request, and the simulated API a route; declared reports that. It
// returns the new and changed files, relative to Dir.
func Action(n New) (made []string, declared bool, err error) {
	dir := filepath.Join(n.Dir, n.Slug)
	file := filepath.Join(dir, destination.DefinitionFile)
	text, err := textfile.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		folders, _ := n.folders() // for the suggestion only
		return nil, false, fmt.Errorf("there is no destination %q in %s%s: make it with %s new destination %s", n.Slug, n.Dir, fault.DidYouMean(n.Slug, folders), n.programName(), n.Slug)
	} else if err != nil {
		return nil, false, err
	}
	d, err := destination.ParseDefinition(file, text)
	if err != nil {
		return nil, false, err
	}
	if declared, err = hasRequests(d, dir); err != nil {
		return nil, false, err
	}
	n.Name, n.Scheme, n.Declared = d.Name, string(d.Scheme), declared
	if err := n.checkNewAction(d, dir); err != nil {
		return nil, false, err
	}
	if declared {
		made, err = declaredAction(n, d, dir, text)
		return made, true, err
	}
	made, err = codedAction(n, d, dir, text)
	return made, false, err
}

// codedAction is Action for a destination in Go.
func codedAction(n New, d *destination.Definition, dir string, text []byte) ([]string, error) {
	m, err := findLocation(n.Dir)
	if err != nil {
		return nil, err
	}
	v := n.view(m)
	block, err := v.execute("action.yaml.tmpl")
	if err != nil {
		return nil, err
	}
	grown, err := withAction(d, text, string(block))
	if err != nil {
		return nil, err
	}
	handle, err := v.execute("handle.tmpl")
	if err != nil {
		return nil, err
	}
	plugin := filepath.Join(dir, "plugin.go")
	code, err := withHandler(plugin, n.Action, string(handle), n.programName())
	if err != nil {
		return nil, err
	}
	var made []string
	if sendsAnyBody(code) {
		made, err = v.writeActionFrom(grown)
	} else {
		made, err = n.write(v, map[string]string{n.actionFile(): "action.go", n.caseFile(): "case.yaml"})
	}
	if err == nil {
		err = errors.Join(textfile.Update(filepath.Join(dir, destination.DefinitionFile), grown, 0o644), textfile.Update(plugin, code, 0o644))
	}
	return append(made, filepath.Join(n.Slug, destination.DefinitionFile), filepath.Join(n.Slug, "plugin.go")), err
}

// sendsAnyBody reports whether the function send of a plugin takes a body of any type, as in a plugin that From made.
func sendsAnyBody(code []byte) bool {
	f, err := parser.ParseFile(token.NewFileSet(), "", code, parser.SkipObjectResolution)
	if err != nil {
		return false
	}
	for _, d := range f.Decls {
		if d, ok := d.(*ast.FuncDecl); ok && d.Recv == nil && d.Name.Name == "send" && len(d.Type.Params.List) > 0 {
			last, ok := d.Type.Params.List[len(d.Type.Params.List)-1].Type.(*ast.Ident)
			return ok && last.Name == "any"
		}
	}
	return false
}

func (n New) checkNewAction(d *destination.Definition, dir string) error {
	if d.Action(n.Action) != nil {
		return fmt.Errorf("%s already has an action %s", d.Name, n.Action)
	}
	taken, err := declaredNames(dir)
	if err != nil {
		return err
	}
	if err := n.checkAction(taken); err != nil {
		return err
	}
	for _, path := range []string{n.actionFile(), n.caseFile()} {
		if _, err := os.Stat(filepath.Join(dir, path)); err == nil {
			return fmt.Errorf("%s already exists", filepath.Join(dir, path))
		}
	}
	return nil
}

// declaredNames returns the names that a package declares.
func declaredNames(dir string) (names []string, err error) {
	files, err := textfile.Glob(dir, "*.go")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					names = append(names, d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						names = append(names, spec.Name.Name)
					case *ast.ValueSpec:
						for _, name := range spec.Names {
							names = append(names, name.Name)
						}
					}
				}
			}
		}
	}
	return names, nil
}

// withAction returns a definition with an action added after the last one. The rest of the text does not change.
func withAction(d *destination.Definition, text []byte, block string) ([]byte, error) {
	lines := strings.SplitAfter(string(text), "\n")
	first := d.Actions[0].Key
	begin, _ := d.Document.KeyPosition("/actions")
	line, column := d.Document.KeyPosition("/actions/" + first)
	if line <= begin {
		return nil, fmt.Errorf("%s: the actions are in braces: write them on lines of their own first", d.Document.Name())
	}
	end := len(lines)
	for key := range d.Document.Value().Members() {
		if at, _ := d.Document.KeyPosition("/" + key); at > begin {
			end = min(end, at-1)
		}
	}
	for end > line && isBeside(lines[end-1]) {
		end-- // comments before the next key belong to that key
	}
	var b strings.Builder
	b.WriteString(strings.Join(lines[:end], ""))
	if !strings.HasSuffix(b.String(), "\n") {
		b.WriteString("\n")
	}
	indent := strings.Repeat(" ", column-1)
	for l := range strings.Lines(block) {
		b.WriteString(indent + strings.TrimPrefix(l, "  "))
	}
	b.WriteString(strings.Join(lines[end:], ""))
	grown := []byte(b.String())
	if _, err := destination.ParseDefinition(d.Document.Name(), grown); err != nil {
		return nil, fmt.Errorf("adding the action to the definition: %w", err)
	}
	return grown, nil
}

// isBeside reports whether a line is empty or an unindented comment.
func isBeside(line string) bool {
	return strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#")
}

// withHandler returns a plugin's source with a handler added to Plugin.Actions. program is the command of the program, for messages.
func withHandler(file, action, handle, program string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		dir := filepath.Dir(file)
		return nil, fmt.Errorf("%s has no plugin.go, to which a new action adds its handler: if it holds a definition alone, make the plugin with %s new destination --from %s",
			dir, program, filepath.Join(dir, destination.DefinitionFile))
	} else if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, file, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	at := -1
	ast.Inspect(f, func(n ast.Node) bool {
		pair, ok := n.(*ast.KeyValueExpr)
		if !ok {
			return true
		}
		key, named := pair.Key.(*ast.Ident)
		if list, ok := pair.Value.(*ast.CompositeLit); ok && named && key.Name == "Actions" {
			at = set.Position(list.Rbrace).Offset
		}
		return true
	})
	if at < 0 {
		return nil, fmt.Errorf("%s has no list Actions: add %q: %s by hand", file, action, handle)
	}
	line := fmt.Sprintf("\t%q: %s,\n", action, handle)
	before := strings.TrimRight(string(text[:at]), " \t")
	if !strings.HasSuffix(before, "\n") && !strings.HasSuffix(before, "{") {
		before += ",\n"
	}
	if strings.HasSuffix(before, "{") {
		before += "\n"
	}
	return format.Source(slices.Concat([]byte(before), []byte(line), text[at:]))
}
