package console

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// setupForm is the form for one instance. Its inputs follow from the destination's definition.
type setupForm struct {
	Original      string // its id in the file; "" for a new instance
	Base          string // hash of the instance in the file when the form was opened; "" for a new one
	ID            string
	Name          string // for people; "" for the id
	Enabled       bool
	Definition    *destination.Definition
	Sources       []sourceInput
	Added         additions
	Settings      []*settingInput
	Auth          []*settingInput // login and token inputs; none if the destination takes no token
	NeedsStateKey bool            // tokens will be stored, and the config has no key to encrypt them
	Subscriptions []*subscriptionInput
	Problems      []string // problems that belong to no input
	Open          int      // index of the subscription whose inputs are shown
	raw           event.Value
}

type sourceInput struct {
	ID string
	On bool
}

// additions are config entries that the form offers if the file lacks them: a source, and a key that encrypts tokens.
type additions struct{ SourceID, SourceKey, StateKey string }

// settingInput is the input of one setting.
type settingInput struct {
	Field     fieldschema.Field
	Name      string // form parameter
	Text      string // for a password: the reference to its value
	TestInput string // for a password: form parameter of a value used only for the credential test
	Literal   bool   // the file contains the password itself
	Hidden    bool   // its depends_on conditions are not met
	Errors    []problemView
	fileValue event.Value
}

// problemView is an error message shown below an input.
type problemView struct{ Message, Excerpt string }

// subscriptionInput holds the inputs of one subscription.
type subscriptionInput struct {
	Index        int
	FileIndex    int // its index in the file's instance; -1 for a new subscription
	Name         string
	Action       *destination.ActionDefinition
	ActionKey    string
	Subscribe    string
	AsRows       bool // the filter is shown as Rows
	Rows         []fql.Row
	SyncMode     string
	Enabled      bool
	AsJSON       bool
	JSON         string
	Fields       []*fieldInput
	HiddenFields []*fieldInput // marked unsafe_hidden; shown collapsed
	UseDefaults  bool          // the mapping is merged over the fields' defaults
	Errors       map[string][]problemView
	raw          event.Value
}

// fieldInput is the input of one mapped field.
type fieldInput struct {
	Field  fieldschema.Field
	Name   string
	Mode   string // default, path, text, template, card or json
	Text   string
	Hidden bool
	Errors []problemView
	Card   *directiveCard // of the directive; nil unless Mode is card
	value  event.Value    // the mapping; absent for the default
	// changed says that the browser shows other inputs than the field has.
	changed bool
	// Choices are values loaded from the destination. ChoicesStatus is the result of loading them, for the user.
	Choices       []destination.Choice
	ChoicesStatus string
}

// Dynamic reports whether the field's choices can be loaded from the destination.
func (f *fieldInput) Dynamic() bool {
	dynamic, _ := f.Field.Raw.Get("dynamic").Bool()
	return dynamic
}

// mode is one way to map a field.
type mode struct{ Key, Name string }

var modes = []mode{{"default", "Default"}, {"path", "From the event"}, {"text", "Fixed value"}, {"template", "Template"}, {modeCard, "Directive"}, {"json", "JSON"}}

// Chips returns the field's mapping as chips.
func (f *fieldInput) Chips() []chip {
	if f.value.Kind() == event.Absent {
		return mappingChips(f.Field.Default)
	}
	return mappingChips(f.value)
}

// Constraints describes the field's type and validation rules.
func (f *fieldInput) Constraints() string { return fieldConstraints(f.Field) }

// Constraints describes the setting's type and validation rules.
func (s *settingInput) Constraints() string { return fieldConstraints(s.Field) }

// Placeholder returns the text shown in the empty input.
func (s *settingInput) Placeholder() string { return s.Field.Raw.Get("placeholder").Str() }

// Widget returns the kind of input: password, boolean, area, select or line.
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

// elementID returns the HTML element id of a form parameter.
func elementID(name string) string { return strings.ReplaceAll(name, ".", "-") }

