package destinations_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fql"
)

// definitionFacts are the facts of a definition on which configs rely, by place and name. The place "identifyContact.role" has the type
// of this field, whether it is required, and so on. Texts for users, and what concerns only forms, are not part of the facts.
type definitionFacts map[string]map[string]event.Value

// factNames are the members of a field that are facts.
var factNames = []string{"type", "required", "multiple", "allowNull", "format", "minimum", "maximum", "depends_on", "openChoices", "default"}

// add adds a fact. A place without facts is there, too. False is the same as absent.
func (facts definitionFacts) add(place, name string, v event.Value) {
	if facts[place] == nil {
		facts[place] = map[string]event.Value{}
	}
	if v.Kind() != event.Absent && (v.Kind() != event.False || name == "default") {
		facts[place][name] = v
	}
}

// addDefinition adds the settings of a definition and of its audiences, and the actions.
func (facts definitionFacts) addDefinition(t *testing.T, d event.Value) {
	facts.addFields("settings", d.Get("authentication").Get("fields"))
	facts.addFields("audience", d.Get("audienceFields"))
	for key, action := range d.Get("actions").Members() {
		facts.addAction(t, key, action)
		for _, alias := range action.Get("aliases").Items() {
			facts.addAction(t, alias.Str(), action)
		}
	}
}

func (facts definitionFacts) addAction(t *testing.T, place string, action event.Value) {
	facts.add(place, "query", rewriteQuery(t, action.Get("defaultSubscription")))
	facts.add(place, "default sync mode", action.Get("syncMode").Get("default"))
	facts.addChoices(place, "sync modes", action.Get("syncMode").Get("choices"))
	facts.addFields(place, action.Get("fields"))
	for key, hook := range action.Get("hooks").Members() {
		facts.addFields(place+"."+key, hook.Get("inputFields"))
		for output, field := range hook.Get("outputTypes").Members() {
			facts.add(place+"."+key+"."+output+" (output)", "type", field.Get("type"))
		}
	}
}

func (facts definitionFacts) addFields(place string, fields event.Value) {
	facts.add(place, "", event.Value{})
	for key, field := range fields.Members() {
		at := place + "." + key
		for _, name := range factNames {
			facts.add(at, name, field.Get(name))
		}
		facts.addChoices(at, "choices", field.Get("choices"))
		if properties := field.Get("properties"); properties.Len() > 0 {
			facts.add(at, "additionalProperties", field.Get("additionalProperties"))
			facts.addFields(at, properties)
		}
	}
}

// addChoices adds the values of choices, in order.
func (facts definitionFacts) addChoices(place, name string, choices event.Value) {
	if choices.Len() > 0 {
		facts.add(place, name, valuesOfChoices(choices))
	}
}

// valuesOfChoices returns the values of choices, in order, as one text.
func valuesOfChoices(choices event.Value) event.Value {
	var values []string
	for _, choice := range choices.Items() {
		if choice.Kind() == event.Object {
			choice = choice.Get("value")
		}
		values = append(values, choice.JSON())
	}
	slices.Sort(values)
	return event.NewString(strings.Join(values, " "))
}

// addPresets adds the presets of a definition with their mappings of these fields, by action.
func (facts definitionFacts) addPresets(t *testing.T, d event.Value, fields map[string][]string, defaults map[string]event.Value) {
	seen := map[string]int{}
	for _, p := range d.Get("presets").Items() {
		place := fmt.Sprintf("preset %q", p.Get("name").Str())
		if seen[place]++; seen[place] > 1 {
			place += fmt.Sprintf(" (%d)", seen[place])
		}
		action := p.Get("action").Str() + p.Get("partnerAction").Str()
		facts.add(place, "action", event.NewString(action))
		facts.add(place, "type", p.Get("type"))
		facts.add(place, "query", rewriteQuery(t, p.Get("subscribe")))
		facts.add(place, "eventSlug", p.Get("eventSlug"))
		whole := destination.Overlay(defaults[action], p.Get("mapping"))
		for _, key := range fields[action] {
			facts.add(place, "mapping of "+key, whole.Get(key))
		}
	}
}

// factDifference is a fact that is not the reference's.
type factDifference struct {
	name string      // "place name"
	ours event.Value // absent if there is no such fact
}

// differences returns where the facts of got are not the wanted ones. If a place is missing, the places below it are not listed. What
// got has in addition is no difference.
func (want definitionFacts) differences(got definitionFacts) (list []factDifference) {
	missing := map[string]bool{}
	for _, place := range slices.Sorted(maps.Keys(want)) {
		if got[place] == nil {
			parent := place[:max(0, strings.LastIndexByte(place, '.'))]
			if missing[place] = true; !missing[parent] {
				list = append(list, factDifference{name: place + " missing"})
			}
			continue
		}
		names := maps.Clone(want[place])
		maps.Copy(names, got[place])
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if !event.Equal(want[place][name], got[place][name]) {
				list = append(list, factDifference{place + " " + name, got[place][name]})
			}
		}
	}
	return list
}

// factNamed returns the value of a fact as facts have it, from how people write it.
func factNamed(t *testing.T, name string, v event.Value) event.Value {
	switch {
	case v.Kind() == event.Null:
		return event.Value{}
	case strings.HasSuffix(name, " query"):
		return rewriteQuery(t, v)
	case strings.HasSuffix(name, " choices"), strings.HasSuffix(name, " sync modes"):
		return valuesOfChoices(v)
	}
	return v
}

// rewriteQuery returns a query as Landfall writes it, without spaces: they have no meaning outside of names.
func rewriteQuery(t *testing.T, query event.Value) event.Value {
	if !query.IsString() {
		return query
	}
	rewritten, err := fql.Rewrite(query.Str())
	require.NoError(t, err, query.Str())
	return event.NewString(strings.ReplaceAll(rewritten, " ", ""))
}
