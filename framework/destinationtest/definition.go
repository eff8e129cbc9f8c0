package destinationtest

import (
	"path/filepath"
	"regexp"
	"strings"

	"github.com/landfall-dev/landfall/framework/config"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/schema"
)

var (
	fieldKey  = regexp.MustCompile(`^_?[A-Za-z][A-Za-z0-9_]*$`)
	actionKey = regexp.MustCompile(`^[a-z][A-Za-z0-9]*$`)
)

// names: the slug is the directory's name, keys can be written without quotes, and no two things of a form have the same label.
func names(s *subject) {
	d := s.definition
	if dir, err := filepath.Abs(s.dir); err == nil && filepath.Base(dir) != d.Slug {
		s.find("", "the slug is %q, but the directory is called %q", d.Slug, filepath.Base(dir))
	}
	s.fieldNames("settings", d.Settings)
	titles := map[string]string{}
	for _, a := range d.Actions {
		if !actionKey.MatchString(a.Key) {
			s.find(a.Key, "the key of an action should be like createContact")
		}
		if other, taken := titles[a.Title]; taken {
			s.find(a.Key, "has the title of %s: %q", other, a.Title)
		}
		titles[a.Title] = a.Key
		s.fieldNames(a.Key, a.Fields)
	}
}

func (s *subject) fieldNames(of string, fields schema.Fields) {
	labels := map[string]string{}
	for _, f := range fields {
		place := of + "." + f.Key
		if !fieldKey.MatchString(f.Key) {
			s.find(place, "the key of a field should be like first_name or firstName")
		}
		if other, taken := labels[f.Label]; taken {
			s.find(place, "has the label of %s: %q", other, f.Label)
		}
		labels[f.Label] = f.Key
		s.fieldNames(place, f.Properties)
	}
}

// described: what people choose from and fill in says what it is, in sentences. Inside of an object a label may be enough.
func described(s *subject) {
	d := s.definition
	s.sentence("", "the destination", d.Description)
	for _, f := range d.Settings {
		s.sentence("settings."+f.Key, "the setting", f.Description)
	}
	for _, a := range d.Actions {
		s.sentence(a.Key, "the action", a.Description)
		for _, f := range a.Fields {
			s.sentence(a.Key+"."+f.Key, "the field", f.Description)
		}
	}
}

func (s *subject) sentence(of, what, text string) {
	switch text = strings.TrimSpace(text); {
	case text == "":
		s.find(of, "%s has no description", what)
	case !strings.ContainsAny(text[len(text)-1:], ".!?)"):
		s.find(of, "the description should end with a full stop")
	}
}

// secretWords are what the keys of secrets hold.
var secretWords = regexp.MustCompile(`(?i)(password|secret|private_?key|api_?key|access_?token|auth_?token|refresh_?token)$`)

// secretsArePasswords: a setting that is called like a secret is one, so that it never shows.
func secretsArePasswords(s *subject) {
	for _, f := range s.definition.Settings {
		if secretWords.MatchString(f.Key) && f.Type != schema.Password {
			s.find("settings."+f.Key, "looks like a secret but is of the type %s: make it a password", f.Type)
		}
	}
}

// defaults: the defaults of settings are among their values, and so are those of fields that are no mappings; presets map fields
// that there are.
func defaults(s *subject) {
	s.defaultValues("settings", s.definition.Settings)
	for _, a := range s.definition.Actions {
		s.defaultValues(a.Key, a.Fields)
	}
	for _, p := range s.definition.Presets {
		a := s.definition.Action(p.Action)
		for key := range p.Mapping.Members() {
			if !strings.HasPrefix(key, "@") && !strings.HasPrefix(key, "__") && a.Fields.Get(key) == nil {
				s.find("presets."+p.Name, "maps %s, which is not a field of %s", key, a.Key)
			}
		}
	}
}

func (s *subject) defaultValues(of string, fields schema.Fields) {
	for _, f := range fields {
		if f.Default.Kind() == event.Absent || f.Default.Kind() == event.Object {
			continue
		}
		one, value := f, f.Default
		one.Required = schema.Required{}
		if text := value.Str(); strings.Contains(text, "{{") {
			continue // a template
		}
		compiled, err := schema.Compile(schema.Fields{one})
		if err == nil {
			_, err = compiled.Process(event.NewObject([]event.Member{{Key: f.Key, Value: value}}))
		}
		if err != nil {
			s.find(of+"."+f.Key, "the default is no value of the field: %v", err)
		}
	}
}

// presetsTake: a preset, as it is suggested, takes an event of a case of its action, and the sandbox takes what it becomes.
func presetsTake(s *subject) {
	for _, p := range s.definition.Presets {
		if p.Type != "automatic" {
			continue
		}
		taken, reason := false, "the action has no case that the sandbox takes"
		for _, sm := range s.samplesOf(p.Action) {
			sm.instance.Subscriptions = []config.Subscription{{
				Name: p.Name, Action: p.Action, ActionKey: "action", Subscribe: p.Subscribe, Mapping: p.Mapping, UseDefaultMappings: true,
				Enabled: true, SampleRate: 1, SyncMode: sm.instance.Subscriptions[0].SyncMode,
			}}
			r, err := s.rig(sm, nil)
			if err != nil {
				reason = err.Error()
				break
			}
			v := r.plan.Run(s.context(), sm.event)[0]
			if taken = v.Outcome == runtime.Delivered; taken {
				break
			}
			reason = v.Reason
		}
		if !taken {
			s.find("presets."+p.Name, "no event of a case of %s is delivered with it: %s", p.Action, reason)
		}
	}
}
