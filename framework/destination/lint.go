package destination

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// The names of the checks that Lint makes.
const (
	CheckNames        = "names follow the rules"
	CheckDescriptions = "everything has a description"
	CheckSecrets      = "secrets are passwords"
	CheckDefaults     = "defaults are values of their fields"
	CheckFields       = "fields can be filled in"
	CheckRequests     = "every action can be performed"
)

// Finding is a problem of a definition that parses.
type Finding struct {
	Check   string
	Of      string // the subject, such as action.field; "" for the destination
	Pointer string // JSON pointer into the definition
	Message string
	Advice  bool // the problem causes no failure, such as a missing description
}

// LintOptions is what Lint knows about a definition besides its text. Zero fields disable checks.
type LintOptions struct {
	Directory string                   // the directory of the definition
	Performs  func(action string) bool // reports whether Go code performs an action without a request
}

// Lint returns problems that parsing does not report, also of what ReadDefinition returns for a definition with mistakes: keys that need quotes
// in YAML, defaults that are invalid for their fields, bounds that allow no value, secrets that are not passwords, fields whose conditions
// depend on each other, and actions that nothing performs. Every destination of a registry must pass it, with or without code.
func (d *Definition) Lint(o LintOptions) []Finding {
	l := linter{d: d}
	l.checkNames(o.Directory)
	l.checkFields("settings", "/authentication/fields", d.Settings, d.Settings)
	l.checkFields("audience", "/audienceFields", d.AudienceFields, d.AudienceFields)
	l.checkUnmapped("settings", "/authentication/fields", d.Settings)
	l.checkUnmapped("audience", "/audienceFields", d.AudienceFields)
	for _, f := range d.Settings {
		l.checkSecret(f)
		l.checkDescription("settings."+f.Key, "/authentication/fields"+fault.PointerKey(f.Key), "the setting", f.Description)
	}
	l.checkDescription("", "/description", "the destination", d.Description)
	for _, a := range d.Actions {
		l.checkAction(a, o.Performs)
	}
	for i, p := range d.Presets {
		l.checkPreset(p, fmt.Sprintf("/presets/%d", i))
	}
	return l.findings
}

type linter struct {
	d        *Definition
	findings []Finding
}

func (l *linter) addFinding(check, of, pointer, format string, args ...any) {
	l.findings = append(l.findings, Finding{Check: check, Of: of, Pointer: pointer, Message: fmt.Sprintf(format, args...), Advice: check == CheckDescriptions})
}

var (
	fieldKey  = regexp.MustCompile(`^_?[A-Za-z][A-Za-z0-9_]*$`)
	actionKey = regexp.MustCompile(`^[a-z][A-Za-z0-9]*$`)
)

// checkNames checks that the slug is the name of the directory, that keys need no quotes in YAML, and that titles are unique.
func (l *linter) checkNames(directory string) {
	if dir, err := filepath.Abs(directory); directory != "" && err == nil && l.isText("slug") && filepath.Base(dir) != l.d.Slug {
		l.addFinding(CheckNames, "", "/slug", "the slug is %q, but the directory is called %q", l.d.Slug, filepath.Base(dir))
	}
	if strings.TrimSpace(l.d.Name) == "" && l.isText("name") {
		l.addFinding(CheckNames, "", "/name", "should not be empty")
	}
	titles := map[string]string{}
	for _, a := range l.d.Actions {
		place := "/actions" + fault.PointerKey(a.Key)
		if !actionKey.MatchString(a.Key) {
			l.addFinding(CheckNames, a.Key, place, "the key of an action should be like createContact")
		}
		if !l.isText("actions", a.Key, "title") {
			continue
		}
		if other, taken := titles[a.Title]; strings.TrimSpace(a.Title) == "" {
			l.addFinding(CheckNames, a.Key, place+"/title", "should not be empty")
		} else if taken {
			l.addFinding(CheckNames, a.Key, place+"/title", "has the same title as %s: %q", other, a.Title)
		}
		titles[a.Title] = a.Key
	}
}

func (l *linter) checkAction(a ActionDefinition, performs func(string) bool) {
	place := "/actions" + fault.PointerKey(a.Key)
	l.checkDescription(a.Key, place+"/description", "the action", a.Description)
	l.checkFields(a.Key, place+"/fields", a.Fields, a.Fields)
	l.checkBatchSize(a, place)
	for _, f := range a.Fields {
		l.checkDescription(a.Key+"."+f.Key, place+"/fields"+fault.PointerKey(f.Key), "the field", f.Description)
	}
	if !l.hasRequest(a) && l.d.Browser == "" && performs != nil && !performs(a.Key) {
		l.addFinding(CheckRequests, a.Key, place, "nothing performs the action: it has no request, and there is no handler in Go for it")
	}
}

// isText reports whether the definition has a text at a path. Without one, parsing reports it.
func (l *linter) isText(keys ...string) bool { return l.at(keys...).IsString() }

