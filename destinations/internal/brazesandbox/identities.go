package brazesandbox

import (
	"encoding/json"
	"net/http"
)

// maxIdentities is how many users a request may name, all lists together.
const maxIdentities = 50

const tooMany = "The max number of ids per request was exceeded"

// newAliases adds aliases. An external id that nobody has is passed over, and so is an alias that somebody has.
func (a *api) newAliases(_ *http.Request, raw json.RawMessage) answer {
	var body struct {
		Aliases []struct {
			ExternalID *string `json:"external_id"`
			alias
		} `json:"user_aliases"`
	}
	switch err := json.Unmarshal(raw, &body); {
	case err != nil || len(body.Aliases) == 0:
		return say(http.StatusBadRequest, "`user_aliases` must be an array of objects with `alias_name` and `alias_label`")
	case len(body.Aliases) > maxIdentities:
		return say(http.StatusBadRequest, tooMany)
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
				a.users.create(who{UserAlias: &n.alias})
			}
		} else if one := a.users.byExternalID[*n.ExternalID]; one != nil {
			a.users.alias(one, n.alias)
		}
	}
	return outcome("aliases_processed", done, wrong)
}

// outcome is the answer to a list: where nothing in it is right, a refusal.
func outcome(counter string, done int, wrong []objectError) answer {
	result := map[string]any{"message": "success", counter: done}
	if len(wrong) > 0 {
		result["errors"] = wrong
	}
	if done == 0 {
		result["message"] = "Valid data must be provided"
		return answer{http.StatusBadRequest, result}
	}
	return answer{http.StatusCreated, result}
}

// identify gives users of an alias, an email address or a phone number an external id.
func (a *api) identify(_ *http.Request, raw json.RawMessage) answer {
	type entry struct {
		who
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
		return say(http.StatusBadRequest, "`aliases_to_identify`, `emails_to_identify` or `phone_numbers_to_identify` must be an array of objects")
	case total > maxIdentities:
		return say(http.StatusBadRequest, tooMany)
	case body.Merge != "" && body.Merge != "none" && body.Merge != "merge":
		return say(http.StatusBadRequest, "`merge_behavior` must be 'none' or 'merge'")
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
			case externalID == "" || !e.named():
				wrong = append(wrong, objectError{"'external_id' and who is to be identified are required", list.name, i})
				continue
			case e.UserAlias == nil && len(e.Prioritization) == 0:
				wrong = append(wrong, objectError{"'prioritization' is required", list.name, i})
				continue
			}
			done++
			if one := a.users.find(e.who); one != nil {
				a.users.identify(one, externalID)
			}
		}
	}
	return outcome("aliases_processed", done, wrong)
}

// deleteUsers deletes users; one kind of list a request.
func (a *api) deleteUsers(_ *http.Request, raw json.RawMessage) answer {
	var body struct {
		ExternalIDs []string `json:"external_ids"`
		BrazeIDs    []string `json:"braze_ids"`
		Aliases     []alias  `json:"user_aliases"`
		Emails      []struct {
			Email string `json:"email"`
		} `json:"email_addresses"`
	}
	if json.Unmarshal(raw, &body) != nil {
		return say(http.StatusBadRequest, "external_ids, braze_ids, user_aliases and email_addresses must be arrays")
	}
	var list []who
	kinds := 0
	for _, n := range []int{len(body.ExternalIDs), len(body.BrazeIDs), len(body.Aliases), len(body.Emails)} {
		if n > 0 {
			kinds++
		}
	}
	for _, id := range body.ExternalIDs {
		list = append(list, who{ExternalID: id})
	}
	for _, id := range body.BrazeIDs {
		list = append(list, who{BrazeID: id})
	}
	for i := range body.Aliases {
		list = append(list, who{UserAlias: &body.Aliases[i]})
	}
	for _, e := range body.Emails {
		list = append(list, who{Email: e.Email})
	}
	switch {
	case kinds != 1:
		return say(http.StatusBadRequest, "Exactly one of external_ids, braze_ids, user_aliases and email_addresses is required")
	case len(list) > maxIdentities:
		return say(http.StatusBadRequest, tooMany)
	}
	deleted := 0
	for _, w := range list {
		if one := a.users.find(w); one != nil {
			a.users.remove(one)
			a.leaveCohorts(one)
			deleted++
		}
	}
	return answer{http.StatusCreated, map[string]any{"deleted": deleted, "message": "success"}}
}

func (a *api) leaveCohorts(one *user) {
	for _, c := range a.cohorts {
		delete(c.users, one.ExternalID)
		for _, al := range one.Aliases {
			delete(c.aliases, al)
		}
	}
}

// mergeUsers makes users parts of others. That one of them does not exist, nobody says: Braze does it later.
func (a *api) mergeUsers(_ *http.Request, raw json.RawMessage) answer {
	var body struct {
		Updates []struct {
			Merge who `json:"identifier_to_merge"`
			Keep  who `json:"identifier_to_keep"`
		} `json:"merge_updates"`
	}
	switch err := json.Unmarshal(raw, &body); {
	case err != nil || len(body.Updates) == 0:
		return say(http.StatusBadRequest, "'merge_updates' must be an array of objects")
	case len(body.Updates) > maxIdentities:
		return say(http.StatusBadRequest, "a single request may not contain more than 50 merge updates")
	}
	for _, u := range body.Updates {
		if !u.Merge.named() || !u.Keep.named() {
			return say(http.StatusBadRequest, "identifiers must be objects with an 'external_id' property that is a string, or 'user_alias' property that is an object")
		}
	}
	for _, u := range body.Updates {
		if one, into := a.users.find(u.Merge), a.users.find(u.Keep); one != nil && into != nil {
			a.users.merge(one, into)
		}
	}
	return say(http.StatusAccepted, "success")
}
