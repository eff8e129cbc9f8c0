package request

import (
	"bytes"
	"compress/gzip"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// The encodings of a body.
const (
	asJSON  = "json"
	asForm  = "form"      // application/x-www-form-urlencoded
	asText  = "text"      // formatted as in JavaScript
	asLines = "ndjson"    // one JSON value per line
	asParts = "multipart" // multipart/form-data
)

var encodings = []string{asJSON, asForm, asText, asLines, asParts}

// The compressions of a body.
const (
	uncompressed = "none"
	gzipped      = "gzip"
)

var compressions = []string{uncompressed, gzipped}

var contentTypes = map[string]string{
	asJSON: "application/json", asForm: "application/x-www-form-urlencoded", asText: "text/plain; charset=utf-8", asLines: "application/x-ndjson",
}

// encodeBody encodes the body and compresses it. It sets Content-Type unless a header sets it.
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
	contentType := contentTypes[encoding]
	if encoding == asParts {
		b.Body, contentType, err = encodeParts(v)
		b.Header.Del("Content-Type") // only the generated one names the boundary
	} else {
		b.Body, err = encodeValue(encoding, v)
	}
	if err != nil {
		return err
	}
	if b.Header.Get("Content-Type") == "" {
		b.Header.Set("Content-Type", contentType)
	}
	b.Size = len(b.Body)
	return r.compressBody(b, scope)
}

// compressBody compresses the body if the request says so.
func (r *Request) compressBody(b *Built, scope event.Value) error {
	compression, err := resolveText(r.compress, scope)
	if err != nil {
		return err
	}
	switch compression {
	case uncompressed, "":
	case gzipped:
		b.Body = compressGzip(b.Body)
		b.Header.Set("Content-Encoding", gzipped)
	default:
		return fault.Invalid("the compression should be %s, but is %q", strings.Join(compressions, " or "), compression)
	}
	return nil
}

var gzipWriters = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

func compressGzip(raw []byte) []byte {
	var b bytes.Buffer
	w := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(w)
	w.Reset(&b)
	_, _ = w.Write(raw) // writing to memory does not fail
	_ = w.Close()
	return b.Bytes()
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

// encodeLines encodes each item of a list on a line; any other value is one line.
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

// encodeForm encodes an object as a form in its order: a list repeats its key, objects are JSON, absent and null members are
// dropped. A list of one object counts as that object.
func encodeForm(v event.Value) ([]byte, error) {
	if v.Kind() == event.Array && v.Len() == 1 {
		v = v.Index(0)
	}
	if v.Kind() != event.Object {
		return nil, fault.Invalid("a form needs an object, not %s", v.Kind().WithArticle())
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
