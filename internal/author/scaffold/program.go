package scaffold

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/landfall-dev/landfall/internal/author/generate"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// Program says how to run the program that has the destinations of a directory, for messages.
type Program struct {
	Base    string // the directory to run it in, "" for the working directory
	Command string // such as "go run ."; "landfall" if the module has no such program
	Dir     string // the directory of destinations, relative to the one to run it in
	Own     bool   // the module has such a program
}

// FindProgram returns the program of the module that a directory of destinations is in: the package main that calls cli.Main at the
// root of the module, or below its directory cmd.
func FindProgram(dir string) (Program, error) {
	root, _, err := generate.ModuleOf(dir)
	if err != nil {
		return Program{}, err
	}
	p := Program{Command: "landfall"}
	base, err := os.Getwd()
	if err != nil {
		return Program{}, err
	}
	if within, err := filepath.Rel(root, base); err != nil || !filepath.IsLocal(within) {
		p.Base, base = root, root
	}
	whole, err := filepath.Abs(dir)
	if err == nil {
		p.Dir, err = relativeSlash(base, whole)
	}
	if err != nil {
		return Program{}, err
	}
	commands, err := textfile.Glob(root, "cmd/*")
	if err != nil {
		return Program{}, err
	}
	for _, main := range append([]string{root}, commands...) {
		if p.Own = callsMain(main); p.Own {
			at, err := relativeSlash(base, main)
			p.Command = "go run " + packageArgument(at)
			return p, err
		}
	}
	return p, nil
}

func relativeSlash(base, path string) (string, error) {
	relative, err := filepath.Rel(base, path)
	return filepath.ToSlash(relative), err
}

// packageArgument returns a relative directory as the go command takes it.
func packageArgument(dir string) string {
	if dir[0] == '.' {
		return dir
	}
	return "./" + dir
}

// Package returns the directory of a destination as an argument of the go command.
func (p Program) Package(slug string) string { return packageArgument(p.Dir + "/" + slug) }

// callsMain reports whether a directory has a package main that imports framework/cli.
func callsMain(dir string) bool {
	files, err := textfile.Glob(dir, "*.go")
	return err == nil && slices.ContainsFunc(files, func(file string) bool {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		return err == nil && f.Name.Name == "main" && slices.ContainsFunc(f.Imports, func(i *ast.ImportSpec) bool {
			path, err := strconv.Unquote(i.Path.Value)
			return err == nil && path == generate.Framework+"/framework/cli"
		})
	})
}

// programName returns the command of the program for messages.
func (n New) programName() string {
	if p, err := FindProgram(n.Dir); err == nil {
		return p.Command
	}
	return "landfall"
}
