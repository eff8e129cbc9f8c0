package sandbox

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
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
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
)

// Declared is an API whose rules a file declares: the paths that exist, the credentials, and JSON Schemas of the bodies and of their
// items. It takes what the rules allow and refuses the rest with the responses of the file. README.md has the keys. It is safe for
// concurrent use.
type Declared struct {
	routes      []*route
	credentials []string // the accepted ones; empty for any

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

// ParseDeclared reads the rules of an API. The API accepts only these credentials, or any if there are none.
func ParseDeclared(file string, rules []byte, credentials []string) (*Declared, error) {
	doc, err := yamldoc.Parse(file, rules)
	if err != nil {
		return nil, err
	}
	d := &Declared{credentials: credentials}
	for i, v := range doc.Value().Get("routes").Items() {
		r, err := compileRoute(doc.Value(), v)
		if err != nil {
			return nil, fmt.Errorf("%s: route %d: %w", file, i+1, err)
		}
		d.routes = append(d.routes, r)
	}
	if len(d.routes) == 0 {
		return nil, fmt.Errorf("%s: there are no routes", file)
	}
	return d, nil
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
	body, err := readBody(r.Header.Get("Content-Type"), raw)
	if !d.isAuthorized(route, r, body) {
		route.unauthorized.write(w, "the credentials are missing or wrong", nil)
		return
	}
	if err == nil {
		err = route.check(body)
	}
	if err != nil {
		route.refused.write(w, err.Error(), nil)
		return
	}
	refused := route.refusedItems(body)
	n := route.itemsOf(body).Len()
	if len(refused) > 0 && (n == len(refused) || !route.partial) {
		route.refused.write(w, refused[0].message, refused)
		return
	}
	d.record(route, n-len(refused), body)
	if route.members == nil {
		route.response.write(w, "", refused)
		return
	}
	response, err := d.useMembers(route, r, body, refused)
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

// readBody returns a body as one value: JSON, or the fields of a form, in which texts that are JSON objects or lists are decoded. A file of
// a multipart form is {filename, content}.
func readBody(contentType string, raw []byte) (event.Value, error) {
	if len(raw) == 0 {
		return event.Value{}, nil
	}
	kind, parameters, _ := mime.ParseMediaType(contentType) // a body of an unknown kind is JSON
	switch kind {
	case "application/x-www-form-urlencoded":
		values, err := url.ParseQuery(string(raw))
		return formValue(values, nil), err
	case "multipart/form-data":
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

// formValue returns the fields and files of a form as an object.
func formValue(values map[string][]string, files map[string][]*multipart.FileHeader) event.Value {
	var members []event.Member
	for key, list := range values {
		v := event.NewString(list[0])
		if decoded, err := event.ParseString(list[0]); err == nil && (decoded.Kind() == event.Object || decoded.Kind() == event.Array) {
			v = decoded
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

// declaredResponse is a response in which texts may contain {{message}} and, in the entries of items, {{index}}.
type declaredResponse struct {
	status int
	body   string // JSON; a text is sent as it is
	plain  bool
	list   string // the key of the body that gets the entries of refused items; "" for none
	entry  string // JSON of one entry
}

func responseOf(v event.Value, status int) declaredResponse {
	d := declaredResponse{status: status, body: "{}"}
	if s := v.Get("status"); s.Exists() {
		d.status = int(s.Int())
	}
	if b := v.Get("body"); b.Exists() {
		d.body, d.plain = b.JSON(), b.IsString()
		if d.plain {
			d.body = b.Str()
		}
	}
	d.list = v.Get("list").Str()
	d.entry = v.Get("entry").JSON()
	return d
}

func (d declaredResponse) write(w http.ResponseWriter, message string, refused []itemRefusal) {
	if d.plain {
		w.WriteHeader(d.status)
		fmt.Fprint(w, strings.ReplaceAll(d.body, "{{message}}", message)) // the client may be gone
		return
	}
	var body any
	_ = json.Unmarshal([]byte(fillTemplate(d.body, message, 0)), &body) // it was JSON in the file
	if object, ok := body.(map[string]any); ok && d.list != "" && len(refused) > 0 {
		entries := []any{}
		for _, item := range refused {
			var entry any
			_ = json.Unmarshal([]byte(fillTemplate(d.entry, item.message, item.index)), &entry)
			entries = append(entries, entry)
		}
		object[d.list] = entries
	}
	WriteJSON(w, d.status, body)
}

// fillTemplate replaces the placeholders in JSON.
func fillTemplate(text, message string, index int) string {
	quoted := event.NewString(message).JSON()
	text = strings.ReplaceAll(text, "{{message}}", quoted[1:len(quoted)-1])
	text = strings.ReplaceAll(text, `"{{index}}"`, fmt.Sprint(index))
	return strings.ReplaceAll(text, "{{index}}", fmt.Sprint(index))
}
