package scaffold

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
	"github.com/landfall-dev/landfall/internal/author/generate"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// hasRequests reports whether a destination has no code, but requests in its definition.
func hasRequests(d *destination.Definition, dir string) (bool, error) {
	for _, a := range d.Actions {
		if a.IsDeclared() {
			hasCode, err := generate.HasPlugin(dir)
			return !hasCode, err
		}
	}
	return false, nil
}

// declaredAction adds an action to a destination without code: its request, a route of the simulated API, and a case. The rest of the
// definition and of the sandbox does not change.
func declaredAction(n New, d *destination.Definition, dir string, text []byte) ([]string, error) {
	sandboxFile := filepath.Join(dir, destination.SandboxFile)
	rules, err := textfile.ReadFile(sandboxFile)
	if err != nil {
		return nil, fmt.Errorf("a new action is tried with the simulated API: %w", err)
	}
	v := n.view(location{})
	if v.Base, err = baseOf(d); err != nil {
		return nil, err
	}
	settings, err := sampleOf(d.Settings, nil)
	if err != nil {
		return nil, fmt.Errorf("no settings can be made up for a case of the action: %w", err)
	}
	v.Settings = settings.JSON()
	block, err := v.execute("action.yaml.tmpl")
	if err != nil {
		return nil, err
	}
	grown, err := withAction(d, text, string(block))
	if err != nil {
		return nil, err
	}
	if rules, err = v.withRoute(sandboxFile, rules); err != nil {
		return nil, err
	}
	made, err := n.write(v, map[string]string{n.caseFile(): "declared-case.yaml"})
	if err == nil {
		err = errors.Join(textfile.Update(filepath.Join(dir, destination.DefinitionFile), grown, 0o644), textfile.Update(sandboxFile, rules, 0o644))
	}
	return append(made, filepath.Join(n.Slug, destination.DefinitionFile), filepath.Join(n.Slug, destination.SandboxFile)), err
}

// baseOf returns the address that the requests of a definition begin with.
func baseOf(d *destination.Definition) (string, error) {
	base := strings.TrimSuffix(d.Document.Value().Get("request").Get("baseUrl").Str(), "/")
	if base == "" || strings.Contains(base, "{{") {
		return "", fmt.Errorf("the requests of %s have no fixed request.baseUrl: add the action to its actions in %s by hand", d.Name, d.Document.Name())
	}
	return base, nil
}

// withRoute adds the route of the new action to the rules of a simulated API.
func (v view) withRoute(file string, rules []byte) ([]byte, error) {
	all, err := v.execute("declared-sandbox.yaml.tmpl")
	if err != nil {
		return nil, err
	}
	made, err := yamldoc.Parse(destination.SandboxFile, all)
	if err != nil {
		return nil, err
	}
	doc, err := yamldoc.Parse(file, rules)
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(v.Base)
	if err != nil {
		return nil, err
	}
	request := strings.ToUpper(v.Method) + " " + base.Path + "/" + v.Path
	var routes []event.Value
	for _, route := range doc.Value().Get("routes").Items() {
		if route.Get("request").Str() == request {
			return rules, nil
		}
		routes = append(routes, route)
	}
	newRoutes := made.Value().Get("routes")
	route := destination.Overlay(newRoutes.Index(newRoutes.Len()-1), object("request", request))
	return yamldoc.Edit(file, rules, destination.Overlay(doc.Value(), object("routes", event.NewArray(append(routes, route)))))
}
