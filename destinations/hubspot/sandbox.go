package hubspot

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
)

// The options on the command line.
const (
	tokenOption    = "token"
	propertyOption = "property"
	ownerOption    = "owner"
)

// Limits of HubSpot.
const (
	maxInputs = 100
	maxOwners = 500 // per page
)

// newSandbox returns a sandbox that simulates a HubSpot account, after the public documentation of the CRM API v3 and of its
// errors (https://developers.hubspot.com/docs/api-reference/error-handling).
func newSandbox() *destination.Sandbox {
	return &destination.Sandbox{
		Name: "hubspot",
		Options: []destination.SandboxOption{
			{Name: tokenOption, Usage: "accept only these access tokens"},
			{Name: propertyOption, Usage: "additional properties of contacts"},
			{Name: ownerOption, Usage: "the email addresses of the account's owners"},
		},
		New: func(options map[string][]string) http.Handler {
			a := &account{tokens: options[tokenOption], owners: options[ownerOption], mux: http.NewServeMux()}
			a.properties = append(slices.Clone(standard), options[propertyOption]...)
			a.objectRoutes()
			a.definitionRoutes()
			a.mux.HandleFunc("GET /crm/v3/owners", a.listOwners)
			a.Reset()
			return sandbox.New(sandbox.Config{API: a})
		},
	}
}

// standard lists properties of every account that this sandbox knows.
var standard = []string{
	"email", "firstname", "lastname", "phone", "company", "jobtitle", "website", "address", "city", "state", "zip", "country",
	"lifecyclestage", "hubspot_owner_id",
}

// readOnly lists properties that only HubSpot sets.
var readOnly = []string{"createdate", "hs_object_id", "lastmodifieddate"}

// account simulates HubSpot. It is safe for concurrent use.
type account struct {
	tokens, properties, owners []string
	mux                        *http.ServeMux

	mu       sync.Mutex
	contacts map[string]map[string]any // properties by email address in lower case
	ids      map[string]int
	crm      *crm
}

func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" || len(a.tokens) > 0 && !slices.Contains(a.tokens, token) {
		writeError(w, http.StatusUnauthorized, "INVALID_AUTHENTICATION", "Authentication credentials not found. This API supports OAuth 2.0 authentication.")
		return
	}
	a.mux.ServeHTTP(w, r)
}

// State returns {"contacts": {address: properties}}, and the records, associations, lists and names of events if the account has any.
func (a *account) State() any {
	a.mu.Lock()
	defer a.mu.Unlock()
	text, err := json.Marshal(struct { // encoded at once: the state must not change with the account
		Associations []string                   `json:"associations,omitempty"`
		Contacts     map[string]map[string]any  `json:"contacts"`
		Events       []string                   `json:"events,omitempty"`
		Lists        map[string]map[string]bool `json:"lists,omitempty"`
		Records      map[string][]*record       `json:"records,omitempty"`
	}{a.crm.associations, a.contacts, a.crm.sent, a.crm.lists, a.crm.records})
	if err != nil {
		return err.Error()
	}
	return json.RawMessage(text)
}

// Reset deletes everything.
func (a *account) Reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.contacts, a.ids, a.crm = map[string]map[string]any{}, map[string]int{}, newCRM()
}

// failure is an error of the request or of an input.
type failure struct {
	Status   string              `json:"status"`
	Category string              `json:"category"`
	Message  string              `json:"message"`
	Context  map[string][]string `json:"context,omitempty"`
}

func writeError(w http.ResponseWriter, status int, category, message string) {
	sandbox.WriteJSON(w, status, failure{Status: "error", Category: category, Message: message})
}

// input is one record of a request.
type input struct {
	ID         string         `json:"id"`
	IDProperty string         `json:"idProperty"`
	TraceID    string         `json:"objectWriteTraceId"`
	Properties map[string]any `json:"properties"`
}

