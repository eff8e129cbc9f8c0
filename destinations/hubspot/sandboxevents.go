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

// definitionRoutes are the routes of properties, events and lists.
func (a *account) definitionRoutes() {
	a.mux.HandleFunc("GET /crm/v3/properties/{type}", a.listProperties)
	a.mux.HandleFunc("GET /crm/v3/properties/{type}/{name}", a.getProperty)
	a.mux.HandleFunc("POST /crm/v3/properties/{type}", a.defineProperty)
	a.mux.HandleFunc("POST /crm/v3/properties/{type}/batch/create", a.defineProperties)
	a.mux.HandleFunc("GET /events/v3/event-definitions/{name}/", a.getEvent)
	a.mux.HandleFunc("POST /events/v3/event-definitions", a.defineEvent)
	a.mux.HandleFunc("POST /events/v3/event-definitions/{name}/property", a.defineEventProperty)
	a.mux.HandleFunc("POST /events/v3/send", a.sendEvent)
	a.mux.HandleFunc("GET /crm/v3/lists/object-type-id/{type}/name/{name}", a.findList)
	a.mux.HandleFunc("GET /crm/v3/lists/{id}", a.getList)
	a.mux.HandleFunc("POST /crm/v3/lists", a.makeList)
	a.mux.HandleFunc("PUT /crm/v3/lists/{id}/memberships/{operation}", a.changeList)
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

// eventPrefix begins the full names of events: pe and the ID of the account.
const eventPrefix = "pe1_"

func (a *account) getEvent(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	name := r.PathValue("name")
	properties, known := a.crm.events[name]
	if !known {
		writeError(w, http.StatusNotFound, "OBJECT_NOT_FOUND", "There is no event "+name)
		return
	}
	list := []map[string]any{}
	for _, property := range slices.Sorted(maps.Keys(properties)) {
		list = append(list, map[string]any{"name": property, "type": "string", "archived": false})
	}
	sandbox.WriteJSON(w, http.StatusOK, map[string]any{"name": name, "fullyQualifiedName": eventPrefix + name, "archived": false, "properties": list})
}

func (a *account) defineEvent(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Name, Label, PrimaryObject string
		PropertyDefinitions        []propertyDefinition
	}
	if !decode(w, r, &body) {
		return
	}
	if body.Name == "" || body.Label == "" || body.PrimaryObject == "" {
		writeError(w, http.StatusBadRequest, "VALIDATION_ERROR", "name, label and primaryObject are required")
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.crm.events[body.Name] = map[string]bool{}
	for _, d := range body.PropertyDefinitions {
		a.crm.events[body.Name][d.Name] = true
	}
	sandbox.WriteJSON(w, http.StatusCreated, map[string]any{"name": body.Name, "fullyQualifiedName": eventPrefix + body.Name})
}

func (a *account) defineEventProperty(w http.ResponseWriter, r *http.Request) {
	var body propertyDefinition
	if !decode(w, r, &body) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	name, full := strings.CutPrefix(r.PathValue("name"), eventPrefix)
	properties, known := a.crm.events[name]
	if !full || !known || !propertyName.MatchString(body.Name) {
		writeError(w, http.StatusBadRequest, "VALIDATION_ERROR", fmt.Sprintf("The event or the property %q is wrong", body.Name))
		return
	}
	properties[body.Name] = true
	sandbox.WriteJSON(w, http.StatusCreated, body)
}

// sendEvent accepts events of any name: an account may have others than those that were defined here.
func (a *account) sendEvent(w http.ResponseWriter, r *http.Request) {
	var body struct {
		EventName, Email, UTK string
		ObjectID              any
		Properties            map[string]any
	}
	if !decode(w, r, &body) {
		return
	}
	if body.EventName == "" || body.Email == "" && body.UTK == "" && body.ObjectID == nil {
		writeError(w, http.StatusBadRequest, "VALIDATION_ERROR", "eventName and one of email, utk and objectId are required")
		return
	}
	for name, v := range body.Properties {
		switch v.(type) {
		case map[string]any, []any, nil:
			writeError(w, http.StatusBadRequest, "VALIDATION_ERROR", "The event's property "+name+" is no scalar")
			return
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.crm.sent = append(a.crm.sent, body.EventName)
	w.WriteHeader(http.StatusNoContent)
}

func (a *account) findList(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answerList(w, a.crm.names[r.PathValue("name")])
}

func (a *account) getList(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answerList(w, r.PathValue("id"))
}

func (a *account) answerList(w http.ResponseWriter, id string) {
	if _, known := a.crm.lists[id]; !known {
		writeError(w, http.StatusNotFound, "OBJECT_NOT_FOUND", "There is no such list")
		return
	}
	sandbox.WriteJSON(w, http.StatusOK, map[string]any{"list": map[string]string{"listId": id}})
}

func (a *account) makeList(w http.ResponseWriter, r *http.Request) {
	var body struct{ Name, ObjectTypeID, ProcessingType string }
	if !decode(w, r, &body) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, taken := a.crm.names[body.Name]; taken || body.Name == "" || body.ObjectTypeID == "" || body.ProcessingType != "MANUAL" {
		writeError(w, http.StatusBadRequest, "VALIDATION_ERROR", "The list needs a name that no list has, objectTypeId, and the processing type MANUAL")
		return
	}
	id := fmt.Sprint(len(a.crm.lists) + 1)
	a.crm.names[body.Name], a.crm.lists[id] = id, map[string]bool{}
	sandbox.WriteJSON(w, http.StatusOK, map[string]any{"list": map[string]string{"listId": id}})
}

// changeList adds contacts to a list, or removes them. A list that was not made here exists from then on.
func (a *account) changeList(w http.ResponseWriter, r *http.Request) {
	var ids []string
	if !decode(w, r, &ids) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	members := a.crm.lists[r.PathValue("id")]
	if members == nil {
		members = map[string]bool{}
		a.crm.lists[r.PathValue("id")] = members
	}
	for _, id := range ids {
		if a.findContact("", id) == nil {
			writeError(w, http.StatusBadRequest, "VALIDATION_ERROR", "There is no contact "+id)
			return
		}
		if r.PathValue("operation") == "add" {
			members[id] = true
		} else {
			delete(members, id)
		}
	}
	sandbox.WriteJSON(w, http.StatusOK, map[string]any{})
}
