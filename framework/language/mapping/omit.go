package mapping

import (
	"fmt"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// omit implements @omit: an object without some of its keys, in its order.
type omit struct {
	pointer string
	value   node
	keys    map[string]bool
}

func (n *omit) resolve(v event.Value) (event.Value, error) {
	value, err := n.value.resolve(v)
	if err != nil || value.Kind() != event.Object {
		return value, err
	}
	members := make([]event.Member, 0, value.Len())
	for key, m := range value.Members() {
		if !n.keys[key] {
			members = append(members, event.Member{Key: key, Value: m})
		}
	}
	return checkSize(event.NewObject(members), n.pointer)
}

func (n *omit) describe(v event.Value) string {
	return fmt.Sprintf("@omit %d keys of %s", len(n.keys), n.value.describe(v))
}

func compileOmit(c *compiler, v event.Value, pointer string) node {
	o, ok := c.readOptions(v, pointer)
	if !ok {
		return nil
	}
	n := &omit{pointer: pointer, keys: map[string]bool{}}
	if value, ok := o.requiredValue("value"); ok {
		n.value = c.compileValue(value, o.pointerTo("value"))
	}
	keys, ok := o.requiredValue("keys")
	if ok && keys.Kind() != event.Array {
		c.problems.Add(o.pointerTo("keys"), "should be a list of texts but it is %s", describeKind(keys))
	}
	for i, key := range keys.Items() {
		if !key.IsString() {
			c.problems.Add(fmt.Sprintf("%s/%d", o.pointerTo("keys"), i), "should be a string but it is %s", describeKind(key))
		}
		n.keys[key.Str()] = true
	}
	return n
}

func describeOmit(v event.Value) string {
	var keys []string
	for _, key := range v.Get("keys").Items() {
		keys = append(keys, markdownCode(key.Str()))
	}
	return Describe(v.Get("value")) + " without " + strings.Join(keys, ", ")
}
