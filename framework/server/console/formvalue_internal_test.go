package console

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

const shopDefinition = `
name: Shop
slug: shop
mode: cloud
authentication:
  scheme: oauth2
  authorizeUrl: https://shop.example/a
  tokenUrl: https://shop.example/t
  fields:
    secret: {label: Secret, type: password, required: true}
    region: {label: Region, type: string, choices: [eu, us], default: eu}
    port: {label: Port, type: integer}
    fast: {label: Fast, type: boolean}
    tags: {label: Tags, type: string, multiple: true}
    note: {label: Note, type: text}
    extra: {label: Extra, type: string, depends_on: {conditions: [{fieldKey: region, operator: is, value: us}]}}
actions:
  order:
    title: Order
    defaultSubscription: type = "track"
    syncMode: {label: Mode, default: add, choices: [{label: Add, value: add}, {label: Update, value: update}]}
    fields:
      id: {label: ID, type: string, default: {"@path": $.userId}}
      total: {label: Total, type: number}
      gift: {label: Gift, type: boolean}
      items: {label: Items, type: object, multiple: true}
      card: {label: Card, type: string, depends_on: {conditions: [{fieldKey: gift, operator: is, value: true}]}}
      internal: {label: Internal, type: string, unsafe_hidden: true}
  plain:
    title: Plain
    fields: {id: {label: ID, type: string}}
`

func shop(t *testing.T) *destination.Definition {
	t.Helper()
	d, err := destination.ParseDefinition("destination.yaml", []byte(shopDefinition))
	require.NoError(t, err)
	return d
}

// sentBy returns the parameters that a browser sends for a form.
func sentBy(f *setupForm) url.Values {
	q := url.Values{"original": {f.Original}, "id": {f.ID}, "slug": {f.Definition.Slug}, "subs": {fmt.Sprint(len(f.Subscriptions))}}
	check := func(name string, on bool) {
		if on {
			q.Set(name, "1")
		}
	}
	check("enabled", f.Enabled)
	for _, s := range f.Sources {
		if s.On {
			q.Add("src", s.ID)
		}
	}
	for _, s := range append(f.Auth, f.Settings...) {
		q.Set(s.Name, s.Text)
	}
	for i, s := range f.Subscriptions {
		prefix := fmt.Sprintf("s.%d.", i)
		for name, text := range map[string]string{"of": fmt.Sprint(s.FileIndex), "name": s.Name, "action": s.ActionKey, "subscribe": s.Subscribe, "syncMode": s.SyncMode, "as": "fields"} {
			q.Set(prefix+name, text)
		}
		check(prefix+"enabled", s.Enabled)
		if s.AsJSON {
			q.Set(prefix+"as", "json")
			q.Set(prefix+"json", s.JSON)
		}
		for _, in := range s.allFields() {
			q.Set(in.Name+".mode", in.Mode)
			q.Set(in.Name+".text", in.Text)
		}
	}
	return q
}

// shopInstances are instances as files have them.
var shopInstances = []string{
	`{"id":"a","destination":"shop","settings":{"secret":"${SECRET}"},"subscriptions":[{"name":"s","action":"order"}]}`,
	`{"id":"a","destination":"shop","enabled":false,"sources":["web"],"settings":{"secret":"a literal secret","region":"us","port":80,"fast":true,"tags":["x","y"],"note":"two\nlines\n","extra":"e","unknown":{"x":1}},"subscriptions":[]}`,
	`{"id":"a","destination":"shop","enabled":true,"settings":{},"auth":{"clientId":"c","clientSecret":"${S}","accessToken":"a literal token"},"subscriptions":[],"more":1}`,
	`{"id":"a","destination":"shop","settings":{"secret":"file:/run/secret"},"subscriptions":[{"name":"s","partnerAction":"order","subscribe":"type = \"page\"","syncMode":"update","enabled":false,"mapping":{"id":{"@path":"$.a"},"total":5.50,"gift":true,"items":[{"x":1}],"card":{"@template":"{{a}} "},"internal":null,"unknown":"kept"}}]}`,
	`{"id":"a","destination":"shop","settings":{"secret":"${SECRET}"},"subscriptions":[{"action":"plain","syncMode":"kept","mapping":{}},{"action":"gone","mapping":{"x":1}},{"action":"order","useDefaultMappings":false,"enabled":true,"mapping":{"id":{"@if":{"exists":{"@path":"$.a"},"then":"x"}},"total":"7"}}]}`,
	`{"id":"a","destination":"shop","subscriptions":[{"action":"order","mapping":{"@path":"$.properties"}}]}`,
}