// reference matches a reference to a secret: an environment variable, a file, or a secret in the state. envName matches the bare name of a variable.
var (
	reference = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}|^(file|credential|secret):`)
	envName   = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)
	number    = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
)

// instanceHash returns a hash of an instance in the file, without its secrets; "" if there is none.
func instanceHash(raw event.Value) string {
	if raw.Get("id").Str() == "" {
		return ""
	}
	alone := event.NewObject([]event.Member{{Key: "destinations", Value: event.NewArray([]event.Value{raw})}})
	sum := sha256.Sum256([]byte(config.RedactSecrets(raw.JSON(), config.LiteralSecrets(alone))))
	return hex.EncodeToString(sum[:8])
}

// newForm returns the form of an instance with the values from the file.
func newForm(raw event.Value, root event.Value, d *destination.Definition) *setupForm {
	f := &setupForm{
		Original: raw.Get("id").Str(), Base: instanceHash(raw), ID: raw.Get("id").Str(), Name: raw.Get("name").Str(), Enabled: raw.Get("enabled").Kind() != event.False, Definition: d, raw: raw,
	}
	f.addSources(root, func(id string) bool {
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
	f.addAuthInputs(root)
	for _, s := range f.Auth {
		if s.Text = inputText(s.fileValue); s.Literal {
			s.Text = ""
		}
	}
	for i, v := range raw.Get("subscriptions").Items() {
		f.Subscriptions = append(f.Subscriptions, f.newSubscription(i, i, v))
	}
	f.updateVisibility()
	return f
}

// addSources adds a checkbox for each source of the config.
func (f *setupForm) addSources(root event.Value, on func(string) bool) {
	for _, s := range root.Get("sources").Items() {
		id := s.Get("id").Str()
		f.Sources = append(f.Sources, sourceInput{ID: id, On: on(id)})
	}
}

// addAuthInputs adds the inputs of an OAuth login and of an access token.
func (f *setupForm) addAuthInputs(root event.Value) {
	if !f.Definition.TakesToken {
		return
	}
	fields := fieldschema.Fields{{Key: "accessToken", Label: "Access Token", Type: fieldschema.Password, Description: "A token that is sent with each request, instead of an OAuth login."}}
	if f.Definition.Scheme.NeedsLogin() && !f.Definition.OAuth.Get("clientId").Exists() {
		fields = append(fieldschema.Fields{
			{Key: "clientId", Label: "OAuth Client ID", Type: fieldschema.String, Description: "The id of the app that you registered with " + f.Definition.Name + "."},
			{Key: "clientSecret", Label: "OAuth Client Secret", Type: fieldschema.Password, Description: "The secret of that app."},
		}, fields...)
	}
	f.NeedsStateKey = f.Definition.Scheme.NeedsLogin() && root.Get("state").Get("key").Kind() == event.Absent
	for _, field := range fields {
		s := newSetting(field, f.raw.Get("auth").Get(field.Key))
		if s.Name = "auth." + field.Key; s.IsSecret() {
			s.TestInput = "try." + s.Name
		}
		f.Auth = append(f.Auth, s)
	}
}

// IsSecret reports whether the file must contain only a reference to the value.
func (s *settingInput) IsSecret() bool { return s.Field.Type == fieldschema.Password }

// IsStored reports whether the config has a value that is not shown: a secret in the state, or one that it contains itself.
func (s *settingInput) IsStored() bool {
	_, sealed := config.SealedName(s.fileValue.Str())
	return s.IsSecret() && (s.Literal || sealed)
}

// Variable returns the reference to an environment variable or a file; "" if there is none.
func (s *settingInput) Variable() string {
	if _, sealed := config.SealedName(s.Text); sealed {
		return ""
	}
	return s.Text
}

func newSetting(field fieldschema.Field, fileValue event.Value) *settingInput {
	s := &settingInput{Field: field, Name: "set." + field.Key, fileValue: fileValue}
	if field.Type == fieldschema.Password {
		s.TestInput = "try." + field.Key
		s.Literal = fileValue.IsString() && fileValue.Str() != "" && !reference.MatchString(fileValue.Str())
	}
	return s
}

// inputText formats a value for an input.
func inputText(v event.Value) string {
	switch v.Kind() {
	case event.Object, event.Array:
		return indentJSON(v)
	}
	return v.Text()
}

// subscriptionAction returns the action key of a subscription in the file.
func subscriptionAction(v event.Value) string {
	if v.Get("action").Kind() != event.Absent {
		return v.Get("action").Str()
	}
	return v.Get("partnerAction").Str()
}

// newSubscription returns the inputs of subscription v, which has index fileIndex in the file, or -1.
func (f *setupForm) newSubscription(i, fileIndex int, v event.Value) *subscriptionInput {
	s := &subscriptionInput{
		Index: i, FileIndex: fileIndex, Name: v.Get("name").Str(), ActionKey: subscriptionAction(v), Subscribe: v.Get("subscribe").Str(), SyncMode: v.Get("syncMode").Str(), Enabled: v.Get("enabled").Kind() != event.False,
		UseDefaults: v.Get("useDefaultMappings").Kind() != event.False, Errors: map[string][]problemView{}, raw: v,
	}
	s.Action = f.Definition.Action(s.ActionKey)
	s.buildFields(v.Get("mapping"))
	return s
}

// buildFields creates the field inputs and the JSON text of mapping m.
func (s *subscriptionInput) buildFields(m event.Value) {
	s.Fields, s.HiddenFields = nil, nil
	s.JSON = "{}"
	if m.Kind() == event.Object {
		s.JSON = indentJSON(m)
	}
	if s.Action == nil {
		return
	}
	for _, field := range s.Action.Fields {
		in := &fieldInput{Field: field, Name: fmt.Sprintf("s.%d.f.%s", s.Index, field.Key), value: m.Get(field.Key)}
		in.showValue()
		s.addField(in)
	}
}

func (s *subscriptionInput) addField(in *fieldInput) {
	if hidden, _ := in.Field.Raw.Get("unsafe_hidden").Bool(); hidden {
		s.HiddenFields = append(s.HiddenFields, in)
	} else {
		s.Fields = append(s.Fields, in)
	}
}

// allFields returns the inputs of all fields, hidden ones last.
func (s *subscriptionInput) allFields() []*fieldInput {
	return append(slices.Clone(s.Fields), s.HiddenFields...)
}

// inputMode returns how a mapped value is shown in its input.
func inputMode(v event.Value) (mode, text string) {
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
	return "json", indentJSON(v)
}

// mappedValue returns the mapping that the input describes; absent for the default.
func (in *fieldInput) mappedValue() event.Value {
	text := in.Text
	directiveWith := func(directive string) event.Value {
		return event.NewObject([]event.Member{{Key: directive, Value: event.NewString(strings.TrimSpace(text))}})
	}
	switch in.Mode {
	case "path":
		return directiveWith("@path")
	case "template":
		return event.NewObject([]event.Member{{Key: "@template", Value: event.NewString(text)}})
	case "text":
		return plainValue(in.Field, text)
	case "json":
		v, err := event.ParseString(text)
		if err != nil {
			in.Errors = append(in.Errors, problemView{Message: "This is not valid JSON: " + err.Error()})
			return in.value
		}
		return v
	}
	return event.Value{}
}

// plainValue converts text to the field's type. Text that does not fit the type stays a string.
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
