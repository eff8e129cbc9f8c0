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
			a.propertyRoutes()
			a.eventRoutes()
			a.listRoutes()
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
	associations, lists := []string{}, map[string]map[string]bool{}
	for _, l := range a.crm.associations {
		associations = append(associations, l.String())
	}
	for id, l := range a.crm.lists {
		lists[id] = l.members
	}
	text, err := json.Marshal(struct { // encoded at once: the state must not change with the account
		Associations []string                   `json:"associations,omitempty"`
		Contacts     map[string]map[string]any  `json:"contacts"`
		Events       []string                   `json:"events,omitempty"`
		Lists        map[string]map[string]bool `json:"lists,omitempty"`
		Records      map[string][]*record       `json:"records,omitempty"`
	}{associations, a.contacts, a.crm.sent, lists, a.crm.records})
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

// decode reads the body of a request. It reports whether that is possible, and answers the request otherwise.
func decode(w http.ResponseWriter, r *http.Request, body any) bool {
	err := json.NewDecoder(r.Body).Decode(body)
	if err != nil {
		writeError(w, http.StatusBadRequest, "VALIDATION_ERROR", "Invalid input JSON: "+err.Error())
	}
	return err == nil
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

// checkInput returns what is wrong with one input, or "".
func (a *account) checkInput(in input) string {
	if in.IDProperty != "email" {
		return fmt.Sprintf("Unable to perform update/upsert by non-unique property %q", in.IDProperty)
	}
	if message := checkAddress(in.ID); message != "" {
		return message
	}
	return a.checkProperties("contacts", in.Properties)
}

// checkAddress returns what is wrong with the address of a contact, or "".
func checkAddress(text string) string {
	if address, err := mail.ParseAddress(text); err != nil || address.Address != text || !strings.Contains(text[strings.LastIndexByte(text, '@'):], ".") {
		return invalidProperty("INVALID_EMAIL", "email", "Email address "+text+" is invalid")
	}
	return ""
}

// checkNewContacts reports whether contacts can be created, and answers the request otherwise: one that is wrong or exists already refuses
// all of them. The account is locked.
func (a *account) checkNewContacts(w http.ResponseWriter, inputs []input) bool {
	seen := map[string]bool{}
	for _, in := range inputs {
		email := fmt.Sprint(in.Properties["email"])
		if message := checkAddress(email); message != "" {
			writeError(w, http.StatusBadRequest, "VALIDATION_ERROR", message)
			return false
		}
		if address := strings.ToLower(email); seen[address] || a.findContact("email", address) != nil {
			writeError(w, http.StatusConflict, "CONFLICT", "Contact already exists")
			return false
		}
		seen[strings.ToLower(email)] = true
	}
	return true
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

// findContact returns the contact with an address, or with an ID if property is "", or nil.
func (a *account) findContact(property, value string) *record {
	switch property {
	case "email":
		address := strings.ToLower(value)
		if properties, known := a.contacts[address]; known {
			return &record{strconv.Itoa(a.ids[address]), properties}
		}
	case "":
		for address, id := range a.ids {
			if strconv.Itoa(id) == value {
				return &record{value, a.contacts[address]}
			}
		}
	}
	return nil
}

// addContact creates a contact.
func (a *account) addContact(address string, properties map[string]any) *record {
	address = strings.ToLower(address)
	contact := map[string]any{}
	maps.Copy(contact, properties)
	a.contacts[address], a.ids[address] = contact, len(a.ids)+1
	return &record{strconv.Itoa(a.ids[address]), contact}
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
