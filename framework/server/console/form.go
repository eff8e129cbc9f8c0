package console

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

// setupForm is an instance as a form shows it, drawn from its destination's definition.
type setupForm struct {
	Original   string // its id in the file; "" for one that is not there yet
	ID         string
	Enabled    bool
	Definition *destination.Definition
	Sources    []sourceInput
	Added      added
	Settings   []*settingInput
	Auth       []*settingInput // how it gets its tokens; none where it takes none
	NeedsKey   bool            // tokens are kept, and the file has no key for them
	Subs       []*subInput
	Problems   []string // that have no place in the form
	raw        event.Value
}

type sourceInput struct {
	ID string
	On bool
}

// added is what a file needs beside the instance, and is offered where it has none: a source, and a key that encrypts tokens.
type added struct{ SourceID, SourceKey, StateKey string }

// settingInput is a setting.
type settingInput struct {
	Field   fieldschema.Field
	Name    string // in the form
	Text    string // of a password: where its value comes from
	Try     string // of a password: the name of the input for a value that is only tried
	Literal bool   // the file holds the password itself
	Hidden  bool   // it depends on others that say otherwise
	Errors  []problemView
	was     event.Value
}

// problemView is a mistake under what it is about.
type problemView struct{ Message, Excerpt string }

// subInput is a subscription.
type subInput struct {
	I         int
	Of        int // its place in the file's instance; -1 for a new one
	Name      string
	Action    *destination.ActionDefinition
	ActionKey string
	Subscribe string
	SyncMode  string
	Enabled   bool
	AsJSON    bool
	JSON      string
	Fields    []*fieldInput
	More      []*fieldInput // those that forms do not show at once
	Defaults  bool          // the mapping is laid over the fields' defaults
	Errors    map[string][]problemView
	raw       event.Value
}

// fieldInput is what a subscription maps to a field.
type fieldInput struct {
	Field  fieldschema.Field
	Name   string
	Mode   string // default, path, text, template or json
	Text   string
	Hidden bool
	Errors []problemView
	value  event.Value // as mapped; absent for the default
	// Offered are values that the remote has told of; Fetched says how that went.
	Offered []destination.Choice
	Fetched string
}

// Dynamic tells whether the remote knows the field's values.
func (f *fieldInput) Dynamic() bool {
	dynamic, _ := f.Field.Raw.Get("dynamic").Bool()
	return dynamic
}

// mode is a way to map a field.
type mode struct{ Key, Name string }

var modes = []mode{{"default", "Default"}, {"path", "From the event"}, {"text", "Fixed value"}, {"template", "Template"}, {"json", "JSON"}}

// Chips draw what the field is mapped from.
func (f *fieldInput) Chips() []chip {
	if f.value.Kind() == event.Absent {
		return chips(f.Field.Default)
	}
	return chips(f.value)
}

// FieldNotes say in words what a definition asks of a field.
func (f *fieldInput) FieldNotes() string { return fieldNotes(f.Field) }

// FieldNotes say in words what a definition asks of a setting.
func (s *settingInput) FieldNotes() string { return fieldNotes(s.Field) }

// Placeholder is what the empty input shows.
func (s *settingInput) Placeholder() string { return s.Field.Raw.Get("placeholder").Str() }

// Widget is how the setting is entered.
func (s *settingInput) Widget() string {
	switch {
	case s.Field.Type == fieldschema.Password:
		return "password"
	case s.Field.Type == fieldschema.Boolean && !s.Field.Multiple:
		return "boolean"
	case s.Field.Type == fieldschema.Object || s.Field.Multiple || s.Field.Type == fieldschema.Text:
		return "area"
	case len(s.Field.Choices) > 0 && !s.Field.OpenChoices:
		return "select"
	}
	return "line"
}

// ElementID is a name of the form as an id of the page.
func elementID(name string) string { return strings.ReplaceAll(name, ".", "-") }

