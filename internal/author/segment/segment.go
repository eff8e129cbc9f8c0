// Package segment imports JSON from Segment: the metadata of a destination, or the subscriptions of an instance. It converts them to
// Landfall's files, and reports what it cannot convert, with the place in the JSON.
//
// The result is valid: parts that Landfall would refuse are left out and reported. The package does not import the runtime. Input is
// limited to yamldoc.MaxBytes. The functions are safe for concurrent use.
package segment

import (
	"path/filepath"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
)

// Result is the result of an import.
type Result struct {
	Value event.Value    // the file's content
	Notes fault.Problems // what did not come along, or needs a look, in the order of the JSON
	Count int            // actions or subscriptions that came along
}

// YAML returns the value as YAML, with comment lines at the top.
func (r Result) YAML(comments ...string) []byte {
	var text []byte
	for _, c := range comments {
		text = append(text, "# "+c+"\n"...)
	}
	return append(text, yamldoc.Write(r.Value)...)
}

// openEnvelope parses JSON and unwraps the envelopes of the Public API: {"data": {"…": …}}.
func openEnvelope(file string, text []byte, keys ...string) (*yamldoc.Document, event.Value, string, error) {
	if err := RefuseCode(file); err != nil {
		return nil, event.Value{}, "", err
	}
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

// RefuseCode returns an error if a file is the source of a destination in TypeScript or JavaScript, by its name.
func RefuseCode(file string) error {
	switch filepath.Ext(file) {
	case ".ts", ".tsx", ".js", ".mjs", ".cjs":
		return fault.Problems{{File: file, Message: "is source code, which is not read: give what Segment's Public API returns for the destination (GET /catalog/destinations/ID) or for its instance (GET /destinations/ID/subscriptions), as JSON"}}
	}
	return nil
}

// notExported says what is wrong with a file that is not the response of the Public API at path, and what to give instead.
func notExported(whole event.Value, wrong, path string) string {
	if failure, _ := firstMember(whole, "errors", "error"); failure.Exists() {
		wrong += ", but an error of the API"
	}
	return wrong + ": give the response of GET " + path
}

// object collects the members of an object. Absent and null values and empty texts are left out.
type object []event.Member

func (o *object) add(key string, v event.Value) {
	if v.Exists() && !(v.IsString() && v.Str() == "") {
		*o = append(*o, event.Member{Key: key, Value: v})
	}
}

func (o *object) addText(key, text string) { o.add(key, event.NewString(text)) }

func (o object) value() event.Value { return event.NewObject(o) }

// firstMember returns the first of these members that exists, and its key.
func firstMember(v event.Value, keys ...string) (event.Value, string) {
	for _, key := range keys {
		if m := v.Get(key); m.Exists() {
			return m, key
		}
	}
	return event.Value{}, keys[0]
}
