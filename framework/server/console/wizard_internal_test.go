package console

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/fql"
)

// TestChosenSubscriptions checks that the subscriptions of the wizard are those that were chosen, for the audiences that were chosen, and that
// those of the config stay until something is chosen.
func TestChosenSubscriptions(t *testing.T) {
	chosen := func(config string, choice wizardChoice) (queries []string) {
		v := wizardView{Form: newForm(event.MustParse(config), event.NewObject(nil), shop(t)), Choice: choice}
		v.Entry.Plugin.Audiences = &destination.Audiences{}
		new(Console).chooseSubscriptions(v)
		for _, s := range v.Form.Subscriptions {
			queries = append(queries, s.Subscribe)
		}
		return queries
	}
	options := []wizardOption{{Key: "action:order"}, {Key: "action:order", Chosen: true}, {Key: "action:none", Chosen: true}}
	const old = `{"id":"a","subscriptions":[{"name":"s","action":"order","subscribe":"type = \"page\""}]}`
	assert.Len(t, chosen(`{"id":"a"}`, wizardChoice{Options: options}), 1)
	assert.Equal(t, []string{`type = "page"`}, chosen(old, wizardChoice{Options: options}))
	assert.Len(t, chosen(old, wizardChoice{Made: true, Options: options}), 1)
	assert.NotContains(t, chosen(old, wizardChoice{Made: true, Options: options}), `type = "page"`)
	for _, c := range []struct {
		choice  wizardChoice
		limited bool
	}{
		{wizardChoice{Made: true, Options: options, Audiences: []string{"vip"}}, true}, {wizardChoice{Made: true, Options: options, Audiences: []string{"vip"}, All: true}, false}, {wizardChoice{Made: true, Options: options}, false},
	} {
		assert.Equal(t, c.limited, strings.Contains(chosen(old, c.choice)[0], `context.personas.computation_key = "vip"`))
	}
}

// TestVariablesOfForms checks that a form is checked with the value of an environment variable, or with a placeholder until it has one.
func TestVariablesOfForms(t *testing.T) {
	c := &Console{Config: Config{Lookup: func(name string) (string, bool) { return map[string]string{"SET": "value"}[name], name != "UNSET" }}}
	for name, want := range map[string]string{"SET": "value", "EMPTY": placeholderSecret, "UNSET": placeholderSecret} {
		got, ok := c.lookupOrPlaceholder(name)
		assert.True(t, ok)
		assert.Equal(t, want, got, name)
	}
	t.Setenv("LANDFALL_TEST_OF_FORMS", "own")
	got, ok := new(Console).lookupEnv("LANDFALL_TEST_OF_FORMS")
	assert.True(t, ok)
	assert.Equal(t, "own", got, "the environment by default")
}

// TestImportantSettings checks which settings the wizard shows at first: what is required or secret, what a login needs, and what has errors.
func TestImportantSettings(t *testing.T) {
	v := wizardView{}
	required := fieldschema.Field{Key: "a"}
	required.Required.Always = true
	token := fieldschema.Field{Key: "accessToken", Type: fieldschema.Password}
	for name, c := range map[string]struct {
		scheme destination.Scheme
		s      settingInput
		want   bool
	}{
		"required":              {"custom", settingInput{Field: required}, true},
		"optional":              {"custom", settingInput{Field: fieldschema.Field{Key: "a"}}, false},
		"a secret":              {"custom", settingInput{Field: fieldschema.Field{Key: "a", Type: fieldschema.Password}}, true},
		"the client of a login": {"oauth2", settingInput{Field: fieldschema.Field{Key: "clientId"}}, true},
		"one with an error":     {"custom", settingInput{Field: fieldschema.Field{Key: "a"}, Errors: []problemView{{}}}, true},
		"a token of a login":    {"oauth2", settingInput{Name: "auth.accessToken", Field: token}, true},
		"a token alone":         {"oauth-managed", settingInput{Name: "auth.accessToken", Field: token}, true},
		"a token of another":    {"custom", settingInput{Name: "auth.accessToken", Field: token}, false},
		"a token with an error": {"custom", settingInput{Name: "auth.accessToken", Field: token, Errors: []problemView{{}}}, true},
	} {
		v.Entry.Definition = &destination.Definition{Scheme: c.scheme}
		assert.Equal(t, c.want, v.isImportant(&c.s), name)
	}
}

