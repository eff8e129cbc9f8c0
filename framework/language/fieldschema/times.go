package fieldschema

import "github.com/landfall-dev/landfall/framework/event"

// timeLayout is RFC 3339 with milliseconds, as JavaScript's toISOString writes it.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// FormatTimes writes the datetimes of a payload as RFC 3339 in UTC with milliseconds, for programs that cannot read every form of
// TIMES.md. Values that are not times stay as they are. If nothing changes, it returns the payload itself.
func (list Fields) FormatTimes(payload event.Value) event.Value {
	return mapMembers(payload, func(key string, m event.Value) event.Value {
		if f := list.Get(key); f != nil {
			return f.formatTimes(m)
		}
		return m
	})
}

func (f *Field) formatTimes(v event.Value) event.Value {
	switch {
	case v.Kind() == event.Array && f.Multiple && f.holdsTimes():
		items := make([]event.Value, 0, v.Len())
		for _, item := range v.Items() {
			items = append(items, f.formatTimes(item))
		}
		return event.NewArray(items)
	case f.Type == Datetime:
		if t, err := event.ReadTime(v); err == nil {
			return event.NewString(t.Format(timeLayout))
		}
	case f.hasProperties():
		return f.Properties.FormatTimes(v)
	}
	return v
}

// holdsTimes reports whether values of the field may contain datetimes.
func (f *Field) holdsTimes() bool { return f.Type == Datetime || f.hasProperties() }
