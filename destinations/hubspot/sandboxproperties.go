package hubspot

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination/sandbox"
)

// propertyRoutes are the routes of properties.
func (a *account) propertyRoutes() {
	a.mux.HandleFunc("GET /crm/v3/properties/{type}", a.listProperties)
	a.mux.HandleFunc("GET /crm/v3/properties/{type}/{name}", a.getProperty)
	a.mux.HandleFunc("GET /crm/v3/properties/{type}/groups", a.listGroups)
	a.mux.HandleFunc("POST /crm/v3/properties/{type}", a.defineProperty)
	a.mux.HandleFunc("POST /crm/v3/properties/{type}/batch/create", a.defineProperties)
}

// listProperties lists all properties of an object; the API documents no pages here.
func (a *account) listProperties(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	kind := objectType(r)
	names := slices.Sorted(maps.Keys(a.crm.defined[kind]))
	if kind == "contacts" {
		names = slices.Concat(a.properties, names, readOnly)
	}
	results := []map[string]any{}
	for _, name := range names {
		results = append(results, a.describeProperty(name))
	}
	sandbox.WriteJSON(w, http.StatusOK, map[string]any{"results": results})
}

func (a *account) getProperty(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if !slices.Contains(a.properties, name) && !slices.Contains(readOnly, name) {
		writeError(w, http.StatusNotFound, "OBJECT_NOT_FOUND", "Property \""+name+"\" does not exist")
		return
	}
	sandbox.WriteJSON(w, http.StatusOK, a.describeProperty(name))
}

// listGroups lists the groups of properties of an object: one that is in use and one that is archived.
func (a *account) listGroups(w http.ResponseWriter, r *http.Request) {
	kind := objectType(r)
	sandbox.WriteJSON(w, http.StatusOK, map[string]any{"results": []map[string]any{
		{"name": kind + "_information", "label": "Information", "displayOrder": 0, "archived": false}, {"name": "old", "label": "Old", "displayOrder": 1, "archived": true},
	}})
}

func (a *account) describeProperty(name string) map[string]any {
	return map[string]any{
		"name": name, "label": "The " + strings.ReplaceAll(name, "_", " "), "type": "string", "hidden": false, "hasUniqueValue": name == "hs_object_id",
		"modificationMetadata": map[string]bool{"readOnlyValue": slices.Contains(readOnly, name)},
	}
}

// propertyDefinition is a property as a request defines it.
type propertyDefinition struct{ Name, Label, GroupName, Type, FieldType string }

var propertyName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// define adds properties to an object. It returns what is wrong, or "".
func (a *account) define(kind string, list ...propertyDefinition) string {
	for _, d := range list {
		if !propertyName.MatchString(d.Name) || d.Label == "" || d.Type == "" || d.FieldType == "" || d.GroupName == "" {
			return fmt.Sprintf("Property %q needs a name of lower-case letters, digits and _, a label, a group, a type and a field type", d.Name)
		}
	}
	if a.crm.defined[kind] == nil {
		a.crm.defined[kind] = map[string]bool{}
	}
	for _, d := range list {
		a.crm.defined[kind][d.Name] = true
	}
	return ""
}

func (a *account) defineProperty(w http.ResponseWriter, r *http.Request) {
	var body propertyDefinition
	if decode(w, r, &body) {
		a.answerDefinition(w, objectType(r), body)
	}
}

func (a *account) defineProperties(w http.ResponseWriter, r *http.Request) {
	var body struct{ Inputs []propertyDefinition }
	if decode(w, r, &body) {
		a.answerDefinition(w, objectType(r), body.Inputs...)
	}
}

func (a *account) answerDefinition(w http.ResponseWriter, kind string, list ...propertyDefinition) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if message := a.define(kind, list...); message != "" {
		writeError(w, http.StatusBadRequest, "VALIDATION_ERROR", message)
		return
	}
	sandbox.WriteJSON(w, http.StatusCreated, map[string]any{"results": list})
}
