// Package segment reads what Segment publishes and exports as JSON — the metadata of a destination, the subscriptions of an
// instance — into the files that Landfall takes, and says what cannot come along, each with its place in the JSON.
//
// It knows both forms and nothing of how destinations run. What it gives has been checked: a part that Landfall refuses is left
// out and reported, never passed on. Reading is bounded by source.MaxBytes; the functions are safe for concurrent use.
package segment

import (
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
)

// Result is what was read.
type Result struct {
	Value event.Value    // the file's content
	Notes fault.Problems // what did not come along, or needs a look, in the order of the JSON
	Count int            // actions or subscriptions that came along
}

// YAML is the content as a file that people read, with comment lines before it.
func (r Result) YAML(comments ...string) []byte {
	var text []byte
	for _, c := range comments {
		text = append(text, "# "+c+"\n"...)
	}
	return append(text, yamldoc.Write(r.Value)...)
}

// open reads JSON and steps into the envelopes of the Public API: {"data": {"…": …}}.
func open(file string, text []byte, keys ...string) (*yamldoc.Document, event.Value, string, error) {
	doc, err := yamldoc.Parse(file, text)
	if err != nil {
		return nil, event.Value{}, "", err
	}
	v, pointer := doc.Value(), ""
	for _, key := range append([]string{"data"}, keys...) {
		if inner := v.Get(key); inner.Exists() {
			v, pointer = inner, pointer+fault.PointerKey(key)
		}
	}
	return doc, v, pointer, nil
}

// object collects the members of an object. Absent and null values and empty texts are left out.
type object []event.Member

func (o *object) add(key string, v event.Value) {
	if v.Exists() && !(v.IsString() && v.Str() == "") {
		*o = append(*o, event.Member{Key: key, Value: v})
	}
}

func (o *object) text(key, text string) { o.add(key, event.NewString(text)) }

func (o object) value() event.Value { return event.NewObject(o) }

// first is the first of some members that is there, and its key.
func first(v event.Value, keys ...string) (event.Value, string) {
	for _, key := range keys {
		if m := v.Get(key); m.Exists() {
			return m, key
		}
	}
	return event.Value{}, keys[0]
}
