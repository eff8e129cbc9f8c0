package hubspot

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination/sandbox"
)

// record is a record of an object that is not a contact.
type record struct {
	ID         string         `json:"id"`
	Properties map[string]any `json:"properties"`
}

// crm holds the records of objects other than contacts, what they are associated with, and properties that were defined.
type crm struct {
	records      map[string][]*record       // by the object's type
	defined      map[string]map[string]bool // names of properties by the object's type
	associations []link
	lists        map[string]*list           // by ID
	events       map[string]map[string]bool // names of properties by the event's name
	sent         []string                   // names of the events that were sent
}

func newCRM() *crm {
	return &crm{records: map[string][]*record{}, defined: map[string]map[string]bool{}, lists: map[string]*list{}, events: map[string]map[string]bool{}}
}

// input is one record of a request.
type input struct {
	ID         string         `json:"id"`
	IDProperty string         `json:"idProperty"`
	TraceID    string         `json:"objectWriteTraceId"`
	Properties map[string]any `json:"properties"`
}

// objectRoutes are the routes of objects. {type} is contacts, companies or the type of any other object.
func (a *account) objectRoutes() {
	a.mux.HandleFunc("POST /crm/v3/objects/{type}/batch/{operation}", a.changeBatch)
	a.mux.HandleFunc("POST /crm/v3/objects/{type}", a.create)
	a.mux.HandleFunc("PATCH /crm/v3/objects/{type}/{id}", a.update)
	a.mux.HandleFunc("POST /crm/v3/objects/{type}/search", a.search)
	a.associationRoutes()
	a.mux.HandleFunc("GET /crm/v3/schemas", a.listSchemas)
	a.mux.HandleFunc("GET /crm/v3/schemas/{type}", a.getSchema)
}

// objectType returns the type of the path, in plural for contacts and companies.
func objectType(r *http.Request) string {
	switch t := r.PathValue("type"); t {
	case "contact", "company":
		return map[string]string{"contact": "contacts", "company": "companies"}[t]
	default:
		return t
	}
}

// find returns the record with a value of a property, or nil. property is "" for the ID.
func (a *account) find(kind, property, value string) *record {
	if kind == "contacts" {
		return a.findContact(property, value)
	}
	for _, r := range a.crm.records[kind] {
		if property == "" && r.ID == value || property != "" && strings.EqualFold(fmt.Sprint(r.Properties[property]), value) {
			return r
		}
	}
	return nil
}

// add creates a record.
func (a *account) add(kind string, properties map[string]any) *record {
	if kind == "contacts" {
		return a.addContact(fmt.Sprint(properties["email"]), properties)
	}
	r := &record{fmt.Sprintf("%s-%d", kind, len(a.crm.records[kind])+1), maps.Clone(properties)}
	a.crm.records[kind] = append(a.crm.records[kind], r)
	return r
}

// checkCount returns what is wrong with the number of inputs, or "".
func checkCount(inputs []input) string {
	if len(inputs) == 0 || len(inputs) > maxInputs {
		return fmt.Sprintf("The number of inputs should be from 1 to %d, but is %d", maxInputs, len(inputs))
	}
	return ""
}

// checkProperties returns what is wrong with the properties of a record, or "". Which properties other objects than contacts have is not
// known.
func (a *account) checkProperties(kind string, properties map[string]any) string {
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		switch properties[name].(type) {
		case map[string]any, []any:
			return invalidProperty("INVALID_VALUE", name, "Property \""+name+"\" takes no list and no object")
		}
		switch {
		case kind == "contacts" && slices.Contains(readOnly, name):
			return invalidProperty("READ_ONLY_VALUE", name, "\""+name+"\" is a read only property; its value cannot be set.")
		case kind == "contacts" && !slices.Contains(a.properties, name) && !a.crm.defined[kind][name]:
			return invalidProperty("PROPERTY_DOESNT_EXIST", name, "Property \""+name+"\" does not exist")
		}
	}
	return ""
}

func invalidProperty(code, name, message string) string {
	detail, _ := json.Marshal([]map[string]any{{"isValid": false, "message": message, "error": code, "name": name}}) // cannot fail
	return "Property values were not valid: " + string(detail)
}

func (a *account) create(w http.ResponseWriter, r *http.Request) {
	var body struct{ Properties map[string]any }
	if !decode(w, r, &body) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	kind := objectType(r)
	if message := a.checkProperties(kind, body.Properties); message != "" {
		writeError(w, http.StatusBadRequest, "VALIDATION_ERROR", message)
		return
	}
	sandbox.WriteJSON(w, http.StatusCreated, a.add(kind, body.Properties))
}

