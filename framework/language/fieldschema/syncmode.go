package fieldschema

import (
	"slices"

	"github.com/landfall-dev/landfall/framework/event"
)

// ForSyncMode are the fields as they are for one sync mode, "" for none: conditions on it are decided, and gone.
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
		case c.holds(payload) == r.Any: // this one alone decides
			return Required{Always: r.Always || r.Any}
		}
	}
	if len(open.Conditions) == 0 && len(r.Conditions) > 0 { // all were decided, and none alone
		open.Always = r.Always || !r.Any
	}
	return open
}