// TestFormsThatAreSentBackChangeNothing checks that an instance which is shown in a form and sent back is the same, with all keys that the
// form does not show.
func TestFormsThatAreSentBackChangeNothing(t *testing.T) {
	d, root := shop(t), event.MustParse(`{"sources":[{"id":"web"},{"id":"app"}]}`)
	for _, text := range shopInstances {
		raw := event.MustParse(text)
		form := newForm(raw, root, d)
		got := readForm(sentBy(form), raw, root, d)
		assert.Equal(t, text, got.instanceValue().JSON())
		for _, s := range append(got.Auth, got.Settings...) {
			assert.Empty(t, s.Errors)
			assert.NotContains(t, s.Text, "literal")
		}
		for i, s := range form.Subscriptions { // as JSON, too
			if s.Action == nil {
				continue
			}
			s.setJSONMode(true)
			assert.True(t, form.Subscriptions[i].AsJSON)
		}
		assert.Equal(t, text, readForm(sentBy(form), raw, root, d).instanceValue().JSON(), "as JSON")
	}
}

// TestChangesOfAForm checks what each changed parameter writes.
func TestChangesOfAForm(t *testing.T) {
	d, root := shop(t), event.MustParse(`{"sources":[{"id":"web"},{"id":"app"}]}`)
	const before = `{"id":"a","destination":"shop","sources":["web"],"settings":{"secret":"${SECRET}","region":"us"},"subscriptions":[{"name":"s","action":"order","mapping":{"id":"x"}}]}`
	for _, c := range []struct {
		name  string
		sent  map[string][]string
		want  string
		error string
	}{
		{"a new id", map[string][]string{"id": {" b "}}, `{"id":"b","destination":"shop","sources":["web"],"settings":{"secret":"${SECRET}","region":"us"},"subscriptions":[{"name":"s","action":"order","mapping":{"id":"x"}}]}`, ""},
		{"disabled", map[string][]string{"enabled": nil}, `{"id":"a","destination":"shop","sources":["web"],"settings":{"secret":"${SECRET}","region":"us"},"subscriptions":[{"name":"s","action":"order","mapping":{"id":"x"}}],"enabled":false}`, ""},
		{"all sources", map[string][]string{"src": nil}, `{"id":"a","destination":"shop","settings":{"secret":"${SECRET}","region":"us"},"subscriptions":[{"name":"s","action":"order","mapping":{"id":"x"}}]}`, ""},
		{"two sources, and an unknown one", map[string][]string{"src": {"app", "web", "none"}}, `{"id":"a","destination":"shop","sources":["web","app"],"settings":{"secret":"${SECRET}","region":"us"},"subscriptions":[{"name":"s","action":"order","mapping":{"id":"x"}}]}`, ""},
		{"a setting removed", map[string][]string{"set.region": {""}}, `{"id":"a","destination":"shop","sources":["web"],"settings":{"secret":"${SECRET}"},"subscriptions":[{"name":"s","action":"order","mapping":{"id":"x"}}]}`, ""},
		{"settings of each type", map[string][]string{"set.port": {" 80 "}, "set.fast": {"false"}, "set.tags": {`["a"]`}, "set.note": {" x\r\ny "}},
			`{"id":"a","destination":"shop","sources":["web"],"settings":{"secret":"${SECRET}","region":"us","port":80,"fast":false,"tags":["a"],"note":" x\ny "},"subscriptions":[{"name":"s","action":"order","mapping":{"id":"x"}}]}`, ""},
		{"values that do not fit stay texts", map[string][]string{"set.port": {"eighty"}, "set.fast": {"yes"}, "set.tags": {"a, b"}},
			`{"id":"a","destination":"shop","sources":["web"],"settings":{"secret":"${SECRET}","region":"us","port":"eighty","fast":"yes","tags":"a, b"},"subscriptions":[{"name":"s","action":"order","mapping":{"id":"x"}}]}`, ""},
		{"the name of a variable", map[string][]string{"set.secret": {" OTHER_SECRET "}}, `{"id":"a","destination":"shop","sources":["web"],"settings":{"secret":"${OTHER_SECRET}","region":"us"},"subscriptions":[{"name":"s","action":"order","mapping":{"id":"x"}}]}`, ""},
		{"a secret itself", map[string][]string{"set.secret": {"hunter2"}}, before, "The secret itself is not written"},
		{"a token itself", map[string][]string{"auth.accessToken": {"hunter2"}}, before, "The secret itself is not written"},
		{"a token", map[string][]string{"auth.accessToken": {"TOKEN"}}, before[:len(before)-1] + `,"auth":{"accessToken":"${TOKEN}"}}`, ""},
		{"a subscription's texts", map[string][]string{"s.0.name": {" n "}, "s.0.subscribe": {" all "}, "s.0.syncMode": {"update"}, "s.0.enabled": nil},
			`{"id":"a","destination":"shop","sources":["web"],"settings":{"secret":"${SECRET}","region":"us"},"subscriptions":[{"name":"n","action":"order","mapping":{"id":"x"},"subscribe":"all","syncMode":"update","enabled":false}]}`, ""},
		{"another action has no sync mode", map[string][]string{"s.0.action": {"plain"}, "s.0.syncMode": {"update"}},
			`{"id":"a","destination":"shop","sources":["web"],"settings":{"secret":"${SECRET}","region":"us"},"subscriptions":[{"name":"s","action":"plain","mapping":{"id":"x"}}]}`, ""},
		{"modes of fields", map[string][]string{"s.0.f.id.mode": {"default"}, "s.0.f.total.mode": {"text"}, "s.0.f.total.text": {"7"}, "s.0.f.gift.mode": {"path"}, "s.0.f.gift.text": {" $.g "}, "s.0.f.card.mode": {"template"}, "s.0.f.card.text": {" {{x}}"}, "s.0.f.items.mode": {"json"}, "s.0.f.items.text": {`[{"a":1}]`}},
			`{"id":"a","destination":"shop","sources":["web"],"settings":{"secret":"${SECRET}","region":"us"},"subscriptions":[{"name":"s","action":"order","mapping":{"total":7,"gift":{"@path":"$.g"},"items":[{"a":1}],"card":{"@template":" {{x}}"}}}]}`, ""},
		{"a field that is no JSON keeps its value", map[string][]string{"s.0.f.id.mode": {"json"}, "s.0.f.id.text": {"{"}}, before, "This is not valid JSON"},
		{"a mapping that is no JSON keeps its value", map[string][]string{"s.0.as": {"json"}, "s.0.json": {"{"}}, before, "This is not valid JSON"},
		{"a mapping that is no object keeps its value", map[string][]string{"s.0.as": {"json"}, "s.0.json": {"[1]"}}, before, "must be a JSON object"},
		{"a mapping as JSON", map[string][]string{"s.0.as": {"json"}, "s.0.json": {`{"y":1}`}}, `{"id":"a","destination":"shop","sources":["web"],"settings":{"secret":"${SECRET}","region":"us"},"subscriptions":[{"name":"s","action":"order","mapping":{"y":1}}]}`, ""},
		{"a subscription of another index is new", map[string][]string{"s.0.of": {"1"}, "s.0.f.id.mode": {"default"}}, `{"id":"a","destination":"shop","sources":["web"],"settings":{"secret":"${SECRET}","region":"us"},"subscriptions":[{"name":"s","action":"order"}]}`, ""},
		{"no subscriptions", map[string][]string{"subs": {"-1"}}, `{"id":"a","destination":"shop","sources":["web"],"settings":{"secret":"${SECRET}","region":"us"},"subscriptions":[]}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := event.MustParse(before)
			q := sentBy(newForm(raw, root, d))
			for name, values := range c.sent {
				q[name] = values
			}
			form := readForm(q, raw, root, d)
			assert.Equal(t, c.want, form.instanceValue().JSON())
			assert.Equal(t, c.error == "", len(messagesOf(form)) == 0, "%v", messagesOf(form))
			if c.error != "" {
				assert.Contains(t, messagesOf(form)[0], c.error)
				assert.NotContains(t, messagesOf(form)[0], "hunter2")
			}
		})
	}
	q := url.Values{"subs": {"1000"}}
	assert.Len(t, readForm(q, event.NewObject(nil), root, d).Subscriptions, maxSubscriptionInputs)
}

// messagesOf returns the errors of all inputs of a form.
func messagesOf(f *setupForm) (messages []string) {
	add := func(list []problemView) {
		for _, p := range list {
			messages = append(messages, p.Message)
		}
	}
	for _, s := range append(f.Auth, f.Settings...) {
		add(s.Errors)
	}
	for _, s := range f.Subscriptions {
		for _, list := range s.Errors {
			add(list)
		}
		for _, in := range s.allFields() {
			add(in.Errors)
		}
	}
	return messages
}

// TestInputsOfAForm checks the kind of each input, and which are hidden.
func TestInputsOfAForm(t *testing.T) {
	d := shop(t)
	form := newForm(event.MustParse(shopInstances[0]), event.NewObject(nil), d)
	widgets := map[string]string{}
	for _, s := range form.Settings {
		widgets[s.Field.Key] = s.Widget()
		assert.Equal(t, s.Field.Key == "extra", s.Hidden, s.Field.Key)
		assert.Equal(t, s.Field.Key == "secret", s.TestInput != "")
	}
	assert.Equal(t, map[string]string{"secret": "password", "region": "select", "port": "line", "fast": "boolean", "tags": "area", "note": "area", "extra": "line"}, widgets)
	assert.True(t, form.NeedsStateKey)
	assert.False(t, newForm(event.MustParse(shopInstances[0]), event.MustParse(`{"state":{"key":"${K}"}}`), d).NeedsStateKey)
	var auth []string
	for _, s := range form.Auth {
		auth = append(auth, s.Name+s.TestInput)
	}
	assert.Equal(t, []string{"auth.clientId", "auth.clientSecrettry.auth.clientSecret", "auth.accessTokentry.auth.accessToken"}, auth)
	hidden := map[string]bool{}
	s := form.Subscriptions[0]
	for _, in := range s.allFields() {
		hidden[in.Field.Key] = in.Hidden
	}
	assert.Equal(t, map[string]bool{"id": false, "total": false, "gift": false, "items": false, "card": true, "internal": false}, hidden)
	require.Len(t, s.HiddenFields, 1)
	assert.Equal(t, "internal", s.HiddenFields[0].Field.Key)
	for _, open := range []string{`"region":"us"`} {
		form := newForm(event.MustParse(`{"id":"a","settings":{`+open+`},"subscriptions":[{"action":"order","mapping":{"gift":true}}]}`), event.NewObject(nil), d)
		for _, s := range form.Settings {
			assert.False(t, s.Hidden, s.Field.Key)
		}
		for _, in := range form.Subscriptions[0].allFields() {
			assert.False(t, in.Hidden, in.Field.Key)
		}
	}
}

// TestChipsOfAField checks that a field without a mapping shows its default.
func TestChipsOfAField(t *testing.T) {
	form := newForm(event.MustParse(`{"id":"a","subscriptions":[{"action":"order","mapping":{"total":5}}]}`), event.NewObject(nil), shop(t))
	fields := form.Subscriptions[0].Fields
	assert.Equal(t, []chip{{Directive: "@path", Text: "$.userId"}}, fields[0].Chips())
	assert.Equal(t, []chip{{Text: "5"}}, fields[1].Chips())
	assert.Empty(t, fields[2].Chips())
	deep := event.MustParse(`{"@if":{"exists":{"@path":"$.a"},"then":{"x":[1]}}}`)
	assert.Equal(t, []chip{{Directive: "@if", Parts: []chip{{Label: "exists", Directive: "@path", Text: "$.a"}, {Label: "then", Parts: []chip{{Label: "x", Text: "[1]"}}}}}}, mappingChips(deep))
	assert.Equal(t, []chip{{Directive: "@arrayPath", Parts: []chip{{Text: `"$.p"`}, {Parts: []chip{{Label: "id", Directive: "@path", Text: "$.i"}}}}}}, mappingChips(event.MustParse(`{"@arrayPath":["$.p",{"id":{"@path":"$.i"}}]}`)))
	nested := event.MustParse(`{"a":{"b":{"c":{"d":{"e":{"f":{"g":1}}}}}}}`)
	c := mappingChips(nested)[0]
	for range maxChipDepth - 1 {
		require.Len(t, c.Parts, 1)
		c = c.Parts[0]
	}
	assert.Equal(t, `{"g":1}`, c.Parts[0].Text)
}

// TestProblemsArePlaced checks below which input each problem is shown.
func TestProblemsArePlaced(t *testing.T) {
	form := newForm(event.MustParse(`{"id":"a","subscriptions":[{"action":"order"},{"action":"order"}]}`), event.NewObject(nil), shop(t))
	form.Subscriptions[1].AsJSON = true
	problem := func(pointer string) fault.Problem { return fault.Problem{Pointer: pointer, Message: "is wrong"} }
	const at = "/destinations/0"
	form.placeProblems(fault.Problems{
		problem(at + "/settings/region"), problem(at + "/auth/clientId"), problem(at + "/settings/none"), problem(at + "/settings"), problem(at + "/id"), problem("/sources/0"),
		problem(at + "/subscriptions/0/mapping/id/@path"), problem(at + "/subscriptions/0/mapping/none"), problem(at + "/subscriptions/0/mapping"), problem(at + "/subscriptions/0/subscribe"),
		problem(at + "/subscriptions/0/syncMode"), problem(at + "/subscriptions/0"), problem(at + "/subscriptions/1/mapping/id"), problem(at + "/subscriptions/2/subscribe"), problem(at + "/subscriptions/x/subscribe"),
	}, at)
	assert.Equal(t, []string{"None is wrong"}, titles(form.Problems[:1]))
	assert.Len(t, form.Problems, 6)
	wrong := []problemView{{Message: "Is wrong"}}
	for _, s := range append(form.Auth, form.Settings...) {
		assert.Equal(t, s.Field.Key == "region" || s.Field.Key == "clientId", len(s.Errors) == 1, s.Field.Key)
	}
	first, second := form.Subscriptions[0], form.Subscriptions[1]
	assert.Equal(t, wrong, first.Errors["subscribe"])
	assert.Equal(t, wrong, first.Errors["syncMode"])
	assert.Len(t, first.Errors[""], 2)
	assert.Equal(t, []problemView{{Message: "Is wrong"}}, first.Errors["json"])
	for _, in := range first.allFields() {
		assert.Equal(t, in.Field.Key == "id", len(in.Errors) == 1)
	}
	assert.Equal(t, []problemView{{Message: "/id Is wrong"}}, second.Errors["json"])
	assert.Empty(t, second.Errors[""])
}

func titles(list []string) (all []string) {
	for _, text := range list {
		all = append(all, capitalize(text))
	}
	return all
}

// TestPlainValues checks how a typed text becomes a value of each type.
func TestPlainValues(t *testing.T) {
	field := func(kind fieldschema.Type, multiple bool) fieldschema.Field {
		return fieldschema.Field{Type: kind, Multiple: multiple}
	}
	for _, c := range []struct {
		field      fieldschema.Field
		text, want string
	}{
		{field(fieldschema.String, false), " a ", `"a"`}, {field(fieldschema.String, false), "5", `"5"`}, {field(fieldschema.String, false), "true", `"true"`}, {field(fieldschema.Text, false), " a ", `" a "`},
		{field(fieldschema.Number, false), " -1.50 ", "-1.50"}, {field(fieldschema.Integer, false), "1e3", "1e3"}, {field(fieldschema.Number, false), "01", `"01"`}, {field(fieldschema.Number, false), "1 ", "1"},
		{field(fieldschema.Boolean, false), " true ", "true"}, {field(fieldschema.Boolean, false), "false", "false"}, {field(fieldschema.Boolean, false), "no", `"no"`},
		{field(fieldschema.Object, false), `{"a":1}`, `{"a":1}`}, {field(fieldschema.Object, false), "5", `"5"`}, {field(fieldschema.Object, false), "{", `"{"`},
		{field(fieldschema.String, true), `["a"]`, `["a"]`}, {field(fieldschema.String, true), " a ", `" a "`}, {field(fieldschema.Number, true), "5", `"5"`},
	} {
		assert.Equal(t, c.want, plainValue(c.field, c.text).JSON(), "%s of %s", c.text, c.field.Type)
	}
}