// hasRequest reports whether an action declares what it sends, even if that has mistakes.
func (l *linter) hasRequest(a ActionDefinition) bool {
	return l.at("actions", a.Key, "request").Exists() || l.at("actions", a.Key, "audience").Exists()
}

func (l *linter) at(keys ...string) event.Value {
	v := l.d.Document.Value()
	for _, key := range keys {
		v = v.Get(key)
	}
	return v
}

// checkBatchSize checks that the sizes in the batch_size field and in the request of an action are possible.
func (l *linter) checkBatchSize(a ActionDefinition, place string) {
	var field fieldschema.Field
	if f := a.Fields.Get(BatchSize); f != nil {
		field = *f
	}
	of, at, bound := a.Key+"."+BatchSize, place+"/fields"+fault.PointerKey(BatchSize), float64(DefaultBatchSize)
	if field.Maximum.Kind() == event.Number && field.Maximum.Float() >= 1 {
		bound = field.Maximum.Float()
	}
	switch size := field.Default; {
	case bound > MaxBatchSize:
		l.addFinding(CheckFields, of, at+"/maximum", "the maximum is %s, but a batch holds at most %d payloads", field.Maximum.JSON(), MaxBatchSize)
	case size.Kind() == event.Number && size.Float() > bound && !field.Maximum.Exists():
		l.addFinding(CheckFields, of, at+"/default", "the default is %s, but a batch holds at most %d payloads: lower it, or set a maximum of up to %d", size.JSON(), DefaultBatchSize, MaxBatchSize)
	}
	l.checkRequestSize(a, a.Request, place+"/request", bound)
	if m := a.Members; m != nil {
		l.checkRequestSize(a, m.Add, place+"/audience/add", bound)
		l.checkRequestSize(a, m.Remove, place+"/audience/remove", bound)
		l.checkRequestSize(a, m.Change, place+"/audience/change", bound)
	}
}

// checkRequestSize checks that a request of an action, if there is one, takes at most as many payloads as a batch can hold.
func (l *linter) checkRequestSize(a ActionDefinition, r *request.Request, place string, bound float64) {
	if r != nil && float64(r.MaxPayloads()) > bound {
		l.addFinding(CheckRequests, a.Key, place+"/batch/size", "the size is %d, but a batch holds at most %d payloads: lower it, or give the field %s a maximum of up to %d", r.MaxPayloads(), int(bound), BatchSize, MaxBatchSize)
	}
}

// checkFields checks fields and, recursively, their properties. whole are all fields of the action.
func (l *linter) checkFields(of, place string, fields, whole fieldschema.Fields) {
	labels := map[string]string{}
	for _, f := range fields {
		of, place := of+"."+f.Key, place+fault.PointerKey(f.Key)
		if !fieldKey.MatchString(f.Key) {
			l.addFinding(CheckNames, of, place, "the key of a field should be like first_name or firstName")
		}
		if other, taken := labels[f.Label]; taken {
			l.addFinding(CheckNames, of, place+"/label", "has the same label as %s: %q", other, f.Label)
		}
		labels[f.Label] = f.Key
		if f.Minimum.Exists() && f.Maximum.Exists() && f.Minimum.Float() > f.Maximum.Float() {
			l.addFinding(CheckFields, of, place+"/minimum", "the minimum %s is above the maximum %s, so no value is valid", f.Minimum.JSON(), f.Maximum.JSON())
		}
		l.checkRaw(of, place, f)
		if isKnownType := f.Raw.Get("type").Str() == string(f.Type); isKnownType && l.checkChoices(of, place, f) {
			l.checkDefault(of, place, f)
		}
		l.checkConditions(of, place, f, fields, whole)
		l.checkFields(of, place+"/properties", f.Properties, whole)
	}
	l.checkCycles(of, place, fields)
}

// checkDefault checks that a default that is not a mapping is valid for its field.
func (l *linter) checkDefault(of, place string, f fieldschema.Field) {
	value := f.Default
	if isPathText(value) {
		l.addFinding(CheckDefaults, of, place+"/default", `the default is the text %q: write {"@path": %s} for the value at this path, or {"@literal": …} for the text`, value.Str(), value.Str())
		return
	}
	l.checkShape(of, place+"/default", f, value)
	isMapping := value.Kind() == event.Object && (f.Type == fieldschema.Object || value.Len() > 0 && strings.HasPrefix(firstKey(value), "@"))
	if value.Kind() == event.Absent || isMapping || strings.Contains(value.Str(), "{{") {
		return
	}
	if err := acceptsValue(f, value); err != nil {
		l.addFinding(CheckDefaults, of, place+"/default", "the default is not a valid value of the field: %v", err)
	}
}

// acceptsValue returns an error if a value is not valid for a field.
func acceptsValue(f fieldschema.Field, value event.Value) error {
	f.Required = fieldschema.Required{}
	compiled, err := fieldschema.Compile(fieldschema.Fields{f})
	if err == nil {
		_, err = compiled.Process(event.NewObject([]event.Member{{Key: f.Key, Value: value}}))
	}
	return err
}

