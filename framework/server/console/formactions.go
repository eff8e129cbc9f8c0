package console

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
)

// isUndoable reports whether a button of the form changes it in a way that can be undone.
func isUndoable(do string) bool {
	name, _, _ := strings.Cut(do, ":")
	return slices.Contains([]string{"add", "preset", "remove", "json", "fields", "rows", "fql", "row", "unrow", "item", "unitem"}, name)
}

// withoutAction returns the parameters of a form without its button and without typed secrets.
func withoutAction(q url.Values) url.Values {
	saved := url.Values{}
	for name, values := range q {
		if !strings.HasPrefix(name, "try.") && name != "do" && name != "draft" {
			saved[name] = values
		}
	}
	return saved
}

func (f *setupForm) addAction(key string) {
	if f.Definition.Action(key) == nil {
		return
	}
	f.Subscriptions = append(f.Subscriptions, f.newSubscription(len(f.Subscriptions), -1, event.NewObject([]event.Member{
		{Key: "name", Value: event.NewString(f.freeName(f.Definition.Action(key).Title))}, {Key: "action", Value: event.NewString(key)},
	})))
	f.Subscriptions[len(f.Subscriptions)-1].raw = event.Value{}
	f.updateVisibility()
}

func (f *setupForm) addPreset(p destination.Preset) {
	list := []event.Member{{Key: "name", Value: event.NewString(f.freeName(p.Name))}, {Key: "action", Value: event.NewString(p.Action)}}
	if p.Subscribe != "" {
		list = append(list, event.Member{Key: "subscribe", Value: event.NewString(p.Subscribe)})
	}
	if p.Mapping.Kind() == event.Object {
		list = append(list, event.Member{Key: "mapping", Value: p.Mapping})
	}
	f.Subscriptions = append(f.Subscriptions, f.newSubscription(len(f.Subscriptions), -1, event.NewObject(list)))
	f.Subscriptions[len(f.Subscriptions)-1].raw = event.Value{}
	f.updateVisibility()
}

// freeName returns an unused subscription name.
func (f *setupForm) freeName(name string) string {
	free := name
	for n := 2; ; n++ {
		taken := false
		for _, s := range f.Subscriptions {
			taken = taken || s.Name == free
		}
		if !taken {
			return free
		}
		free = name + " " + strconv.Itoa(n)
	}
}

// removeSubscription removes the n-th subscription and renumbers the rest.
func (f *setupForm) removeSubscription(n int) {
	if n < 0 || n >= len(f.Subscriptions) {
		return
	}
	f.Subscriptions = append(f.Subscriptions[:n:n], f.Subscriptions[n+1:]...)
	for i, s := range f.Subscriptions {
		s.Index = i
		for _, in := range s.allFields() {
			if in.Name = "s." + strconv.Itoa(i) + ".f." + in.Field.Key; in.Card != nil {
				in.Card = newCard(in.Name, in.value, 0)
			}
		}
	}
}

// setJSONMode switches between editing the mapping as JSON and as fields.
func (s *subscriptionInput) setJSONMode(asJSON bool) {
	m := s.mappingValue()
	if !asJSON && len(s.Errors["json"]) > 0 {
		return // keep invalid JSON for the user to fix
	}
	s.AsJSON = false
	s.buildFields(m)
	s.AsJSON = asJSON
}
