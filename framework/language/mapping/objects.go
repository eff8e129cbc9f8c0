package mapping

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// merge implements @merge. It is shallow, and an absent value overrides like any other value.
type merge struct {
	pointer string
	objects []node
	left    bool // the first object wins, and the keys of the last one come first
}

func (n *merge) resolve(v event.Value) (event.Value, error) {
	objects := make([]event.Value, len(n.objects))
	for i, o := range n.objects {
		var err error
		if objects[i], err = o.resolve(v); err != nil {
			return event.Value{}, err
		}
	}
	if n.left {
		slices.Reverse(objects)
	}
	var members []event.Member
	at := map[string]int{}
	for _, o := range objects {
		for key, value := range memberSlots(o) {
			if j, known := at[key]; known {
				members[j].Value = value
				continue
			}
			at[key] = len(members)
			members = append(members, event.Member{Key: key, Value: value})
		}
	}
	return checkSize(event.NewObject(members), n.pointer)
}

func (n *merge) describe(event.Value) string {
	return fmt.Sprintf("@merge of %d objects", len(n.objects))
}

// memberSlots iterates over the members and holes of an object, the items and holes of an array, or the characters of a string, as JavaScript
// does.
func memberSlots(v event.Value) func(func(string, event.Value) bool) {
	return func(yield func(string, event.Value) bool) {
		switch v.Kind() {
		case event.Object:
			v.Slots()(yield)
		case event.Array:
			for i, item := range v.ItemSlots() {
				if !yield(strconv.Itoa(i), item) {
					return
				}
			}
		case event.String:
			i := 0
			for _, r := range v.Str() {
				if !yield(strconv.Itoa(i), event.NewString(string(r))) {
					return
				}
				i++
			}
		}
	}
}

func compileMerge(c *compiler, v event.Value, pointer string) node {
	o, ok := c.readOptions(v, pointer)
	if !ok {
		return nil
	}
	n := &merge{pointer: pointer, left: o.choiceValue("direction", "left", "right") == "left"}
	objects, ok := o.requiredValue("objects")
	if !ok {
		return nil
	}
	if objects.Kind() != event.Array {
		c.problems.Add(o.pointerTo("objects"), "should be an array but it is %s", describeKind(objects))
		return nil
	}
	for i, item := range objects.Items() {
		n.objects = append(n.objects, c.objectOrDirective(item, o.pointerTo("objects")+"/"+strconv.Itoa(i)))
	}
	return n
}

// flatten implements @flatten.
type flatten struct {
	pointer    string
	value      node
	separator  node
	omitArrays bool
}

func (n *flatten) resolve(v event.Value) (event.Value, error) {
	value, err := n.value.resolve(v)
	if err != nil {
		return event.Value{}, err
	}
	separator, err := n.separator.resolve(v)
	if err != nil {
		return event.Value{}, err
	}
	if !separator.IsString() {
		return event.Value{}, mappingError(n.pointer+"/separator", "needs a string but got %s", separator.Kind().WithArticle())
	}
	f := flattener{separator: separator.Str(), omitArrays: n.omitArrays, indexes: map[string]int{}}
	if !f.addValue("", value) {
		return event.Value{}, tooLarge(n.pointer)
	}
	return checkSize(event.NewObject(f.members), n.pointer)
}

func (n *flatten) describe(v event.Value) string { return "@flatten of " + n.value.describe(v) }

// flattener collects the leaves of a value under their joined keys.
type flattener struct {
	separator  string
	omitArrays bool
	members    []event.Member
	indexes    map[string]int
	size       int
}

// addValue collects v or, if it is nested, its leaves. It returns false if the result becomes too large.
func (f *flattener) addValue(key string, v event.Value) bool {
	if !f.isNested(v) {
		return f.addLeaf(key, v)
	}
	if key != "" {
		key += f.separator
	}
	for inner, member := range memberSlots(v) {
		if !f.addValue(key+inner, member) {
			return false
		}
	}
	return true
}

func (f *flattener) addLeaf(key string, v event.Value) bool {
	if f.size += len(key) + v.Size(); f.size > MaxOutput {
		return false
	}
	if i, known := f.indexes[key]; known {
		f.members[i].Value = v
		return true
	}
	f.indexes[key] = len(f.members)
	f.members = append(f.members, event.Member{Key: key, Value: v})
	return true
}

func (f *flattener) isNested(v event.Value) bool {
	return v.Kind() == event.Object || v.Kind() == event.Array && !f.omitArrays
}

func compileFlatten(c *compiler, v event.Value, pointer string) node {
	o, ok := c.readOptions(v, pointer)
	if !ok {
		return nil
	}
	n := &flatten{pointer: pointer, omitArrays: o.flagValue("omitArrays", false)}
	if value, ok := o.requiredValue("value"); ok {
		n.value = c.compileValue(value, o.pointerTo("value"))
	}
	if separator, ok := o.requiredValue("separator"); ok {
		n.separator = c.stringOrDirective(separator, o.pointerTo("separator"))
	}
	return n
}

// jsonText implements @json.
type jsonText struct {
	pointer string
	value   node
	decode  bool
}

func (n jsonText) resolve(v event.Value) (event.Value, error) {
	value, err := n.value.resolve(v)
	if err != nil {
		return event.Value{}, err
	}
	if !n.decode {
		if value.Kind() == event.Absent {
			return value, nil
		}
		return event.NewString(value.Stringify()), nil
	}
	if !value.IsString() {
		return value, nil
	}
	decoded, err := event.ParseString(value.Str())
	if err != nil || strings.HasPrefix(value.Str(), "\ufeff") { // JSON.parse does not accept a byte order mark
		return value, nil // a text that is not JSON is returned unchanged
	}
	return decoded, nil
}

func (n jsonText) describe(v event.Value) string { return "@json of " + n.value.describe(v) }

func compileJSON(c *compiler, v event.Value, pointer string) node {
	o, ok := c.readOptions(v, pointer)
	if !ok {
		return nil
	}
	n := jsonText{pointer: pointer, decode: o.choiceValue("mode", "encode", "decode") == "decode"}
	if value, ok := o.requiredValue("value"); ok {
		n.value = c.compileValue(value, o.pointerTo("value"))
	}
	return n
}

// excludeWhenNull implements @excludeWhenNull.
type excludeWhenNull struct{ value node }

func (n excludeWhenNull) resolve(v event.Value) (event.Value, error) {
	value, err := n.value.resolve(v)
	return withoutNulls(value), err
}

func (n excludeWhenNull) describe(v event.Value) string {
	return "@excludeWhenNull of " + n.value.describe(v)
}

// withoutNulls returns v without null members of objects, except inside arrays. Null itself becomes absent.
func withoutNulls(v event.Value) event.Value {
	switch v.Kind() {
	case event.Null:
		return event.Value{}
	case event.Object:
		members := make([]event.Member, 0, v.Len())
		for key, member := range v.Slots() {
			if member.Kind() != event.Null {
				members = append(members, event.Member{Key: key, Value: withoutNulls(member)})
			}
		}
		return event.NewObject(members)
	}
	return v
}

func compileExcludeWhenNull(c *compiler, v event.Value, pointer string) node {
	return excludeWhenNull{c.compileValue(v, pointer)}
}
