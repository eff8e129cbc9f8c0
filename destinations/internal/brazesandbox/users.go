package brazesandbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// user is what Braze holds of one user.
type user struct {
	ExternalID string                     `json:"external_id,omitempty"`
	BrazeID    string                     `json:"braze_id"`
	Aliases    []alias                    `json:"user_aliases,omitempty"`
	Email      string                     `json:"email,omitempty"`
	Phone      string                     `json:"phone,omitempty"`
	Attributes map[string]json.RawMessage `json:"attributes,omitempty"`
	Events     []string                   `json:"events,omitempty"`    // their names, in order
	Purchases  []string                   `json:"purchases,omitempty"` // their product ids, in order
}

// maxKept is how many events and purchases are kept of a user, the first ones.
const maxKept = 1000

// users are all users, by what names them.
type users struct {
	byExternalID map[string]*user
	byBrazeID    map[string]*user
	byAlias      map[alias]*user
	made         int
}

func newUsers() users {
	return users{byExternalID: map[string]*user{}, byBrazeID: map[string]*user{}, byAlias: map[alias]*user{}}
}

// who is how a request names a user.
type who struct {
	ExternalID string `json:"external_id"`
	BrazeID    string `json:"braze_id"`
	UserAlias  *alias `json:"user_alias"`
	Email      string `json:"email"`
	Phone      string `json:"phone"`
}

func (w who) named() bool {
	return w.ExternalID != "" || w.BrazeID != "" || w.UserAlias != nil || w.Email != "" || w.Phone != ""
}

// find is the user of a name: an external id goes before the others, then a Braze id, an alias, an email address, a phone
// number. Of several with the same address, one with an external id goes before the others. nil where there is none.
func (u *users) find(w who) *user {
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

// create makes the user of a name. A Braze id is Braze's to give: it makes nobody.
func (u *users) create(w who) *user {
	if w.ExternalID == "" && w.BrazeID != "" {
		return nil
	}
	u.made++
	one := &user{ExternalID: w.ExternalID, BrazeID: fmt.Sprintf("braze-%06d", u.made), Email: w.Email, Phone: w.Phone, Attributes: map[string]json.RawMessage{}}
	u.byBrazeID[one.BrazeID] = one
	if w.ExternalID != "" {
		u.byExternalID[w.ExternalID] = one
	} else if w.UserAlias != nil {
		u.alias(one, *w.UserAlias)
	}
	return one
}

// alias gives a user an alias that nobody has.
func (u *users) alias(one *user, a alias) {
	if u.byAlias[a] == nil {
		u.byAlias[a] = one
		one.Aliases = append(one.Aliases, a)
	}
}

// identify gives a user an external id. Where another one has it, the user becomes part of that one.
func (u *users) identify(one *user, externalID string) {
	switch known := u.byExternalID[externalID]; {
	case one.ExternalID != "": // identified already: nothing happens
	case known == nil:
		one.ExternalID = externalID
		u.byExternalID[externalID] = one
	default:
		u.merge(one, known)
	}
}

// merge makes one user a part of another, whose own values stay.
func (u *users) merge(one, into *user) {
	if one == into {
		return
	}
	u.remove(one)
	for _, a := range one.Aliases {
		u.alias(into, a)
	}
	for key, v := range one.Attributes {
		if _, ok := into.Attributes[key]; !ok {
			into.Attributes[key] = v
		}
	}
	into.Email, into.Phone = cmp.Or(into.Email, one.Email), cmp.Or(into.Phone, one.Phone)
	into.Events, into.Purchases = append(into.Events, one.Events...), append(into.Purchases, one.Purchases...)
}

func (u *users) remove(one *user) {
	delete(u.byExternalID, one.ExternalID)
	delete(u.byBrazeID, one.BrazeID)
	for _, a := range one.Aliases {
		delete(u.byAlias, a)
	}
}

// sorted are all users: by external id, and behind them those without one by age.
func (u *users) sorted() []*user { return slices.SortedFunc(maps.Values(u.byBrazeID), compareUsers) }

func compareUsers(a, b *user) int {
	if (a.ExternalID == "") != (b.ExternalID == "") {
		return cmp.Compare(b.ExternalID, a.ExternalID)
	}
	return cmp.Or(cmp.Compare(a.ExternalID, b.ExternalID), cmp.Compare(a.BrazeID, b.BrazeID))
}
