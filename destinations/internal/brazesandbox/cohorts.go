package brazesandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"

	"github.com/landfall-dev/landfall/framework/event"
)

// maxIDs is the maximum number of ids in a request, of all kinds, added and removed.
const maxIDs = 1000

// alias is a user alias.
type alias struct {
	Name  string `json:"alias_name"`
	Label string `json:"alias_label"`
}

// change is one list of additions or removals in a request.
type change struct {
	UserIDs      []string `json:"user_ids"`
	DeviceIDs    []string `json:"device_ids"`
	Aliases      []alias  `json:"aliases"`
	ShouldRemove bool     `json:"should_remove"`
}

// createCohort creates or renames a cohort.
func (a *api) createCohort(w http.ResponseWriter, r *http.Request) {
	body, ok := a.readRequest(w, r)
	if !ok {
		return
	}
	id, ok := requiredString(w, body, "cohort_id", "`cohort_id` must be a valid string")
	if !ok {
		return
	}
	name, ok := requiredString(w, body, "name", "`name` must be a non-empty string")
	if !ok {
		return
	}
	created, ok := requiredString(w, body, "created_at", "`created_at` must be a valid time in ISO 8601 format")
	if !ok {
		return
	}
	if !isISOTime(created) {
		writeError(w, http.StatusBadRequest, "`created_at` must be a valid time in ISO 8601 format")
		return
	}
	a.mu.Lock()
	a.ensureCohort(id).name = name
	a.mu.Unlock()
	writeSuccess(w)
}

// isISOTime reports whether text is a date with or without a time, or a time with or without a zone.
func isISOTime(text string) bool {
	_, ok := event.ParseTime(text)
	return ok && isoDate.MatchString(text)
}