// reference is where a password may come from: the environment, or a file.
var (
	reference = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}|^file:`)
	envName   = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)
	number    = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
)

// formOf draws the form of an instance as the file has it.
func formOf(raw event.Value, root event.Value, d *destination.Definition) *setupForm {
	f := &setupForm{
		Original: raw.Get("id").Str(), ID: raw.Get("id").Str(), Enabled: raw.Get("enabled").Kind() != event.False, Definition: d, raw: raw,
	}
	f.drawSources(root, func(id string) bool {
		for _, on := range raw.Get("sources").Items() {
			if on.Str() == id {
				return true
			}
		}
		return false
	})
	for _, field := range d.Settings {
		v := raw.Get("settings").Get(field.Key)
		s := newSetting(field, v)
		s.Text = inputText(v)
		if s.Literal {
			s.Text = ""
		}
		f.Settings = append(f.Settings, s)
	}
	f.drawAuth(root)
	for _, s := range f.Auth {
		if s.Text = inputText(s.was); s.Literal {
			s.Text = ""
		}
	}
	for i, v := range raw.Get("subscriptions").Items() {
		f.Subs = append(f.Subs, f.subOf(i, i, v))
	}
	f.dependencies()
	return f
}

func (f *setupForm) drawSources(root event.Value, on func(string) bool) {
	for _, s := range root.Get("sources").Items() {
		id := s.Get("id").Str()
		f.Sources = append(f.Sources, sourceInput{ID: id, On: on(id)})
	}
}

// drawAuth draws the inputs of a login, and of a token that is given instead.
func (f *setupForm) drawAuth(root event.Value) {
	if !f.Definition.TakesToken {
		return
	}
	fields := fieldschema.Fields{{Key: "accessToken", Label: "Access Token", Type: fieldschema.Password, Description: "A token that goes with each request, where nobody logs in."}}
	if f.Definition.Scheme == "oauth2" {
		fields = append(fieldschema.Fields{
			{Key: "clientId", Label: "OAuth Client ID", Type: fieldschema.String, Description: "The id of the app that you have registered with " + f.Definition.Name + "."},
			{Key: "clientSecret", Label: "OAuth Client Secret", Type: fieldschema.Password, Description: "The secret of that app."},
		}, fields...)
		f.NeedsKey = root.Get("state").Get("key").Kind() == event.Absent
	}
	for _, field := range fields {
		s := newSetting(field, f.raw.Get("auth").Get(field.Key))
		s.Name, s.Try = "auth."+field.Key, ""
		f.Auth = append(f.Auth, s)
	}
}

// IsSecret tells whether the value itself is not for the file.
func (s *settingInput) IsSecret() bool { return s.Field.Type == fieldschema.Password }

func newSetting(field fieldschema.Field, was event.Value) *settingInput {
	s := &settingInput{Field: field, Name: "set." + field.Key, was: was}
	if field.Type == fieldschema.Password {
		s.Try = "try." + field.Key
		s.Literal = was.IsString() && was.Str() != "" && !reference.MatchString(was.Str())
	}
	return s
}

// inputText is a value as an input has it.
func inputText(v event.Value) string {
	switch v.Kind() {
	case event.Object, event.Array:
		return pretty(v)
	}
	return v.Text()
}

// actionKeyOf is the key of the action of a subscription in a file.
func actionKeyOf(v event.Value) string {
	if v.Get("action").Kind() != event.Absent {
		return v.Get("action").Str()
	}
	return v.Get("partnerAction").Str()
}

// subOf draws a subscription.
func (f *setupForm) subOf(i, of int, v event.Value) *subInput {
	s := &subInput{
		I: i, Of: of, Name: v.Get("name").Str(), ActionKey: actionKeyOf(v), Subscribe: v.Get("subscribe").Str(), SyncMode: v.Get("syncMode").Str(), Enabled: v.Get("enabled").Kind() != event.False,
		Defaults: v.Get("useDefaultMappings").Kind() != event.False, Errors: map[string][]problemView{}, raw: v,
	}
	s.Action = f.Definition.Action(s.ActionKey)
	s.drawMapping(v.Get("mapping"))
	return s
}

// drawMapping draws the fields' inputs, and the mapping as JSON.
func (s *subInput) drawMapping(m event.Value) {
	s.Fields, s.More = nil, nil
	s.JSON = "{}"
	if m.Kind() == event.Object {
		s.JSON = pretty(m)
	}
	if s.Action == nil {
		return
	}
	for _, field := range s.Action.Fields {
		in := &fieldInput{Field: field, Name: fmt.Sprintf("s.%d.f.%s", s.I, field.Key), value: m.Get(field.Key)}
		in.Mode, in.Text = modeOf(in.value)
		s.add(in)
	}
}

func (s *subInput) add(in *fieldInput) {
	if hidden, _ := in.Field.Raw.Get("unsafe_hidden").Bool(); hidden {
		s.More = append(s.More, in)
	} else {
		s.Fields = append(s.Fields, in)
	}
}

// all are the inputs of all fields.
func (s *subInput) all() []*fieldInput { return append(slices.Clone(s.Fields), s.More...) }

// modeOf is how a mapped value is entered.
func modeOf(v event.Value) (mode, text string) {
	switch v.Kind() {
	case event.Absent:
		return "default", ""
	case event.Object:
		for _, mode := range []string{"path", "template"} {
			if p := v.Get("@" + mode); v.Len() == 1 && p.IsString() {
				return mode, p.Str()
			}
		}
	case event.String, event.Number, event.True, event.False:
		return "text", v.Text()
	}
	return "json", pretty(v)
}

// mapped is what an input says.
func (in *fieldInput) mapped() event.Value {
	text := in.Text
	one := func(directive string) event.Value {
		return event.NewObject([]event.Member{{Key: directive, Value: event.NewString(strings.TrimSpace(text))}})
	}
	switch in.Mode {
	case "path":
		return one("@path")
	case "template":
		return event.NewObject([]event.Member{{Key: "@template", Value: event.NewString(text)}})
	case "text":
		return plainValue(in.Field, text)
	case "json":
		v, err := event.ParseString(text)
		if err != nil {
			in.Errors = append(in.Errors, problemView{Message: "This is no JSON: " + err.Error()})
			return in.value
		}
		return v
	}
	return event.Value{}
}

// plainValue is a text as a value of a field's type, where it is one.
func plainValue(f fieldschema.Field, text string) event.Value {
	trimmed := strings.TrimSpace(text)
	switch {
	case f.Multiple || f.Type == fieldschema.Object:
		if v, err := event.ParseString(trimmed); err == nil && (v.Kind() == event.Array || v.Kind() == event.Object) {
			return v
		}
	case f.Type == fieldschema.Boolean && (trimmed == "true" || trimmed == "false"):
		return event.NewBool(trimmed == "true")
	case (f.Type == fieldschema.Number || f.Type == fieldschema.Integer) && number.MatchString(trimmed):
		return event.MustParse(trimmed)
	case f.Type != fieldschema.Text:
		return event.NewString(trimmed)
	}
	return event.NewString(text)
}
