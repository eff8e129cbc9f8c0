package mapping

import (
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// merge is a @merge: shallow, an absent value overwrites like any other.
type merge struct {
	place   string
	objects []node
	left    bool // the earlier object wins
}

func (n *merge) resolve(v event.Value) (event.Value, error) {
	var members []event.Member
	at := map[string]int{}
	for i := range n.objects {
		o, err := n.objects[i].resolve(v)
		if err != nil {
			return event.Value{}, err
		}
		for key, value := range slots(o) {
			j, known := at[key]
			switch {
			case !known:
				at[key] = len(members)
				members = append(members, event.Member{Key: key, Value: value})
			case !n.left:
				members[j].Value = value
			}
		}
	}
	return bounded(event.NewObject(members), n.place)
}

// slots are the members of an object, absent ones included; the items of an array and the characters of a string count
// as members, as JavaScript has it.
func slots(v event.Value) func(func(string, event.Value) bool) {
	return func(yield func(string, event.Value) bool) {
		switch v.Kind() {
		case event.Object:
			v.Slots()(yield)
		case event.Array:
			for i, item := range v.Items() {
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

func compileMerge(c *compiler, v event.Value, place string) node {
	o, ok := c.options(v, place)
	if !ok {
		return nil
	}
	n := &merge{place: place, left: o.choice("direction", "left", "right") == "left"}
	objects, ok := o.required("objects")
	if !ok {
		return nil
	}
	if objects.Kind() != event.Array {
		c.problems.Add(o.at("objects"), "should be an array but it is %s", described(objects))
		return nil
	}
	for i, item := range objects.Items() {
		n.objects = append(n.objects, c.objectOrDirective(item, o.at("objects")+"/"+strconv.Itoa(i)))
	}
	return n
}

// flatten is a @flatten.
type flatten struct {
	place      string
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
		return event.Value{}, failed(n.place+"/separator", "needs a string but got %s", separator.Kind().WithArticle())
	}
	f := flattening{separator: separator.Str(), omitArrays: n.omitArrays, at: map[string]int{}}
	if !f.add("", value) {
		return event.Value{}, tooLarge(n.place)
	}
	return bounded(event.NewObject(f.members), n.place)
}

// flattening collects the leaves of a value under their joined keys.
type flattening struct {
	separator  string
	omitArrays bool
	members    []event.Member
	at         map[string]int
	size       int
}

// add collects v, or what is inside it. It reports false where that becomes too large.
func (f *flattening) add(key string, v event.Value) bool {
	if !f.opens(v) {
		return f.leaf(key, v)
	}
	if key != "" {
		key += f.separator
	}
	for inner, member := range slots(v) {
		if !f.add(key+inner, member) {
			return false
		}
	}
	return true
}

func (f *flattening) leaf(key string, v event.Value) bool {
	if f.size += len(key) + v.Size(); f.size > MaxOutput {
		return false
	}
	if i, known := f.at[key]; known {
		f.members[i].Value = v
		return true
	}
	f.at[key] = len(f.members)
	f.members = append(f.members, event.Member{Key: key, Value: v})
	return true
}

func (f *flattening) opens(v event.Value) bool {
	return v.Kind() == event.Object || v.Kind() == event.Array && !f.omitArrays
}

func compileFlatten(c *compiler, v event.Value, place string) node {
	o, ok := c.options(v, place)
	if !ok {
		return nil
	}
	n := &flatten{place: place, omitArrays: o.flag("omitArrays", false)}
	if value, ok := o.required("value"); ok {
		n.value = c.value(value, o.at("value"))
	}
	if separator, ok := o.required("separator"); ok {
		n.separator = c.stringOrDirective(separator, o.at("separator"))
	}
	return n
}

// jsonText is a @json.
type jsonText struct {
	place  string
	value  node
	decode bool
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
	if err != nil || strings.HasPrefix(value.Str(), "\ufeff") { // JSON.parse takes no byte order mark
		return value, nil // text that is no JSON stands for itself
	}
	return decoded, nil
}

func compileJSON(c *compiler, v event.Value, place string) node {
	o, ok := c.options(v, place)
	if !ok {
		return nil
	}
	n := jsonText{place: place, decode: o.choice("mode", "encode", "decode") == "decode"}
	if value, ok := o.required("value"); ok {
		n.value = c.value(value, o.at("value"))
	}
	return n
}

// excludeWhenNull is an @excludeWhenNull.
type excludeWhenNull struct{ value node }

func (n excludeWhenNull) resolve(v event.Value) (event.Value, error) {
	value, err := n.value.resolve(v)
	return withoutNulls(value), err
}

// withoutNulls is v without the null members of objects, except inside arrays; null itself becomes absent.
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

func compileExcludeWhenNull(c *compiler, v event.Value, place string) node {
	return excludeWhenNull{c.value(v, place)}
}
