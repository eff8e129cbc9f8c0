package brazesandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// maxIDs is how many ids one request may have, all kinds and both sides together.
const maxIDs = 1000

// alias is a user alias.
type alias struct {
	Name  string `json:"alias_name"`
	Label string `json:"alias_label"`
}

// change is one side of a request.
type change struct {
	UserIDs      []string `json:"user_ids"`
	DeviceIDs    []string `json:"device_ids"`
	Aliases      []alias  `json:"aliases"`
	ShouldRemove bool     `json:"should_remove"`
}

// create creates a cohort or renames it.
func (a *api) create(w http.ResponseWriter, r *http.Request) {
	body, ok := a.open(w, r)
	if !ok {
		return
	}
	id, ok := text(w, body, "cohort_id", "`cohort_id` must be a valid string")
	if !ok {
		return
	}
	name, ok := text(w, body, "name", "`name` must be a non-empty string")
	if !ok {
		return
	}
	created, ok := text(w, body, "created_at", "`created_at` must be a valid time in ISO 8601 format")
	if !ok {
		return
	}
	if !isISOTime(created) {
		refuse(w, http.StatusBadRequest, "`created_at` must be a valid time in ISO 8601 format")
		return
	}
	a.mu.Lock()
	a.cohort(id).name = name
	a.mu.Unlock()
	succeed(w)
}

// isISOTime takes a date with or without its time, and a time with or without its zone.
func isISOTime(text string) bool {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02"} {
		if _, err := time.Parse(layout, text); err == nil {
			return true
		}
	}
	return false
}

// change adds and removes members. An empty list of changes is accepted: credentials are tested that way.
func (a *api) change(w http.ResponseWriter, r *http.Request) {
	body, ok := a.open(w, r)
	if !ok {
		return
	}
	id, ok := text(w, body, "cohort_id", "`cohort_id` must be a valid string")
	if !ok {
		return
	}
	var changes []change
	if raw := body["cohort_changes"]; len(raw) == 0 || string(raw) == "null" || json.Unmarshal(raw, &changes) != nil {
		refuse(w, http.StatusBadRequest, "`cohort_changes` must be an array of objects with `user_ids`, `device_ids` or `aliases`")
		return
	}
	total := 0
	for _, c := range changes {
		if slices.ContainsFunc(c.UserIDs, func(id string) bool { return slices.Contains(a.config.PoisonUsers, id) }) {
			refuse(w, http.StatusBadRequest, "`cohort_changes` must be an array of objects with `user_ids`, `device_ids` or `aliases`")
			return
		}
		total += len(c.UserIDs) + len(c.DeviceIDs) + len(c.Aliases)
	}
	if total > maxIDs {
		refuse(w, http.StatusBadRequest, "Only 1,000 `user_ids`, `device_ids`, and `aliases` are allowed per request")
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.warnOfRaces(id, changes)
	if len(changes) > 0 {
		c := a.cohort(id)
		for _, change := range changes {
			a.apply(c, change)
		}
	}
	succeed(w)
}

// cohort is what Braze holds of one cohort, and whom it was asked to add but could not.
type cohort struct {
	name    string
	users   map[string]knowledge
	devices map[string]knowledge
	aliases map[alias]knowledge
}

// knowledge is what Braze knew of somebody who was added to a cohort, when that was.
type knowledge uint8

const (
	unclear knowledge = iota // nobody was known by the id: unknown where the REST API is used, else let pass
	exists                   // a user, or a device that may be anonymous
	ignored                  // as the sandbox was told
)

// cohort is the cohort with this id. Members may come before their cohort: the documentation does not refuse it, and a
// cohort without a name is made for them.
func (a *api) cohort(id string) *cohort {
	c := a.cohorts[id]
	if c == nil {
		c = &cohort{users: map[string]knowledge{}, devices: map[string]knowledge{}, aliases: map[alias]knowledge{}}
		a.cohorts[id] = c
	}
	return c
}

func (a *api) apply(c *cohort, change change) {
	for _, id := range change.UserIDs {
		set(c.users, id, !change.ShouldRemove, knows(a.users.byExternalID[id] != nil, slices.Contains(a.config.UnknownUsers, id)))
	}
	for _, id := range change.DeviceIDs {
		set(c.devices, id, !change.ShouldRemove, knows(true, slices.Contains(a.config.IdentifiedDevices, id)))
	}
	for _, id := range change.Aliases {
		set(c.aliases, id, !change.ShouldRemove, knows(a.users.byAlias[id] != nil, slices.Contains(a.config.UnknownUsers, id.Name)))
	}
}

func knows(there, told bool) knowledge {
	switch {
	case told:
		return ignored
	case there:
		return exists
	}
	return unclear
}

func set[K comparable](members map[K]knowledge, id K, in bool, known knowledge) {
	if in {
		members[id] = known
	} else {
		delete(members, id)
	}
}

// warnOfRaces puts down each id that is among the adds and the removes of one request: with Braze the outcome is open. Here
// the order of the request decides.
func (a *api) warnOfRaces(cohort string, changes []change) {
	if !slices.ContainsFunc(changes, func(c change) bool { return c.ShouldRemove != changes[0].ShouldRemove }) {
		return
	}
	side := map[any]bool{}
	for _, c := range changes {
		for _, id := range c.ids() {
			if removes, known := side[id]; known && removes != c.ShouldRemove && len(a.warnings) < maxIDs {
				a.warnings = append(a.warnings, fmt.Sprintf("cohort %s: %v is added and removed in one request", cohort, id))
			}
			side[id] = c.ShouldRemove
		}
	}
}

func (c change) ids() []any {
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

// open reads a request and checks its keys.
func (a *api) open(w http.ResponseWriter, r *http.Request) (map[string]json.RawMessage, bool) {
	var body map[string]json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		refuse(w, http.StatusBadRequest, "The request body must be a JSON object") // not documented
		return nil, false
	}
	if key := plain(body["partner_api_key"]); key == "" || !accepted(a.config.PartnerKeys, key) {
		refuse(w, http.StatusUnauthorized, "Invalid Partner API key")
		return nil, false
	}
	secret := plain(body["client_secret"])
	if secret == "" {
		refuse(w, http.StatusUnauthorized, "Invalid client secret")
		return nil, false
	}
	if !accepted(a.config.ClientSecrets, secret) {
		refuse(w, http.StatusUnauthorized, "Partner not enabled for client with client secret: "+secret)
		return nil, false
	}
	return body, true
}

func accepted(keys []string, key string) bool { return len(keys) == 0 || slices.Contains(keys, key) }

func plain(raw json.RawMessage) string {
	var s string
	_ = json.Unmarshal(raw, &s) // what is no string is ""
	return s
}

// text is a string that must not be empty.
func text(w http.ResponseWriter, body map[string]json.RawMessage, key, message string) (string, bool) {
	s := plain(body[key])
	if s == "" {
		refuse(w, http.StatusBadRequest, message)
	}
	return s, s != ""
}

func refuse(w http.ResponseWriter, status int, message string) { reply(w, status, message) }

// succeed answers 201 and "success"; what is documented of it stands only in examples.
func succeed(w http.ResponseWriter) { reply(w, http.StatusCreated, "success") }

func reply(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message}) // the client may be gone
}
