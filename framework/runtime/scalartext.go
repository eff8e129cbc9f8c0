package runtime

import (
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// scalars replaces values of text fields by their text in the config, so that a key 0123 is not read as 83. It warns if another field
// has a number that YAML reads differently from JSON.
type scalars struct {
	doc      *yamldoc.Document
	warnings fault.Problems
}

// readInstance returns an instance whose settings and mappings have the texts of the config.
func (s *scalars) readInstance(in config.Instance, d *destination.Definition) config.Instance {
	in.Settings = s.readObject(d.Settings, in.Settings, in.Pointer+"/settings")
	in.Audiences = yamldoc.MapMembers(in.Audiences, in.Pointer+"/audiences", func(_, place string, audience event.Value) event.Value {
		return yamldoc.MapMembers(audience, place, func(key, place string, v event.Value) event.Value {
			if key != "settings" {
				return v
			}
			return s.readObject(d.AudienceFields, v, place)
		})
	})
	subscriptions := make([]config.Subscription, len(in.Subscriptions))
	for i, sub := range in.Subscriptions {
		if action := d.Action(sub.Action); action != nil {
			sub.Mapping = s.readObject(action.Fields, sub.Mapping, sub.Pointer+"/mapping")
			sub.Hooks = yamldoc.MapMembers(sub.Hooks, sub.Pointer+"/hooks", func(name, place string, inputs event.Value) event.Value {
				var fields fieldschema.Fields
				if hook := action.Hook(name); hook != nil {
					fields = hook.Inputs
				}
				return s.readObject(fields, inputs, place)
			})
		}
		subscriptions[i] = sub
	}
	in.Subscriptions = subscriptions
	return in
}

func (s *scalars) readObject(fields fieldschema.Fields, v event.Value, place string) event.Value {
	return yamldoc.MapMembers(v, place, func(key, place string, m event.Value) event.Value {
		return s.readValue(fields.Get(key), m, place)
	})
}

// readValue reads the value of a field; of a part of a mapping or of an object that no field describes if f is nil.
func (s *scalars) readValue(f *fieldschema.Field, v event.Value, place string) event.Value {
	switch {
	case v.Kind() == event.Array:
		return yamldoc.MapItems(v, place, func(place string, item event.Value) event.Value { return s.readValue(f, item, place) })
	case v.Kind() == event.Object && f == nil:
		return s.readObject(nil, v, place)
	case v.Kind() == event.Object:
		return s.readObject(f.Properties, v, place)
	case f != nil && f.Type.IsText():
		if text, ok := s.doc.ScalarText(place); ok {
			return event.NewString(text)
		}
	default:
		s.warnNumber(v, place)
	}
	return v
}

// warnNumber warns of a number whose notation is not that of JSON.
func (s *scalars) warnNumber(v event.Value, place string) {
	if text := s.doc.NotationWarning(v, place); text != "" {
		s.warnings.Add(place, "%s", text)
	}
}
