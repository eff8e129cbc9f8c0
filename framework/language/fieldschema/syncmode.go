package fieldschema

import (
	"slices"

	"github.com/landfall-dev/landfall/framework/event"
)

// ForSyncMode returns the fields as they apply in one sync mode, or without a sync mode if mode is "". Conditions on the sync mode
// are evaluated and removed.
func (list Fields) ForSyncMode(mode string) Fields {
	fields := slices.Clone(list)
	for i := range fields {
		fields[i].Required = fields[i].Required.forSyncMode(mode)
		fields[i].Properties = fields[i].Properties.ForSyncMode(mode)
	}
	return fields
}

func (r Required) forSyncMode(mode string) Required {
	is := event.Value{}
	if mode != "" {
		is = event.NewString(mode)
	}
	payload := event.NewObject([]event.Member{{Key: SyncModeKey, Value: is}})
	open := Required{Always: r.Always, Any: r.Any}
	for i := range r.Conditions {
		c := &r.Conditions[i]
		switch {
		case c.FieldKey != SyncModeKey:
			open.Conditions = append(open.Conditions, *c)
		case c.isMetBy(payload) == r.Any: // this condition decides the result
			return Required{Always: r.Always || r.Any}
		}
	}
	if len(open.Conditions) == 0 && len(r.Conditions) > 0 { // all conditions were evaluated, and none decided the result
		open.Always = r.Always || !r.Any
	}
	return open
}
