package brazesandbox

import (
	"encoding/json"
	"net/http"
)

// maxIdentities is the maximum number of users in a request, in all lists together.
const maxIdentities = 50

const tooManyIDs = "The max number of ids per request was exceeded"

// newAliases adds aliases. An external id that does not exist is ignored, and so is an alias that is taken.
func (a *api) newAliases(_ *http.Request, raw json.RawMessage) response {
	var body struct {
		Aliases []struct {
			ExternalID *string `json:"external_id"`
			alias
		} `json:"user_aliases"`
	}
	switch err := json.Unmarshal(raw, &body); {
	case err != nil || len(body.Aliases) == 0:
		return messageResponse(http.StatusBadRequest, "`user_aliases` must be an array of objects with `alias_name` and `alias_label`")
	case len(body.Aliases) > maxIdentities:
		return messageResponse(http.StatusBadRequest, tooManyIDs)
	}
	wrong, done := []objectError{}, 0
	for i, n := range body.Aliases {
		if n.Name == "" || n.Label == "" {
			wrong = append(wrong, objectError{"'alias_name' and 'alias_label' are required", "user_aliases", i})
			continue
		}
		done++
		if n.ExternalID == nil {
			if a.users.byAlias[n.alias] == nil {
				a.users.createUser(userRef{UserAlias: &n.alias})
			}
		} else if one := a.users.byExternalID[*n.ExternalID]; one != nil {
			a.users.addAlias(one, n.alias)
		}
	}
	return listResponse("aliases_processed", done, wrong)
}

// listResponse returns the response to a list: an error if no entry is valid.
func listResponse(counter string, done int, wrong []objectError) response {
	result := map[string]any{"message": "success", counter: done}
	if len(wrong) > 0 {
		result["errors"] = wrong
	}
	if done == 0 {
		result["message"] = "Valid data must be provided"
		return response{http.StatusBadRequest, result}
	}
	return response{http.StatusCreated, result}
}

// identifyUsers gives an external id to users with an alias, an email address or a phone number.
func (a *api) identifyUsers(_ *http.Request, raw json.RawMessage) response {
	type entry struct {
		userRef
		Prioritization []string `json:"prioritization"`
	}
	var body struct {
		Aliases []entry `json:"aliases_to_identify"`
		Emails  []entry `json:"emails_to_identify"`
		Phones  []entry `json:"phone_numbers_to_identify"`
		Merge   string  `json:"merge_behavior"`
	}
	err := json.Unmarshal(raw, &body)
	switch total := len(body.Aliases) + len(body.Emails) + len(body.Phones); {
	case err != nil || total == 0:
		return messageResponse(http.StatusBadRequest, "`aliases_to_identify`, `emails_to_identify` or `phone_numbers_to_identify` must be an array of objects")
	case total > maxIdentities:
		return messageResponse(http.StatusBadRequest, tooManyIDs)
	case body.Merge != "" && body.Merge != "none" && body.Merge != "merge":
		return messageResponse(http.StatusBadRequest, "`merge_behavior` must be 'none' or 'merge'")
	}
	wrong, done := []objectError{}, 0
	for _, list := range []struct {
		name    string
		entries []entry
	}{{"aliases_to_identify", body.Aliases}, {"emails_to_identify", body.Emails}, {"phone_numbers_to_identify", body.Phones}} {
		for i, e := range list.entries {
			externalID := e.ExternalID
			e.ExternalID = ""
			switch {
			case externalID == "" || !e.isNamed():
				wrong = append(wrong, objectError{"'external_id' and the user to identify are required", list.name, i})
				continue
			case e.UserAlias == nil && len(e.Prioritization) == 0:
				wrong = append(wrong, objectError{"'prioritization' is required", list.name, i})
				continue
			}
			done++
			if one := a.users.findUser(e.userRef); one != nil {
				a.users.identifyUser(one, externalID)
			}
		}
	}
	return listResponse("aliases_processed", done, wrong)
}

// deletion is the body of a request that deletes users.
type deletion struct {
	ExternalIDs []string `json:"external_ids"`
	BrazeIDs    []string `json:"braze_ids"`
	Aliases     []alias  `json:"user_aliases"`
	Emails      []struct {
		Email string `json:"email"`
	} `json:"email_addresses"`
}

// users returns the users of all lists, and how many lists are not empty.
func (d *deletion) users() (list []userRef, kinds int) {
	for _, id := range d.ExternalIDs {
		list = append(list, userRef{ExternalID: id})
	}
	for _, id := range d.BrazeIDs {
		list = append(list, userRef{BrazeID: id})
	}
	for i := range d.Aliases {
		list = append(list, userRef{UserAlias: &d.Aliases[i]})
	}
	for _, e := range d.Emails {
		list = append(list, userRef{Email: e.Email})
	}
	for _, n := range []int{len(d.ExternalIDs), len(d.BrazeIDs), len(d.Aliases), len(d.Emails)} {
		if n > 0 {
			kinds++
		}
	}
	return list, kinds
}

// deleteUsers deletes users; a request may have one kind of list.
func (a *api) deleteUsers(_ *http.Request, raw json.RawMessage) response {
	var body deletion
	if json.Unmarshal(raw, &body) != nil {
		return messageResponse(http.StatusBadRequest, "external_ids, braze_ids, user_aliases and email_addresses must be arrays")
	}
	list, kinds := body.users()
	switch {
	case kinds != 1:
		return messageResponse(http.StatusBadRequest, "Exactly one of external_ids, braze_ids, user_aliases and email_addresses is required")
	case len(list) > maxIdentities:
		return messageResponse(http.StatusBadRequest, tooManyIDs)
	}
	deleted := 0
	for _, w := range list {
		if one := a.users.findUser(w); one != nil {
			a.users.removeUser(one)
			a.leaveCohorts(one)
			deleted++
		}
	}
	return response{http.StatusCreated, map[string]any{"deleted": deleted, "message": "success"}}
}

func (a *api) leaveCohorts(one *user) {
	for _, c := range a.cohorts {
		delete(c.users, one.ExternalID)
		for _, al := range one.Aliases {
			delete(c.aliases, al)
		}
	}
}

// mergeUsers merges users into others. Users that do not exist are not reported, since Braze merges later.
func (a *api) mergeUsers(_ *http.Request, raw json.RawMessage) response {
	var body struct {
		Updates []struct {
			Merge userRef `json:"identifier_to_merge"`
			Keep  userRef `json:"identifier_to_keep"`
		} `json:"merge_updates"`
	}
	switch err := json.Unmarshal(raw, &body); {
	case err != nil || len(body.Updates) == 0:
		return messageResponse(http.StatusBadRequest, "'merge_updates' must be an array of objects")
	case len(body.Updates) > maxIdentities:
		return messageResponse(http.StatusBadRequest, "a single request may not contain more than 50 merge updates")
	}
	for _, u := range body.Updates {
		if !u.Merge.isNamed() || !u.Keep.isNamed() {
			return messageResponse(http.StatusBadRequest, "identifiers must be objects with an 'external_id' property that is a string, or 'user_alias' property that is an object")
		}
	}
	for _, u := range body.Updates {
		if one, into := a.users.findUser(u.Merge), a.users.findUser(u.Keep); one != nil && into != nil {
			a.users.mergeUsers(one, into)
		}
	}
	return messageResponse(http.StatusAccepted, "success")
}
