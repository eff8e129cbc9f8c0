package mapping

import (
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// maxSeparator bounds the separator of @scalars, in UTF-16 units.
const maxSeparator = 10

// scalars is a @scalars: an object for a remote that takes only scalars as the values of properties.
type scalars struct {
	place     string
	value     node
	separator string
}

func (n *scalars) resolve(v event.Value) (event.Value, error) {
	value, err := n.value.resolve(v)
	if err != nil {
		return event.Value{}, err
	}
	if value.Kind() != event.Object {
		return bounded(n.scalar(value), n.place)
	}
	members := make([]event.Member, 0, value.Len())
	for key, member := range value.Members() {
		if member = n.scalar(member); member.Exists() {
			members = append(members, event.Member{Key: key, Value: member})
		}
	}
	return bounded(event.NewObject(members), n.place)
}

// scalar returns v as one scalar, and an absent value for null.
func (n *scalars) scalar(v event.Value) event.Value {
	switch v.Kind() {
	case event.Null:
		return event.Value{}
	case event.String:
		text := v.Str()
		if trimmed := event.TrimSpace(text); trimmed != text {
			return event.NewString(trimmed)
		}
	case event.Object:
		return event.NewString(v.Stringify())
	case event.Array:
		return event.NewString(n.join(v))
	}
	return v
}

// join returns the items of a list as one text. Items that are no scalars, null included, are JSON text in it.
func (n *scalars) join(list event.Value) string {
	var b strings.Builder
	for i, item := range list.Items() {
		if i > 0 {
			b.WriteString(n.separator)
		}
		switch item.Kind() {
		case event.Object, event.Array, event.Null:
			b.WriteString(item.Stringify())
		default:
			b.WriteString(item.Text())
		}
	}
	return b.String()
}

func compileScalars(c *compiler, v event.Value, place string) node {
	o, ok := c.options(v, place)
	if !ok {
		return nil
	}
	n := &scalars{place: place, separator: o.text("separator", ";", 0, maxSeparator)}
	if value, ok := o.required("value"); ok {
		n.value = c.value(value, o.at("value"))
	}
	return n
}
