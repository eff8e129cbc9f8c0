package brazesandbox

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
)

// people are ids of all kinds, sorted.
type people struct {
	UserIDs   []string `json:"user_ids"`
	DeviceIDs []string `json:"device_ids"`
	Aliases   []alias  `json:"aliases"`
}

type cohortState struct {
	Name    string  `json:"name"`
	Members people  `json:"members"`
	Unknown *people `json:"unknown,omitempty"` // whom the sender added, but who did not exist then; nil for nobody
}

// state is what the sandbox holds.
type state struct {
	Cohorts  map[string]cohortState                `json:"cohorts"`
	Warnings []string                              `json:"warnings"`
	Users    []*user                               `json:"users,omitempty"`
	Catalogs map[string]map[string]json.RawMessage `json:"catalogs,omitempty"`
	Sends    map[string]*send                      `json:"sends,omitempty"`
}

// State is {"cohorts": {id: {"name", "members": {"user_ids", "device_ids", "aliases"}, "unknown"}}, "warnings", "users",
// "catalogs", "sends"}, sorted; what there is none of among the last three is left out, and so is unknown.
func (a *api) State() any {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := state{
		Cohorts: make(map[string]cohortState, len(a.cohorts)), Warnings: append([]string{}, a.warnings...),
		Users: a.users.sorted(), Catalogs: maps.Clone(a.catalogs), Sends: maps.Clone(a.sends),
	}
	for id, c := range a.cohorts {
		in, out := c.people(func(k knowledge) bool { return a.holds(k) }), c.people(func(k knowledge) bool { return !a.holds(k) })
		shown := cohortState{Name: c.name, Members: in}
		if len(out.UserIDs)+len(out.DeviceIDs)+len(out.Aliases) > 0 {
			shown.Unknown = &out
		}
		s.Cohorts[id] = shown
	}
	raw, err := json.Marshal(s) // a copy: what is held goes on changing
	if err != nil {
		return map[string]string{"message": err.Error()}
	}
	return json.RawMessage(raw)
}

// holds tells whether a cohort holds who was added so.
func (a *api) holds(k knowledge) bool { return k == exists || k == unclear && !a.used }

// people are those of a cohort for whom pass holds.
func (c *cohort) people(pass func(knowledge) bool) people {
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
