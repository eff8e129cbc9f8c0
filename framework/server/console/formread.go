package console

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
)

// maxSubscriptionInputs limits the size of a form.
const maxSubscriptionInputs = 200

// readForm returns the form that the browser sent. raw is the instance in the file; absent for a new one.
func readForm(q url.Values, raw, root event.Value, d *destination.Definition) *setupForm {
	f := &setupForm{
		Original: q.Get("original"), Base: q.Get("base"), ID: strings.TrimSpace(q.Get("id")), Name: strings.TrimSpace(q.Get("name")), Enabled: q.Get("enabled") != "", Definition: d, raw: raw,
		Added: additions{strings.TrimSpace(q.Get("source.id")), strings.TrimSpace(q.Get("source.key")), strings.TrimSpace(q.Get("state.key"))},
	}
	if !q.Has("name") {
		f.Name = raw.Get("name").Str()
	}
	f.addSources(root, func(id string) bool { return slices.Contains(q["src"], id) })
	for _, field := range d.Settings {
		s := newSetting(field, raw.Get("settings").Get(field.Key))
		s.readValue(q)
		f.Settings = append(f.Settings, s)
	}
	f.addAuthInputs(root)
	for _, s := range f.Auth {
		s.readValue(q)
	}
	f.Open, _ = strconv.Atoi(q.Get("open"))
	n, _ := strconv.Atoi(q.Get("subs"))
	for i := range min(max(n, 0), maxSubscriptionInputs) {
		f.Subscriptions = append(f.Subscriptions, f.readSubscription(q, i))
	}
	f.updateVisibility()
	return f
}

func (s *settingInput) readValue(q url.Values) {
	s.Text = strings.ReplaceAll(q.Get(s.Name), "\r\n", "\n")
	if !s.IsSecret() {
		return
	}
	if s.Text = strings.TrimSpace(s.Text); envName.MatchString(s.Text) {
		s.Text = "${" + s.Text + "}"
	}
}

func (f *setupForm) readSubscription(q url.Values, i int) *subscriptionInput {
	get := func(name string) string {
		return strings.ReplaceAll(q.Get(fmt.Sprintf("s.%d.%s", i, name)), "\r\n", "\n")
	}
	s := &subscriptionInput{
		Index: i, FileIndex: -1, Name: strings.TrimSpace(get("name")), ActionKey: get("action"), Subscribe: strings.TrimSpace(get("subscribe")), SyncMode: get("syncMode"),
		Enabled: get("enabled") != "", AsJSON: get("as") == "json", UseDefaults: true, Errors: map[string][]problemView{},
	}
	if n, err := strconv.Atoi(get("of")); err == nil && n >= 0 && n < f.raw.Get("subscriptions").Len() {
		s.FileIndex, s.raw = n, f.raw.Get("subscriptions").Index(n)
		s.UseDefaults = s.raw.Get("useDefaultMappings").Kind() != event.False
	}
	s.readRows(get)
	s.Action = f.Definition.Action(s.ActionKey)
	if s.AsJSON {
		v, err := event.ParseString(get("json"))
		switch {
		case err != nil:
			s.Errors["json"] = append(s.Errors["json"], problemView{Message: "This is not valid JSON: " + err.Error()})
		case v.Kind() != event.Object:
			s.Errors["json"] = append(s.Errors["json"], problemView{Message: "The mapping must be a JSON object: {…}"})
		}
		s.buildFields(v)
		s.JSON = get("json")
		if get("shown") == "fields" { // it was closed, so that its fields were sent as JSON
			s.setJSONMode(false)
		}
		return s
	}
	if s.Action == nil {
		return s
	}
	for _, field := range s.Action.Fields {
		in := &fieldInput{Field: field, Name: fmt.Sprintf("s.%d.f.%s", i, field.Key), value: s.raw.Get("mapping").Get(field.Key)}
		in.readMapping(q)
		s.addField(in)
	}
	s.JSON = indentJSON(s.mappingValue())
	return s
}