// isoDate is the beginning of an ISO 8601 date.
var isoDate = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}(T|$)`)

// changeMembers adds and removes members. An empty list of changes is accepted, which is how credentials are tested.
func (a *api) changeMembers(w http.ResponseWriter, r *http.Request) {
	body, ok := a.readRequest(w, r)
	if !ok {
		return
	}
	id, ok := requiredString(w, body, "cohort_id", "`cohort_id` must be a valid string")
	if !ok {
		return
	}
	var changes []change
	if raw := body["cohort_changes"]; len(raw) == 0 || string(raw) == "null" || json.Unmarshal(raw, &changes) != nil {
		writeError(w, http.StatusBadRequest, "`cohort_changes` must be an array of objects with `user_ids`, `device_ids` or `aliases`")
		return
	}
	total := 0
	for _, c := range changes {
		if slices.ContainsFunc(c.UserIDs, func(id string) bool { return slices.Contains(a.config.PoisonUsers, id) }) {
			writeError(w, http.StatusBadRequest, "`cohort_changes` must be an array of objects with `user_ids`, `device_ids` or `aliases`")
			return
		}
		total += len(c.UserIDs) + len(c.DeviceIDs) + len(c.Aliases)
	}
	if total > maxIDs {
		writeError(w, http.StatusBadRequest, "Only 1,000 `user_ids`, `device_ids`, and `aliases` are allowed per request")
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.warnOfRaces(id, changes)
	if len(changes) > 0 {
		c := a.ensureCohort(id)
		for _, change := range changes {
			a.applyChange(c, change)
		}
	}
	writeSuccess(w)
}

// cohort is one cohort, with the ids that were added but do not exist.
type cohort struct {
	name    string
	users   map[string]knowledge
	devices map[string]knowledge
	aliases map[alias]knowledge
}

// knowledge says whether an id existed when it was added to a cohort.
type knowledge uint8

const (
	unclear knowledge = iota // unknown: it does not exist if the REST API or an SDK is used; otherwise it is assumed to exist
	exists                   // a user, or a device, which may be anonymous
	ignored                  // ignored as configured
)

// ensureCohort returns the cohort with this id, and creates it if it is missing. Members may arrive before their cohort is
// created, since the documentation does not exclude it; such a cohort has no name.
func (a *api) ensureCohort(id string) *cohort {
	c := a.cohorts[id]
	if c == nil {
		c = &cohort{users: map[string]knowledge{}, devices: map[string]knowledge{}, aliases: map[alias]knowledge{}}
		a.cohorts[id] = c
	}
	return c
}

func (a *api) applyChange(c *cohort, change change) {
	for _, id := range change.UserIDs {
		setMember(c.users, id, !change.ShouldRemove, knowledgeOf(a.users.byExternalID[id] != nil, slices.Contains(a.config.UnknownUsers, id)))
	}
	for _, id := range change.DeviceIDs {
		setMember(c.devices, id, !change.ShouldRemove, knowledgeOf(true, a.isIdentifiedDevice(id)))
	}
	for _, id := range change.Aliases {
		setMember(c.aliases, id, !change.ShouldRemove, knowledgeOf(a.users.byAlias[id] != nil, slices.Contains(a.config.UnknownUsers, id.Name)))
	}
}

// isIdentifiedDevice reports whether a device belongs to an identified user, so that cohorts ignore it.
func (a *api) isIdentifiedDevice(id string) bool {
	one := a.users.byDevice[id]
	return one != nil && one.ExternalID != "" || slices.Contains(a.config.IdentifiedDevices, id)
}

func knowledgeOf(there, told bool) knowledge {
	switch {
	case told:
		return ignored
	case there:
		return exists
	}
	return unclear
}

func setMember[K comparable](members map[K]knowledge, id K, in bool, known knowledge) {
	if in {
		members[id] = known
	} else {
		delete(members, id)
	}
}

// warnOfRaces adds a warning for each id that is both added and removed in one request. In Braze the result is undefined; here
// the order of the request decides.
func (a *api) warnOfRaces(cohort string, changes []change) {
	if !slices.ContainsFunc(changes, func(c change) bool { return c.ShouldRemove != changes[0].ShouldRemove }) {
		return
	}
	side := map[any]bool{}
	for _, c := range changes {
		for _, id := range c.allIDs() {
			if removes, known := side[id]; known && removes != c.ShouldRemove && len(a.warnings) < maxIDs {
				a.warnings = append(a.warnings, fmt.Sprintf("cohort %s: %v is added and removed in one request", cohort, id))
			}
			side[id] = c.ShouldRemove
		}
	}
}

func (c change) allIDs() []any {
	var ids []any
	for _, id := range c.UserIDs {
		ids = append(ids, "user "+id)
	}
	for _, id := range c.DeviceIDs {
		ids = append(ids, "device "+id)
	}
	for _, id := range c.Aliases {
		ids = append(ids, id)
	}
	return ids
}

// readRequest reads a request and checks its keys.
func (a *api) readRequest(w http.ResponseWriter, r *http.Request) (map[string]json.RawMessage, bool) {
	var body map[string]json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		writeError(w, http.StatusBadRequest, "The request body must be a JSON object") // not documented
		return nil, false
	}
	if key := stringOf(body["partner_api_key"]); key == "" || !isAccepted(a.config.PartnerKeys, key) {
		writeError(w, http.StatusUnauthorized, "Invalid Partner API key")
		return nil, false
	}
	secret := stringOf(body["client_secret"])
	if secret == "" {
		writeError(w, http.StatusUnauthorized, "Invalid client secret")
		return nil, false
	}
	if !isAccepted(a.config.ClientSecrets, secret) {
		writeError(w, http.StatusUnauthorized, "Partner not enabled for client with client secret: "+secret)
		return nil, false
	}
	return body, true
}

func isAccepted(keys []string, key string) bool { return len(keys) == 0 || slices.Contains(keys, key) }

func stringOf(raw json.RawMessage) string {
	var s string
	_ = json.Unmarshal(raw, &s) // other values are ""
	return s
}

// requiredString returns a string that must not be empty.
func requiredString(w http.ResponseWriter, body map[string]json.RawMessage, key, message string) (string, bool) {
	s := stringOf(body[key])
	if s == "" {
		writeError(w, http.StatusBadRequest, message)
	}
	return s, s != ""
}

func writeError(w http.ResponseWriter, status int, message string) { writeMessage(w, status, message) }

// writeSuccess answers 201 and "success", which are documented in examples only.
func writeSuccess(w http.ResponseWriter) { writeMessage(w, http.StatusCreated, "success") }

func writeMessage(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message}) // the client may be gone
}
