package brazesandbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// user is one user.
type user struct {
	ExternalID string                     `json:"external_id,omitempty"`
	BrazeID    string                     `json:"braze_id"`
	Aliases    []alias                    `json:"user_aliases,omitempty"`
	Devices    []string                   `json:"devices,omitempty"` // of SDKs
	Email      string                     `json:"email,omitempty"`
	Phone      string                     `json:"phone,omitempty"`
	Attributes map[string]json.RawMessage `json:"attributes,omitempty"`
	Events     []string                   `json:"events,omitempty"`    // event names in order
	Purchases  []string                   `json:"purchases,omitempty"` // product ids in order
}

// maxHistory is the maximum number of events and of purchases stored for a user; the first ones are kept.
const maxHistory = 1000

// users holds all users by their identifiers.
type users struct {
	byExternalID map[string]*user
	byBrazeID    map[string]*user
	byAlias      map[alias]*user
	byDevice     map[string]*user // the latest user of each SDK's device
	made         int
}

func newUsers() users {
	return users{byExternalID: map[string]*user{}, byBrazeID: map[string]*user{}, byAlias: map[alias]*user{}, byDevice: map[string]*user{}}
}

// userRef identifies a user in a request.
type userRef struct {
	ExternalID string `json:"external_id"`
	BrazeID    string `json:"braze_id"`
	UserAlias  *alias `json:"user_alias"`
	Email      string `json:"email"`
	Phone      string `json:"phone"`
}

func (w userRef) isNamed() bool {
	return w.ExternalID != "" || w.BrazeID != "" || w.UserAlias != nil || w.Email != "" || w.Phone != ""
}

// findUser returns the user with the first of these identifiers that is set: external id, Braze id, alias, email address, phone
// number. Of several users with the same address, one with an external id is preferred. It returns nil if no user matches.
func (u *users) findUser(w userRef) *user {
	switch {
	case w.ExternalID != "":
		return u.byExternalID[w.ExternalID]
	case w.BrazeID != "":
		return u.byBrazeID[w.BrazeID]
	case w.UserAlias != nil:
		return u.byAlias[*w.UserAlias]
	}
	var found *user
	for _, one := range u.byBrazeID {
		if (w.Email != "" && one.Email == w.Email || w.Email == "" && one.Phone == w.Phone) && (found == nil || compareUsers(one, found) < 0) {
			found = one
		}
	}
	return found
}

// createUser creates a user. It returns nil for a Braze id, since only Braze assigns these.
func (u *users) createUser(w userRef) *user {
	if w.ExternalID == "" && w.BrazeID != "" {
		return nil
	}
	u.made++
	one := &user{ExternalID: w.ExternalID, BrazeID: fmt.Sprintf("braze-%06d", u.made), Email: w.Email, Phone: w.Phone, Attributes: map[string]json.RawMessage{}}
	u.byBrazeID[one.BrazeID] = one
	if w.ExternalID != "" {
		u.byExternalID[w.ExternalID] = one
	} else if w.UserAlias != nil {
		u.addAlias(one, *w.UserAlias)
	}
	return one
}

// addAlias adds an alias to a user unless it is taken.
func (u *users) addAlias(one *user, a alias) {
	if u.byAlias[a] == nil {
		u.byAlias[a] = one
		one.Aliases = append(one.Aliases, a)
	}
}

// identifyUser gives a user an external id. If another user has it, the user is merged into that one.
func (u *users) identifyUser(one *user, externalID string) {
	switch known := u.byExternalID[externalID]; {
	case one.ExternalID != "": // already identified: no effect
	case known == nil:
		one.ExternalID = externalID
		u.byExternalID[externalID] = one
	default:
		u.mergeUsers(one, known)
	}
}

// mergeUsers merges one user into another, whose own values are kept.
func (u *users) mergeUsers(one, into *user) {
	if one == into {
		return
	}
	u.removeUser(one)
	for _, a := range one.Aliases {
		u.addAlias(into, a)
	}
	for _, device := range one.Devices {
		u.byDevice[device] = into
	}
	into.Devices = append(into.Devices, one.Devices...)
	for key, v := range one.Attributes {
		if _, ok := into.Attributes[key]; !ok {
			into.Attributes[key] = v
		}
	}
	into.Email, into.Phone = cmp.Or(into.Email, one.Email), cmp.Or(into.Phone, one.Phone)
	into.Events, into.Purchases = append(into.Events, one.Events...), append(into.Purchases, one.Purchases...)
}

func (u *users) removeUser(one *user) {
	delete(u.byExternalID, one.ExternalID)
	delete(u.byBrazeID, one.BrazeID)
	for _, a := range one.Aliases {
		delete(u.byAlias, a)
	}
	maps.DeleteFunc(u.byDevice, func(_ string, of *user) bool { return of == one })
}

// sortedUsers returns all users, sorted by external id; users without one follow, sorted by age.
func (u *users) sortedUsers() []*user {
	return slices.SortedFunc(maps.Values(u.byBrazeID), compareUsers)
}

func compareUsers(a, b *user) int {
	if (a.ExternalID == "") != (b.ExternalID == "") {
		return cmp.Compare(b.ExternalID, a.ExternalID)
	}
	return cmp.Or(cmp.Compare(a.ExternalID, b.ExternalID), cmp.Compare(a.BrazeID, b.BrazeID))
}