// upsertContacts accepts up to 100 contacts. If every input has an objectWriteTraceId, each invalid input gets its own error
// in a 207; otherwise the first invalid one refuses the whole request. Duplicate ids always refuse the request.
func (a *account) upsertContacts(w http.ResponseWriter, r *http.Request) {
	var body struct{ Inputs []input }
	if !decode(w, r, &body) {
		return
	}
	if message := checkInputs(body.Inputs); message != "" {
		writeError(w, http.StatusBadRequest, "VALIDATION_ERROR", message)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	traced := !slices.ContainsFunc(body.Inputs, func(in input) bool { return in.TraceID == "" })
	var good []input
	var failures []failure
	for _, in := range body.Inputs {
		message := a.checkInput(in)
		switch {
		case message == "":
			good = append(good, in)
		case !traced:
			writeError(w, http.StatusBadRequest, "VALIDATION_ERROR", message)
			return
		default:
			failures = append(failures, failure{"error", "VALIDATION_ERROR", message, map[string][]string{"objectWriteTraceId": {in.TraceID}}})
		}
	}
	response, status := map[string]any{"status": "COMPLETE", "results": a.saveContacts(good)}, http.StatusOK
	if len(failures) > 0 {
		response["numErrors"], response["errors"], status = len(failures), failures, http.StatusMultiStatus
	}
	sandbox.WriteJSON(w, status, response)
}

// checkInputs returns what is wrong with the inputs as a whole, or "".
func checkInputs(inputs []input) string {
	if message := checkCount(inputs); message != "" {
		return message
	}
	ids := map[string]bool{}
	for _, in := range inputs {
		if id := strings.ToLower(in.ID); ids[id] {
			return fmt.Sprintf("Duplicate IDs found in batch input: [%s]. IDs must be unique", in.ID)
		}
		ids[strings.ToLower(in.ID)] = true
	}
	return ""
}

// checkCount returns what is wrong with the number of inputs, or "".
func checkCount(inputs []input) string {
	if len(inputs) == 0 || len(inputs) > maxInputs {
		return fmt.Sprintf("The number of inputs should be from 1 to %d, but is %d", maxInputs, len(inputs))
	}
	return ""
}

// checkInput returns what is wrong with one input, or "".
func (a *account) checkInput(in input) string {
	if in.IDProperty != "email" {
		return fmt.Sprintf("Unable to perform update/upsert by non-unique property %q", in.IDProperty)
	}
	if address, err := mail.ParseAddress(in.ID); err != nil || address.Address != in.ID || !strings.Contains(in.ID[strings.LastIndexByte(in.ID, '@'):], ".") {
		return invalidProperty("INVALID_EMAIL", "email", "Email address "+in.ID+" is invalid")
	}
	return a.checkProperties("contacts", in.Properties)
}

func invalidProperty(code, name, message string) string {
	detail, _ := json.Marshal([]map[string]any{{"isValid": false, "message": message, "error": code, "name": name}}) // cannot fail
	return "Property values were not valid: " + string(detail)
}

// saveContacts saves contacts and returns their new state. The account is locked.
func (a *account) saveContacts(inputs []input) []map[string]any {
	results := []map[string]any{}
	for _, in := range inputs {
		contact := a.findContact("email", in.ID)
		known := contact != nil
		if !known {
			contact = a.addContact(in.ID, nil)
		}
		maps.Copy(contact.Properties, in.Properties)
		results = append(results, map[string]any{
			"id": contact.ID, "new": !known, "archived": false, "objectWriteTraceId": in.TraceID,
			"properties": contact.Properties, "updatedAt": time.Now().UTC().Format(time.RFC3339Nano),
		})
	}
	return results
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

func (a *account) describeProperty(name string) map[string]any {
	return map[string]any{
		"name": name, "label": "The " + strings.ReplaceAll(name, "_", " "), "type": "string", "hidden": false,
		"modificationMetadata": map[string]bool{"readOnlyValue": slices.Contains(readOnly, name)},
	}
}

// listOwners returns a page of owners; after is the start of the next page.
func (a *account) listOwners(w http.ResponseWriter, r *http.Request) {
	limit, err := strconv.Atoi(cmp.Or(r.FormValue("limit"), "100"))
	from, err2 := strconv.Atoi(cmp.Or(r.FormValue("after"), "0"))
	if err != nil || err2 != nil || limit < 1 || limit > maxOwners || from < 0 || from > len(a.owners) {
		writeError(w, http.StatusBadRequest, "VALIDATION_ERROR", "limit or after is wrong")
		return
	}
	to := min(from+limit, len(a.owners))
	results := []map[string]any{}
	for i, address := range a.owners[from:to] {
		if email := r.FormValue("email"); email == "" || email == address {
			results = append(results, map[string]any{"id": strconv.Itoa(from + i + 1), "email": address})
		}
	}
	body := map[string]any{"results": results}
	if to < len(a.owners) {
		body["paging"] = map[string]any{"next": map[string]any{"after": strconv.Itoa(to)}}
	}
	sandbox.WriteJSON(w, http.StatusOK, body)
}