// checkUnmapped checks that the defaults of settings, for which there is no event, have no directives.
func (l *linter) checkUnmapped(of, place string, fields fieldschema.Fields) {
	for _, f := range fields {
		if hasDirective(f.Default) {
			l.addFinding(CheckDefaults, of+"."+f.Key, place+fault.PointerKey(f.Key)+"/default", "the default is a mapping, but a setting is not mapped: it should be a value")
		}
	}
}

// hasDirective reports whether a value has a directive at any depth.
func hasDirective(v event.Value) bool {
	if mapping.IsDirective(v) {
		return true
	}
	for _, m := range v.Members() {
		if hasDirective(m) {
			return true
		}
	}
	for _, item := range v.Items() {
		if hasDirective(item) {
			return true
		}
	}
	return false
}

func firstKey(v event.Value) string {
	for key := range v.Members() {
		return key
	}
	return ""
}

// checkCycles finds fields that are shown only if another one is filled in, which in turn is shown only if the first one is.
func (l *linter) checkCycles(of, place string, fields fieldschema.Fields) {
	needs := map[string][]string{}
	for _, f := range fields {
		for _, key := range requiredFields(f.Raw.Get("depends_on")) {
			if fields.Get(key) != nil {
				needs[f.Key] = append(needs[f.Key], key)
			}
		}
	}
	reported := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(needs)) {
		if cycle := cycleFrom(key, needs); cycle != nil && !reported[key] {
			for _, k := range cycle {
				reported[k] = true
			}
			l.addFinding(CheckFields, of+"."+key, place+fault.PointerKey(key)+"/depends_on", "depends on itself (%s), so a form never shows it", strings.Join(append(cycle, key), " → "))
		}
	}
}

// requiredFields returns the fields that must be filled in for the conditions to hold. A condition that a field is empty, is
// false or is not some value also holds for an empty field. With match: any, no single field is required.
func requiredFields(conditions event.Value) []string {
	list := conditions.Get("conditions")
	if conditions.Get("match").Str() == "any" && list.Len() > 1 {
		return nil
	}
	var keys []string
	for _, c := range list.Items() {
		needed, negated := true, c.Get("operator").Str() == "is_not"
		for _, v := range itemsOf(c.Get("value")) {
			needed = needed && negated == v.Falsy()
		}
		if needed {
			keys = append(keys, c.Get("fieldKey").Str())
		}
	}
	return keys
}

// itemsOf returns the items of a list, or the value itself.
func itemsOf(v event.Value) []event.Value {
	if v.Kind() != event.Array {
		return []event.Value{v}
	}
	var items []event.Value
	for _, item := range v.Items() {
		items = append(items, item)
	}
	return items
}

// cycleFrom returns the keys of a path from start back to itself, or nil.
func cycleFrom(start string, needs map[string][]string) []string {
	seen := map[string]bool{}
	var visit func(key string, way []string) []string
	visit = func(key string, way []string) []string {
		if seen[key] {
			return nil
		}
		seen[key] = true
		way = append(slices.Clone(way), key)
		for _, next := range needs[key] {
			if next == start {
				return way
			}
			if cycle := visit(next, way); cycle != nil {
				return cycle
			}
		}
		return nil
	}
	return visit(start, nil)
}

// checkSecret checks that a setting with the name of a secret is a password.
func (l *linter) checkSecret(f fieldschema.Field) {
	if f.Type != fieldschema.Password && (f.Type == fieldschema.String || f.Type == fieldschema.Text) && httpx.IsSecretName(f.Key) {
		l.addFinding(CheckSecrets, "settings."+f.Key, "/authentication/fields"+fault.PointerKey(f.Key)+"/type",
			"looks like a secret but is of the type %s: make it a password", f.Type)
	}
}

// checkDescription checks that a description is present and ends with a full stop.
func (l *linter) checkDescription(of, pointer, what, text string) {
	switch text = strings.TrimSpace(text); {
	case text == "":
		l.addFinding(CheckDescriptions, of, pointer, "%s has no description", what)
	case !strings.ContainsAny(text[len(text)-1:], ".!?)"):
		l.addFinding(CheckDescriptions, of, pointer, "the description should end with a full stop")
	}
}

// checkPreset checks that a preset maps only fields that exist.
func (l *linter) checkPreset(p Preset, place string) {
	a := l.d.Action(p.Action)
	if a == nil || l.at("actions", a.Key, "fields").Kind() != event.Object { // parsing reports it
		return
	}
	for key := range p.Mapping.Members() {
		switch f := a.Fields.Get(key); {
		case strings.HasPrefix(key, "@") || strings.HasPrefix(key, "__"):
		case f == nil:
			l.addFinding(CheckDefaults, "presets."+p.Name, place+"/mapping"+fault.PointerKey(key), "maps %s, which is not a field of %s%s",
				key, a.Key, fault.DidYouMean(key, a.Fields.Keys()))
		default:
			l.checkShape("presets."+p.Name, place+"/mapping"+fault.PointerKey(key), *f, p.Mapping.Get(key))
		}
	}
}
