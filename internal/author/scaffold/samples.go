package scaffold

import (
	"cmp"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/fql"
)

// sampleEvents are events of several types to try a destination with.
const sampleEvents = `{"type":"identify","userId":"u1","traits":{"email":"ann@example.com","plan":"pro"}}
{"type":"track","userId":"u1","event":"Order Completed","properties":{"revenue":9.5,"currency":"EUR"}}
{"type":"page","userId":"u1","name":"Home","properties":{"url":"https://shop.example/"}}
{"type":"group","userId":"u1","groupId":"g1","traits":{"name":"Example Ltd."}}
`

// sampleEvent returns an event that a preset of an action selects, or else its default query, or any event.
func (v *pluginView) sampleEvent(a actionView) event.Value {
	queries := []string{a.DefaultSubscription}
	for _, p := range v.definition.Presets {
		if p.Action == a.Key {
			queries = append([]string{p.Subscribe}, queries...)
		}
	}
	for _, text := range queries {
		query, err := fql.Compile(text)
		if err != nil { // the definition has been checked: it has no query
			continue
		}
		for line := range strings.Lines(sampleEvents) {
			if e := event.MustParse(strings.TrimSpace(line)); query.Match(e) {
				return e
			}
		}
	}
	return object("type", "track", "event", "Sample", "userId", "u1")
}

// sampleOf makes up values for the fields that are required, or for the first field if none is. skip leaves fields out; it may be nil.
// The error says why the values are not valid.
func sampleOf(fields fieldschema.Fields, skip func(fieldschema.Field) bool) (event.Value, error) {
	var members []event.Member
	for _, f := range fields {
		if isRequired(f) && !destination.IsReserved(f.Key) && (skip == nil || !skip(f)) {
			members = append(members, event.Member{Key: f.Key, Value: sampleValue(f)})
		}
	}
	for _, f := range fields {
		if len(members) == 0 && skip == nil && !destination.IsReserved(f.Key) && !f.Default.Exists() {
			members = append(members, event.Member{Key: f.Key, Value: sampleValue(f)})
		}
	}
	sample := event.NewObject(members)
	if skip != nil {
		return sample, nil
	}
	schema, err := fieldschema.Compile(fields)
	if err != nil {
		return sample, err
	}
	return schema.Process(sample)
}

// isRequired reports whether a field is required, always or sometimes.
func isRequired(f fieldschema.Field) bool { return f.Required.Always || len(f.Required.Conditions) > 0 }

func sampleValue(f fieldschema.Field) event.Value {
	v := sampleItem(f)
	if f.Multiple {
		return event.NewArray([]event.Value{v})
	}
	return v
}

func sampleItem(f fieldschema.Field) event.Value {
	if len(f.Choices) > 0 {
		return f.Choices[0].Value
	}
	switch f.Type {
	case fieldschema.Number, fieldschema.Integer:
		if f.Minimum.Kind() == event.Number {
			return f.Minimum
		}
		if f.Maximum.Kind() == event.Number && f.Maximum.Float() < 1 {
			return f.Maximum
		}
		return event.NewInt(1)
	case fieldschema.Boolean:
		return event.NewBool(true)
	case fieldschema.Datetime:
		return event.NewString("2026-01-02T03:04:05Z")
	case fieldschema.Object:
		return sampleObject(f)
	}
	return event.NewString(sampleText(f))
}

func sampleObject(f fieldschema.Field) event.Value {
	var members []event.Member
	for _, p := range f.Properties {
		if isRequired(p) || len(f.Properties) == 1 {
			members = append(members, event.Member{Key: p.Key, Value: sampleValue(p)})
		}
	}
	if len(f.Properties) == 0 {
		members = append(members, event.Member{Key: "key", Value: event.NewString("value")})
	}
	return event.NewObject(members)
}

func sampleText(f fieldschema.Field) string {
	text := "sample " + strings.ReplaceAll(f.Key, "_", " ")
	for _, format := range fieldschema.Formats() {
		if format.Name == f.Format {
			text = cmp.Or(format.Example, text)
		}
	}
	if least := int(f.Minimum.Float()); len(text) < least && least < 10_000 {
		text += strings.Repeat("x", least-len(text))
	}
	if most := int(f.Maximum.Float()); most > 0 && len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}

// object returns an object of the given keys and values. Absent values are left out.
func object(pairs ...any) event.Value {
	var members []event.Member
	for i := 0; i < len(pairs); i += 2 {
		v, ok := pairs[i+1].(event.Value)
		if !ok {
			v = event.NewString(pairs[i+1].(string))
		}
		if v.Kind() != event.Absent {
			members = append(members, event.Member{Key: pairs[i].(string), Value: v})
		}
	}
	return event.NewObject(members)
}

// caseOf returns the case of an action: the values of a mapping, and the request that its handler makes of them.
func (v *pluginView) caseOf(a actionView, settings, mapping event.Value) event.Value {
	body := withoutReserved(mapping)
	if a.Batch {
		body = object("items", event.NewArray([]event.Value{body}))
	}
	mode := event.Value{}
	if a.SyncMode != nil && a.SyncMode.Default == "" {
		mode = event.NewString(a.SyncMode.Choices[0].Value)
	}
	request := object("method", strings.ToUpper(a.Method), "url", "https://"+v.Host+"/v1/"+a.Path, "json", body)
	return object(
		"name", a.Title+" sends what is mapped", "destination", v.Slug, "action", a.Key, "syncMode", mode, "settings", settings, "mapping", mapping,
		"event", v.sampleEvent(a),
		"expect", object("requests", event.NewArray([]event.Value{request}), "results", event.NewArray([]event.Value{object("outcome", "delivered")})),
	)
}

func withoutReserved(payload event.Value) event.Value {
	var members []event.Member
	for key, m := range payload.Members() {
		if !destination.IsReserved(key) {
			members = append(members, event.Member{Key: key, Value: m})
		}
	}
	return event.NewObject(members)
}

// subscriptionOf returns a subscription with the defaults of an action, and made up values where a required field has none.
func (v *pluginView) subscriptionOf(a actionView, required event.Value) event.Value {
	mode, mapping := event.Value{}, event.Value{}
	if a.SyncMode != nil && a.SyncMode.Default == "" {
		mode = event.NewString(a.SyncMode.Choices[0].Value)
	}
	if required.Len() > 0 {
		mapping = required
	}
	return object("name", a.Key, "action", a.Key, "syncMode", mode, "mapping", mapping)
}

// configOf returns a configuration with one instance.
func (v *pluginView) configOf(settings event.Value, subscriptions []event.Value) event.Value {
	auth := event.Value{}
	if v.definition.Scheme.NeedsToken() {
		auth = object("accessToken", "sandbox-token")
	}
	instance := object("id", v.Slug, "destination", v.Slug, "settings", settings, "auth", auth, "subscriptions", event.NewArray(subscriptions))
	return object("destinations", event.NewArray([]event.Value{instance}))
}