// update changes a record, which the path has by its ID or by a value of idProperty.
func (a *account) update(w http.ResponseWriter, r *http.Request) {
	var body struct{ Properties map[string]any }
	if !decode(w, r, &body) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	kind, property := objectType(r), r.FormValue("idProperty")
	if property != "" {
		if message := a.checkProperties(kind, map[string]any{property: ""}); message != "" {
			writeError(w, http.StatusBadRequest, "VALIDATION_ERROR", message)
			return
		}
	}
	found := a.find(kind, property, r.PathValue("id"))
	if found == nil {
		writeError(w, http.StatusNotFound, "OBJECT_NOT_FOUND", "Object not found.  objectId are usually numeric.")
		return
	}
	if message := a.checkProperties(kind, body.Properties); message != "" {
		writeError(w, http.StatusBadRequest, "VALIDATION_ERROR", message)
		return
	}
	maps.Copy(found.Properties, body.Properties)
	sandbox.WriteJSON(w, http.StatusOK, found)
}

// changeBatch reads, creates, updates or upserts up to 100 records. Records that are not found are reported in a 207.
func (a *account) changeBatch(w http.ResponseWriter, r *http.Request) {
	kind, operation := objectType(r), r.PathValue("operation")
	if kind == "contacts" && operation == "upsert" {
		a.upsertContacts(w, r)
		return
	}
	var body struct {
		IDProperty string
		Inputs     []input
	}
	if !decode(w, r, &body) {
		return
	}
	if message := checkCount(body.Inputs); message != "" {
		writeError(w, http.StatusBadRequest, "VALIDATION_ERROR", message)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, in := range body.Inputs {
		if message := a.checkProperties(kind, in.Properties); message != "" {
			writeError(w, http.StatusBadRequest, "VALIDATION_ERROR", message)
			return
		}
	}
	if kind == "contacts" && operation == "create" && !a.checkNewContacts(w, body.Inputs) {
		return
	}
	results, missing := a.writeRecords(kind, operation, body.IDProperty, body.Inputs)
	status, response := http.StatusOK, map[string]any{"status": "COMPLETE", "results": results}
	if operation == "create" {
		status = http.StatusCreated
	}
	if len(missing) > 0 {
		status, response["numErrors"] = http.StatusMultiStatus, 1
		response["errors"] = []failure{{"error", "OBJECT_NOT_FOUND", "Could not get some objects, they may be deleted or not exist. Check that ids are valid.", map[string][]string{"ids": missing}}}
	}
	sandbox.WriteJSON(w, status, response)
}

// writeRecords performs an operation on each input. It returns the records, and the IDs of inputs whose record is not found.
func (a *account) writeRecords(kind, operation, idProperty string, inputs []input) (results []*record, missing []string) {
	results = []*record{} // an empty list in JSON
	for _, in := range inputs {
		found := a.find(kind, cmp.Or(in.IDProperty, idProperty), in.ID)
		switch {
		case operation == "create", operation == "upsert" && found == nil:
			found = a.add(kind, in.Properties)
		case found == nil:
			missing = append(missing, in.ID)
			continue
		default:
			maps.Copy(found.Properties, in.Properties)
		}
		results = append(results, found)
	}
	return results, missing
}

// search finds the first record with the value of each filter.
func (a *account) search(w http.ResponseWriter, r *http.Request) {
	var body struct {
		FilterGroups []struct {
			Filters []struct {
				PropertyName, Operator string
				Value                  any
			}
		}
	}
	if !decode(w, r, &body) {
		return
	}
	if len(body.FilterGroups) == 0 || len(body.FilterGroups) > 5 {
		writeError(w, http.StatusBadRequest, "VALIDATION_ERROR", fmt.Sprintf("The number of filter groups should be from 1 to 5, but is %d", len(body.FilterGroups)))
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	results, seen := []*record{}, map[string]bool{}
	for _, group := range body.FilterGroups {
		for _, f := range group.Filters {
			if found := a.find(objectType(r), f.PropertyName, fmt.Sprint(f.Value)); found != nil && !seen[found.ID] {
				seen[found.ID] = true
				results = append(results, found)
			}
		}
	}
	sandbox.WriteJSON(w, http.StatusOK, map[string]any{"total": len(results), "results": results})
}

// petsSchema returns the schema of the only object of the account that HubSpot does not define.
func petsSchema() map[string]any {
	return map[string]any{"objectTypeId": "2-1", "fullyQualifiedName": "p1_pets", "name": "pets", "labels": map[string]string{"singular": "Pet", "plural": "Pets"}}
}

func (a *account) listSchemas(w http.ResponseWriter, _ *http.Request) {
	sandbox.WriteJSON(w, http.StatusOK, map[string]any{"results": []map[string]any{petsSchema()}})
}

// getSchema finds the schema of an object that is defined by the account, by its name or ID.
func (a *account) getSchema(w http.ResponseWriter, r *http.Request) {
	pets := petsSchema()
	if name := r.PathValue("type"); name != pets["fullyQualifiedName"] && name != pets["objectTypeId"] {
		writeError(w, http.StatusNotFound, "OBJECT_NOT_FOUND", "Unable to infer object type from: "+name)
		return
	}
	sandbox.WriteJSON(w, http.StatusOK, pets)
}

// objectOfID returns the type of the path for the ID of an object; "" if there is no such object.
func objectOfID(id string) string {
	return map[string]string{"0-1": "contacts", "0-2": "companies", "0-3": "deals", "0-5": "tickets", "2-1": "p1_pets"}[id]
}
