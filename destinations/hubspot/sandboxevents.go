package hubspot

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination/sandbox"
)

// eventPrefix begins the full names of events: pe and the ID of the account.
const eventPrefix = "pe1_"

// eventRoutes are the routes of events.
func (a *account) eventRoutes() {
	a.mux.HandleFunc("GET /events/v3/event-definitions/{name}/", a.getEvent)
	a.mux.HandleFunc("GET /events/v3/event-definitions", a.listEvents)
	a.mux.HandleFunc("POST /events/v3/event-definitions", a.defineEvent)
	a.mux.HandleFunc("POST /events/v3/event-definitions/{name}/property", a.defineEventProperty)
	a.mux.HandleFunc("POST /events/v3/send", a.sendEvent)
}

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

// listEvents lists the events whose names contain searchString.
func (a *account) listEvents(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	results := []map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(a.crm.events)) {
		if strings.Contains(name, r.FormValue("searchString")) {
			results = append(results, map[string]any{"name": name, "fullyQualifiedName": eventPrefix + name, "labels": map[string]string{"singular": "The " + name}, "archived": false})
		}
	}
	sandbox.WriteJSON(w, http.StatusOK, map[string]any{"total": len(results), "results": results})
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