// TestChoicesAreCarried checks that the parameters which the wizard carries to its next page give the same choice there.
func TestChoicesAreCarried(t *testing.T) {
	for _, c := range []wizardChoice{
		{}, {Made: true, All: true}, {Made: true, Audiences: []string{"vip", "new users"}}, {Made: true, All: true, Options: []wizardOption{{Key: "preset:0", Chosen: true}, {Key: "action:a"}, {Key: "action:b", Chosen: true}}},
	} {
		q := c.Inputs()
		assert.Equal(t, c.Made, q.Get("chosen") != "")
		assert.Equal(t, c.All, q.Get("all") != "")
		assert.Equal(t, strings.Join(c.Audiences, "\n"), q.Get("keys"))
		var options []string
		for _, o := range c.Options {
			if o.Chosen {
				options = append(options, o.Key)
			}
		}
		assert.Equal(t, options, q["option"])
	}
	c := wizardChoice{Audiences: []string{"vip", "gold", "new"}, Known: []string{"gold"}}
	assert.Equal(t, "vip\nnew", c.Text())
	assert.True(t, c.IsChosen("gold"))
	assert.False(t, c.IsChosen("silver"))
}

// TestChangedActions checks that the action of a subscription is written under the key that the file has, and that flags are written if they
// are off or are there already.
func TestChangedActions(t *testing.T) {
	for raw, want := range map[string]string{
		`{"partnerAction":"old"}`:                `{"partnerAction":"new","name":"S","enabled":false}`,
		`{"action":"old","enabled":true}`:        `{"action":"new","enabled":false,"name":"S"}`,
		`{"action":"old","partnerAction":"old"}`: `{"action":"new","partnerAction":"old","name":"S","enabled":false}`,
		`{}`:                                     `{"name":"S","action":"new","enabled":false}`,
	} {
		s := &subscriptionInput{Name: "S", ActionKey: "new", raw: event.MustParse(raw)}
		assert.JSONEq(t, want, s.subscriptionValue().JSON(), raw)
	}
}

// TestStepsOfTheWizard checks the names and links of the steps: those before the present one can be opened again once the instance exists.
func TestStepsOfTheWizard(t *testing.T) {
	v := wizardView{Step: "identifiers", ID: "a b"}
	links := func() (names, list []string) {
		for _, s := range v.Steps() {
			names, list = append(names, s.Name), append(list, s.Link)
			assert.Equal(t, s.Name == "Identifiers", s.Current)
		}
		return names, list
	}
	names, list := links()
	assert.Equal(t, "Audiences", names[2], "before a destination is chosen")
	assert.Equal(t, []string{"wizard", "wizard/at/a%20b/connect", "wizard/at/a%20b/audiences", "", "", ""}, list)
	v.Entry.Definition, v.ID = &destination.Definition{}, ""
	names, list = links()
	assert.Equal(t, "Events", names[2])
	assert.Equal(t, []string{"wizard", "", "", "", "", ""}, list)
	v.Entry.Plugin.Audiences = &destination.Audiences{}
	names, _ = links()
	assert.Equal(t, "Audiences", names[2])
}

