package sandbox

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/landfall-dev/landfall/framework/event"
)

// Declared is an API whose rules a file declares: the paths that exist, the credentials, and JSON Schemas of the bodies and of their
// items. It takes what the rules allow and refuses the rest with the responses of the file. README.md has the keys. It is safe for
// concurrent use.
type Declared struct {
	routes      []*route
	credentials []string // the accepted ones; empty for any

	refusedIndexes []int // the items that are refused in each request

	mu    sync.Mutex
	taken []takenRequest
	lists map[string][]event.Value // the members of lists, by id
}

// maxTaken is the maximum number of requests in the state.
const maxTaken = 1000

type takenRequest struct {
	Request string `json:"request"`
	Items   int    `json:"items"`
	Body    any    `json:"body,omitempty"`
}

// RefuseItem makes the API refuse the item with this index in each request whose route reports refused items, whatever the rules say.
func (d *Declared) RefuseItem(index int) {
	d.refusedIndexes = append(d.refusedIndexes, index)
}

func (d *Declared) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route := d.routeFor(r)
	if route == nil {
		WriteJSON(w, http.StatusNotFound, map[string]string{"message": "there is no " + r.Method + " " + r.URL.Path})
		return
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	contentType := r.Header.Get("Content-Type")
	body, err := readBody(contentType, raw)
	if !d.isAuthorized(route, r, body) {
		route.unauthorized.write(w, "the credentials are missing or wrong", nil)
		return
	}
	var items []event.Value
	if err == nil {
		items, err = route.check(body, isForm(contentType))
	}
	if err != nil {
		route.refused.write(w, err.Error(), nil)
		return
	}
	refused := d.refusedItems(route, items)
	if len(refused) > 0 && (len(items) == len(refused) || !route.partial) {
		route.refused.write(w, refused[0].message, refused)
		return
	}
	d.record(route, len(items)-len(refused), body)
	if route.members == nil {
		route.response.write(w, "", refused)
		return
	}
	response, err := d.useMembers(route, r, body, withoutRefused(items, refused))
	if err != nil {
		route.refused.write(w, err.Error(), nil)
		return
	}
	response.write(w, "", refused)
}

func (d *Declared) routeFor(r *http.Request) *route {
	for _, route := range d.routes {
		if route.method == r.Method && route.matchesPath(r.URL.EscapedPath()) {
			return route
		}
	}
	return nil
}

// isAuthorized reports whether a request carries credentials, and one of the accepted ones if there are any.
func (d *Declared) isAuthorized(route *route, r *http.Request, body event.Value) bool {
	given := ""
	switch {
	case route.header != "":
		text, ok := strings.CutPrefix(r.Header.Get(route.header), route.scheme)
		if !ok {
			return false
		}
		given = text
		if plain, err := base64.StdEncoding.DecodeString(text); route.scheme == "Basic " && err == nil {
			given = string(plain)
		}
	case route.query != "":
		given = r.URL.Query().Get(route.query)
	case route.field != "":
		given = body.Get(route.field).Text()
	default:
		return true
	}
	return given != "" && (len(d.credentials) == 0 || slices.Contains(d.credentials, given))
}

func (d *Declared) record(route *route, items int, body event.Value) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.taken) < maxTaken {
		d.taken = append(d.taken, takenRequest{route.method + " " + route.path, items, body.Any()})
	}
}

// State returns {"requests": [{"request", "items", "body"}]} with the first requests that the API took, and {"lists"} with the members of its lists by
// id, if it has any.
func (d *Declared) State() any {
	d.mu.Lock()
	defer d.mu.Unlock()
	state := map[string]any{"requests": append([]takenRequest{}, d.taken...)}
	if len(d.lists) > 0 {
		lists := map[string]any{}
		for id, users := range d.lists {
			lists[id] = event.NewArray(users).Any()
		}
		state["lists"] = lists
	}
	return state
}

// Reset deletes the requests and the members of lists.
func (d *Declared) Reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.taken, d.lists = nil, nil
}

const (
	formType      = "application/x-www-form-urlencoded"
	multipartType = "multipart/form-data"
)

// isForm reports whether a content type is one of the two of forms.
func isForm(contentType string) bool {
	kind, _, _ := mime.ParseMediaType(contentType) // "" is not a form
	return kind == formType || kind == multipartType
}

// readBody returns a body as one value: JSON, or the fields of a form, in which texts that are JSON objects or lists are decoded. A file of
// a multipart form is {filename, content}.
func readBody(contentType string, raw []byte) (event.Value, error) {
	if len(raw) == 0 {
		return event.Value{}, nil
	}
	kind, parameters, _ := mime.ParseMediaType(contentType) // a body of an unknown kind is JSON
	switch kind {
	case formType:
		values, err := url.ParseQuery(string(raw))
		return formValue(values, nil), err
	case multipartType:
		form, err := multipart.NewReader(bytes.NewReader(raw), parameters["boundary"]).ReadForm(MaxBody)
		if err != nil {
			return event.Value{}, fmt.Errorf("the body is not a multipart form: %w", err)
		}
		return formValue(form.Value, form.File), nil
	}
	body, err := event.ParseValue(bytes.TrimSpace(raw))
	if err != nil {
		return body, fmt.Errorf("the body is not JSON: %w", err)
	}
	return body, nil
}

// formValue returns the fields and files of a form as an object. A field that is repeated is a list of its texts.
func formValue(values map[string][]string, files map[string][]*multipart.FileHeader) event.Value {
	var members []event.Member
	for key, list := range values {
		v := event.NewString(list[0])
		if decoded, err := event.ParseString(list[0]); err == nil && (decoded.Kind() == event.Object || decoded.Kind() == event.Array) {
			v = decoded
		}
		if len(list) > 1 {
			v = textList(list)
		}
		members = append(members, event.Member{Key: key, Value: v})
	}
	for key, list := range files {
		members = append(members, event.Member{Key: key, Value: event.NewObject([]event.Member{
			{Key: "filename", Value: event.NewString(list[0].Filename)}, {Key: "content", Value: event.NewString(contentOf(list[0]))},
		})})
	}
	return event.NewObject(members)
}

func textList(texts []string) event.Value {
	items := make([]event.Value, len(texts))
	for i, text := range texts {
		items[i] = event.NewString(text)
	}
	return event.NewArray(items)
}

// contentOf returns the content of a file, which is in memory.
func contentOf(header *multipart.FileHeader) string {
	file, err := header.Open()
	if err != nil {
		return ""
	}
	defer file.Close()
	raw, err := io.ReadAll(file)
	if err != nil {
		return ""
	}
	return string(raw)
}
