package brazesandbox

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
)

// people holds sorted ids of all kinds.
type people struct {
	UserIDs   []string `json:"user_ids"`
	DeviceIDs []string `json:"device_ids"`
	Aliases   []alias  `json:"aliases"`
}

type cohortState struct {
	Name    string  `json:"name"`
	Members people  `json:"members"`
	Unknown *people `json:"unknown,omitempty"` // ids that were added but did not exist; nil if there are none
}

// state is the JSON of the sandbox's data.
type state struct {
	Cohorts  map[string]cohortState                `json:"cohorts"`
	Warnings []string                              `json:"warnings"`
	Users    []*user                               `json:"users,omitempty"`
	Catalogs map[string]map[string]json.RawMessage `json:"catalogs,omitempty"`
	Sends    map[string]*sendCounts                `json:"sends,omitempty"`
}

// State returns {"cohorts": {id: {"name", "members": {"user_ids", "device_ids", "aliases"}, "unknown"}}, "warnings", "users",
// "catalogs", "sends"}, sorted. The last three and unknown are omitted if empty.
func (a *api) State() any {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := state{
		Cohorts: make(map[string]cohortState, len(a.cohorts)), Warnings: append([]string{}, a.warnings...),
		Users: a.users.sortedUsers(), Catalogs: maps.Clone(a.catalogs), Sends: maps.Clone(a.sends),
	}
	for id, c := range a.cohorts {
		in, out := c.selectPeople(func(k knowledge) bool { return a.isMember(k) }), c.selectPeople(func(k knowledge) bool { return !a.isMember(k) })
		shown := cohortState{Name: c.name, Members: in}
		if len(out.UserIDs)+len(out.DeviceIDs)+len(out.Aliases) > 0 {
			shown.Unknown = &out
		}
		s.Cohorts[id] = shown
	}
	raw, err := json.Marshal(s) // a copy, since the data changes
	if err != nil {
		return map[string]string{"message": err.Error()}
	}
	return json.RawMessage(raw)
}

// isMember reports whether an id that was added is a member.
func (a *api) isMember(k knowledge) bool { return k == exists || k == unclear && !a.restUsed }

// selectPeople returns the ids of a cohort for which pass is true.
func (c *cohort) selectPeople(pass func(knowledge) bool) people {
	p := people{UserIDs: []string{}, DeviceIDs: []string{}, Aliases: []alias{}}
	for id, k := range c.users {
		if pass(k) {
			p.UserIDs = append(p.UserIDs, id)
		}
	}
	for id, k := range c.devices {
		if pass(k) {
			p.DeviceIDs = append(p.DeviceIDs, id)
		}
	}
	for id, k := range c.aliases {
		if pass(k) {
			p.Aliases = append(p.Aliases, id)
		}
	}
	slices.Sort(p.UserIDs)
	slices.Sort(p.DeviceIDs)
	slices.SortFunc(p.Aliases, compareAliases)
	return p
}

func compareAliases(a, b alias) int {
	return cmp.Or(cmp.Compare(a.Label, b.Label), cmp.Compare(a.Name, b.Name))
}