// TestOptionsOfTheWizard checks what a subscription can start from: the presets and the actions, or for audiences the presets alone, and which of them
// are chosen at first.
func TestOptionsOfTheWizard(t *testing.T) {
	options := func(audiences bool, presets ...destination.Preset) (keys []string) {
		v := wizardView{}
		v.Entry.Definition = &destination.Definition{Presets: presets, Actions: []destination.ActionDefinition{{Key: "a"}, {Key: "hidden", Hidden: true}, {Key: "b"}}}
		if audiences {
			v.Entry.Plugin.Audiences = &destination.Audiences{}
		}
		for _, o := range wizardOptions(v) {
			key := o.Key
			if o.Chosen {
				key += " chosen"
			}
			keys = append(keys, key)
		}
		return keys
	}
	manual, automatic := destination.Preset{Action: "a", Type: "specificEvent"}, destination.Preset{Action: "b", Type: "automatic"}
	assert.Equal(t, []string{"action:a chosen", "action:b"}, options(false))
	assert.Equal(t, []string{"action:a chosen", "action:b"}, options(true), "without presets")
	assert.Equal(t, []string{"preset:0", "preset:1 chosen"}, options(true, manual, automatic))
	assert.Equal(t, []string{"preset:0 chosen", "action:a", "action:b"}, options(false, manual))
	assert.Empty(t, wizardOptions(wizardView{Entry: destination.Entry{Definition: &destination.Definition{}}}))
}

// TestSecretsInTheFile checks which values of a secret setting are taken for the secret itself rather than a reference to it.
func TestSecretsInTheFile(t *testing.T) {
	for value, literal := range map[string]bool{`"pasted"`: true, `"${NAME}"`: false, `"file:/run/secret"`: false, `""`: false, `5`: false} {
		s := newSetting(fieldschema.Field{Key: "secret", Type: fieldschema.Password}, event.MustParse(value))
		assert.Equal(t, literal, s.Literal, value)
		assert.Equal(t, "try.secret", s.TestInput)
		assert.False(t, newSetting(fieldschema.Field{Key: "name", Type: fieldschema.String}, event.MustParse(value)).Literal)
	}
}

// TestTurnedDirectives checks that every directive can be turned into every other one: each argument has a value that it takes, and those with the
// same name keep theirs.
func TestTurnedDirectives(t *testing.T) {
	given := func(spec argumentSpec) event.Value {
		switch spec.Kind {
		case kindChoice:
			return event.NewString(spec.Choices[len(spec.Choices)-1])
		case kindFlag:
			return event.NewBool(true)
		case kindList:
			return event.NewArray([]event.Value{event.NewString("kept")})
		}
		return event.NewString("kept")
	}
	for _, from := range directiveSpecs() {
		c := &directiveCard{Name: "f", Directive: from}
		for _, spec := range from.Arguments {
			c.Arguments = append(c.Arguments, newArgument("f", spec, given(spec), 0))
		}
		for _, to := range directiveSpecs() {
			turned := c.turnedInto(to, 0)
			if !assert.Len(t, turned.Arguments, len(to.Arguments)) {
				continue
			}
			for i, a := range turned.Arguments {
				name := from.Name + " to " + to.Name + ": " + a.Key
				spec := to.Arguments[i]
				if spec.Kind == kindChoice {
					assert.Contains(t, spec.Choices, a.Text, name)
				}
				for j, old := range from.Arguments {
					if old.Key == "" || old.Key != spec.Key || old.Kind != spec.Kind || spec.Kind == kindChoice || old.Texts != spec.Texts {
						continue
					}
					assert.Equal(t, c.Arguments[j].value().JSON(), a.value().JSON(), name)
				}
			}
		}
	}
}

// TestRowsOfAFilter checks how many rows a filter can have, and which row a button removes.
func TestRowsOfAFilter(t *testing.T) {
	s := &subscriptionInput{}
	for range maxFilterRows + 2 {
		s.changeRows("row", "0")
	}
	assert.Len(t, s.Rows, maxFilterRows)
	for i := range s.Rows {
		s.Rows[i] = fql.Row{Left: "event", Operator: "=", Right: fmt.Sprint("e", i)}
	}
	for _, rest := range []string{"0.-1", "0." + fmt.Sprint(maxFilterRows), "0.x", "0"} {
		s.changeRows("unrow", rest)
		assert.Len(t, s.Rows, maxFilterRows, rest)
	}
	s.changeRows("unrow", "0.1")
	assert.Len(t, s.Rows, maxFilterRows-1)
	assert.Equal(t, []string{"e0", "e2"}, []string{s.Rows[0].Right, s.Rows[1].Right})
	assert.NotContains(t, s.Subscribe, `"e1"`)
	assert.Contains(t, s.Subscribe, `"e2"`)
}
