package mapping

import (
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// maxSeparator is the maximum length of the separator of @scalars, in UTF-16 code units.
const maxSeparator = 10

// scalars implements @scalars: an object for a remote that accepts only scalars as values of properties.
type scalars struct {
	pointer   string
	value     node
	separator string
}

func (n *scalars) resolve(v event.Value) (event.Value, error) {
	value, err := n.value.resolve(v)
	if err != nil {
		return event.Value{}, err
	}
	if value.Kind() != event.Object {
		return checkSize(n.toScalar(value), n.pointer)
	}
	members := make([]event.Member, 0, value.Len())
	for key, member := range value.Members() {
		if member = n.toScalar(member); member.Exists() {
			members = append(members, event.Member{Key: key, Value: member})
		}
	}
	return checkSize(event.NewObject(members), n.pointer)
}

func (n *scalars) describe(v event.Value) string { return "@scalars of " + n.value.describe(v) }

// toScalar returns v as one scalar, or the absent Value for null.
func (n *scalars) toScalar(v event.Value) event.Value {
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
		return event.NewString(n.joinItems(v))
	}
	return v
}

// joinItems returns the items of a list as one text. Objects, arrays and null become JSON text.
func (n *scalars) joinItems(list event.Value) string {
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

func compileScalars(c *compiler, v event.Value, pointer string) node {
	o, ok := c.readOptions(v, pointer)
	if !ok {
		return nil
	}
	n := &scalars{pointer: pointer, separator: o.textValue("separator", ";", 0, maxSeparator)}
	if value, ok := o.requiredValue("value"); ok {
		n.value = c.compileValue(value, o.pointerTo("value"))
	}
	return n
}
