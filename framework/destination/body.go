package destination

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

var errBodies = errors.New("a request has one body: Body, JSON, Form or Text")

// maxReserved is the maximum memory in bytes that is allocated for a body before it is encoded. Its size is only known approximately.
const maxReserved = 1 << 20

// errNotURL returns the error of a URL that does not parse. That of net/url shows its password and its query.
func errNotURL(text string) error {
	return fmt.Errorf("building the request: %q is not a URL", fault.ShownURL(text))
}

// withEncodedBody returns the request with Query added to the URL and its body encoded as bytes.
func (r Request) withEncodedBody() (Request, error) {
	if len(r.Query) > 0 {
		if _, err := url.Parse(r.URL); err != nil {
			return r, errNotURL(r.URL)
		}
		address, fragment, _ := strings.Cut(r.URL, "#")
		separator := "?"
		if strings.Contains(address, "?") {
			separator = "&"
		}
		r.URL = address + separator + r.Query.Encode()
		if fragment != "" {
			r.URL += "#" + fragment
		}
	}
	contentType, bodies := "", 0
	if r.Body != nil {
		contentType, bodies = "application/json", 1
	}
	if r.JSON.Kind() != event.Absent {
		contentType, bodies, r.Body = "application/json", bodies+1, r.JSON.AppendJSON(make([]byte, 0, min(r.JSON.Size(), maxReserved)))
	}
	if r.Form != nil {
		contentType, bodies, r.Body = "application/x-www-form-urlencoded", bodies+1, []byte(r.Form.Encode())
	}
	if r.Text != "" {
		contentType, bodies, r.Body = "text/plain; charset=utf-8", bodies+1, []byte(r.Text)
	}
	if bodies > 1 {
		return r, errBodies
	}
	if contentType != "" && r.Header.Get("Content-Type") == "" {
		header := r.Header.Clone()
		if header == nil {
			header = http.Header{}
		}
		header.Set("Content-Type", contentType)
		r.Header = header
	}
	return r, nil
}

// Text returns the unparsed response body, of at most 4 MB.
func (r *Response) Text() string { return string(r.raw) }
