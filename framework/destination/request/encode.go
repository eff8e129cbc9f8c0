package request

import (
	"bytes"
	"net/url"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// The encodings of a body.
const (
	asJSON  = "json"
	asForm  = "form"   // application/x-www-form-urlencoded
	asText  = "text"   // as JavaScript prints it
	asLines = "ndjson" // a JSON value a line
)

var encodings = []string{asJSON, asForm, asText, asLines}

var contentTypes = map[string]string{
	asJSON: "application/json", asForm: "application/x-www-form-urlencoded", asText: "text/plain; charset=utf-8", asLines: "application/x-ndjson",
}

// encodeBody makes the body and says what it is, unless a header does.
func (r *Request) encodeBody(b *Built, scope event.Value) error {
	encoding, err := resolveText(r.encoding, scope)
	if err != nil {
		return err
	}
	if !slices.Contains(encodings, encoding) {
		return fault.Invalid("the encoding should be %s, but is %q", strings.Join(encodings, ", "), encoding)
	}
	v, err := r.body.Resolve(scope)
	if err != nil || v.Kind() == event.Absent {
		return err
	}
	if b.Body, err = encodeValue(encoding, v); err != nil {
		return err
	}
	if b.Header.Get("Content-Type") == "" {
		b.Header.Set("Content-Type", contentTypes[encoding])
	}
	return nil
}

func encodeValue(encoding string, v event.Value) ([]byte, error) {
	switch encoding {
	case asText:
		return []byte(v.Text()), nil
	case asLines:
		return encodeLines(v), nil
	case asForm:
		return encodeForm(v)
	}
	return v.AppendJSON(make([]byte, 0, v.Size())), nil
}

// encodeLines are the items of a list, each on its line; what is no list is one line.
func encodeLines(v event.Value) []byte {
	var b bytes.Buffer
	if v.Kind() != event.Array {
		v = event.NewArray([]event.Value{v})
	}
	for _, item := range v.Items() {
		b.Write(item.AppendJSON(b.AvailableBuffer()))
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// encodeForm is an object as a form, in its order: lists repeat their key, objects are JSON, absent and null ones are left out. A
// list of one object counts as that object.
func encodeForm(v event.Value) ([]byte, error) {
	if v.Kind() == event.Array && v.Len() == 1 {
		v = v.Index(0)
	}
	if v.Kind() != event.Object {
		return nil, fault.Invalid("a form is made of an object, not of %s", v.Kind().WithArticle())
	}
	var b strings.Builder
	for key, m := range v.Members() {
		pairs := url.Values{}
		addValues(pairs, key, m)
		if text := pairs.Encode(); text != "" {
			if b.Len() > 0 {
				b.WriteByte('&')
			}
			b.WriteString(text)
		}
	}
	return []byte(b.String()), nil
}
