package sandbox_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
)

// TestDeclaredRules sends requests to the API of the example in README.md.
func TestDeclaredRules(t *testing.T) {
	page, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	rules, _, _ := strings.Cut(rest, "```")
	api, err := sandbox.ParseDeclared("README.md", []byte(rules), []string{"ana:secret"})
	require.NoError(t, err)
	send := func(path, password, body string) string {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		if password != "" {
			r.SetBasicAuth("ana", password)
		}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		return http.StatusText(w.Code) + " " + strings.TrimSpace(w.Body.String())
	}
	for _, c := range []struct{ path, password, body, want string }{
		{"/lists/7/people", "secret", `{"people":[{"email":"a@example.com"}]}`, `OK {}`},
		{"/lists/7/people", "secret", `{"people":[{"email":"a@example.com"},{"email":"x"}]}`, `OK {"failed":[{"index":1,"why":"/email: 'x' is not valid 'email'"}]}`},
		{"/lists/7/people", "secret", `{"people":[{}]}`, `Bad Request {"error":"missing properties: 'email'"}`},
		{"/lists/7/people", "secret", `{"people":[` + strings.Repeat(`{},`, 100) + `{}]}`, `Bad Request {"error":"there are 101 items, but the limit is 100"}`},
		{"/lists/7/people", "secret", `{`, `Bad Request {"error":"the body is not JSON: `},
		{"/lists/7/people", "wrong", `{}`, `Unauthorized {}`},
		{"/lists/7/people", "", `{}`, `Unauthorized {}`},
		{"/lists//people", "secret", `{}`, `Not Found {"message":"there is no POST /lists//people"}`},
		{"/lists", "secret", `{}`, `Not Found {"message":"there is no POST /lists"}`},
	} {
		assert.Contains(t, send(c.path, c.password, c.body), c.want, c.body)
	}
	assert.Contains(t, toJSON(t, api.State()), `"items":1`)
	assert.Equal(t, 2, event.MustParse(toJSON(t, api.State())).Get("requests").Len(), "requests that were refused are not shown")
	api.Reset()
	assert.Equal(t, `{"requests":[]}`, toJSON(t, api.State()))
}

// TestDeclaredCredentials sends a credential in each place that rules can name.
func TestDeclaredCredentials(t *testing.T) {
	const form, object = "application/x-www-form-urlencoded", "application/json"
	for _, c := range []struct{ auth, url, header, body, want string }{
		{"query: key", "/a?key=k1", object, `{}`, "OK"},
		{"query: key", "/a?key=k2", object, `{"key":"k1"}`, "Unauthorized"},
		{"field: key", "/a", object, `{"key":"k1"}`, "OK"},
		{"field: key", "/a", object, `{"key":"k2"}`, "Unauthorized"},
		{"field: key", "/a", object, `["k1"]`, "Unauthorized"},
		{"field: key", "/a", form, `key=k1&list=%5B1%5D`, "OK"},
		{"header: X-Key", "/a", "X-Key: k1", `{}`, "OK"},
		{"header: X-Key", "/a", "X-Key: k2", `{}`, "Unauthorized"},
		{"header: X-Key", "/a", object, `{}`, "Unauthorized"},
		{"header: Authorization, scheme: Bearer", "/a", "Authorization: Bearer k1", `{}`, "OK"},
		{"header: Authorization, scheme: Bearer", "/a", "Authorization: Bearer k2", `{}`, "Unauthorized"},
		{"header: Authorization, scheme: Bearer", "/a", "Authorization: Basic k1", `{}`, "Unauthorized"},
		{"header: Authorization, scheme: Basic", "/a", "Authorization: Basic azE=", `{}`, "OK"},
		{"field: key", "/a?key=k1", form, `list=%5B1%5D`, "Unauthorized"},
	} {
		api, err := sandbox.ParseDeclared("sandbox.yaml", []byte(`{auth: {`+c.auth+`}, routes: [{request: POST /a}]}`), []string{"k1"})
		require.NoError(t, err)
		r := httptest.NewRequest(http.MethodPost, c.url, strings.NewReader(c.body))
		r.Header.Set("Content-Type", c.header)
		if name, value, ok := strings.Cut(c.header, ": "); ok {
			r.Header.Set("Content-Type", object)
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		assert.Equal(t, c.want, http.StatusText(w.Code), "%s %s %s", c.auth, c.url, c.body)
	}
}

func TestDeclaredMistakes(t *testing.T) {
	for rules, want := range map[string]string{
		`{}`:                               `sandbox.yaml:1:1: should have the key "routes"`,
		`routes: []`:                       `sandbox.yaml:1:9: /routes should not be empty`,
		`routes: [{request: POST}]`:        `1:20: /routes/0/request should be a method and a path without a query, such as POST /lists/*/people, but is "POST"`,
		`routes: [{request: POST /a?b=1}]`: `should be a method and a path without a query`,
		`routes: [{request: PSOT /a}]`:     `but is "PSOT /a"`,
		`routes: [{request: POST /a, maxItem: 3}]`:                                 `/routes/0/maxItem is not a known key (did you mean "maxItems"?)`,
		`routes: [{request: POST /a, maxItems: few}]`:                              `/routes/0/maxItems should be an integer but is a string`,
		`routes: [{request: POST /a, response: {status: 2000}}]`:                   `/routes/0/response/status should be at most 599 but is 2000`,
		`routes: [{request: POST /a, response: {lst: a}}]`:                         `/routes/0/response/lst is not a known key (did you mean "list"?)`,
		`routes: [{request: POST /a, body: {type: 7}}]`:                            `1:42: /routes/0/body/type is not valid in a JSON Schema: `,
		`routes: [{request: POST /a, item: {properties: {a: {typ: object}}}}]`:     `/routes/0/item/properties/a/typ is not a keyword of JSON Schema (did you mean "type"?)`,
		`routes: [{request: POST /a, item: {allOf: [{minimun: 1}]}}]`:              `/routes/0/item/allOf/0/minimun is not a keyword of JSON Schema (did you mean "minimum"?)`,
		`{refused: {body: {m: ["{{mesage}}"]}}, routes: [{request: POST /a}]}`:     `/refused/body/m/0 has {{mesage}}, but the names here are message (did you mean "message"?)`,
		`routes: [{request: POST /a, response: {body: {"{{index}}": 1}}}]`:         `has {{index}}, but the names here are message`,
		`routes: [{request: POST /a, response: {list: a, entry: "{{items.id}}"}}]`: `/routes/0/response/entry has {{items.id}}, but the names here are message, index, item (did you mean "item"?)`,
		`{`: "sandbox.yaml",
	} {
		_, err := sandbox.ParseDeclared("sandbox.yaml", []byte(rules), nil)
		assert.ErrorContains(t, err, want, rules)
	}
}

// TestRefusedItems checks how responses report refused items: in a list or by key, at a path, and for items that are told to be refused.
func TestRefusedItems(t *testing.T) {
	const route = "routes:\n  - {request: POST /a, items: rows, partial: true, item: {type: object, required: [mail]}, response: {body: {ok: true}, "
	for _, c := range []struct{ response, body, want string }{
		{`list: bad, entry: {at: "{{index}}", why: "no. {{index}}: {{message}}"}`, `{"rows":[{"mail":1},{"id":"u1"}]}`, `{"bad":[{"at":1,"why":"no. 1: missing properties: 'mail'"}],"ok":true}`},
		{`list: data.bad, key: "{{item.id}}", entry: {row: "{{ item }}", id: "row {{item.id}}"}`, `{"rows":[{"mail":1},{"id":7}]}`, `{"data":{"bad":{"7":{"id":"row 7","row":{"id":7}}}},"ok":true}`},
		{`list: bad, entry: "{{index}}"`, `{"rows":[{"mail":1},{"mail":2},{"mail":"refuse"}]}`, `{"ok":true}`},
	} {
		api, err := sandbox.ParseDeclared("sandbox.yaml", []byte(route+c.response+"}}"), nil)
		require.NoError(t, err)
		assert.JSONEq(t, c.want, postTo(api, "application/json", c.body))
	}
	api, err := sandbox.ParseDeclared("sandbox.yaml", []byte(route+`list: bad, entry: "{{index}}"}}`), nil)
	require.NoError(t, err)
	api.RefuseItem(1)
	assert.JSONEq(t, `{"ok":true,"bad":[1]}`, postTo(api, "application/json", `{"rows":[{"mail":1},{"mail":2},{"mail":3}]}`))
}

// TestItems checks which bodies have a list of items.
func TestItems(t *testing.T) {
	api, err := sandbox.ParseDeclared("sandbox.yaml", []byte(`{refused: {body: "{{message}}"}, routes: [{request: POST /a, items: ids, maxItems: 2, item: {type: string}, response: {body: ok}}]}`), nil)
	require.NoError(t, err)
	for _, c := range []struct{ body, form, want string }{
		{`{"ids":["1","2"]}`, "ids=1&ids=2", "ok"},
		{`{"ids":["1"]}`, "ids=1", "ok"},
		{`{"ids":["1","2","3"]}`, "ids=1&ids=2&ids=3", "there are 3 items, but the limit is 2"},
		{`{"id":["1"]}`, "id=1", `the body has no list "ids"`},
	} {
		assert.Equal(t, c.want, postTo(api, "application/json", c.body))
		assert.Equal(t, c.want, postTo(api, "application/x-www-form-urlencoded", c.form))
	}
	assert.Equal(t, `"ids" in the body should be a list but is a string`, postTo(api, "application/json", `{"ids":"1"}`))
}

// postTo posts a body to /a and returns the body of the response.
func postTo(api http.Handler, contentType, body string) string {
	r := httptest.NewRequest(http.MethodPost, "/a", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	return strings.TrimSpace(w.Body.String())
}

func toJSON(t *testing.T, v any) string {
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}

// TestDeclaredForms sends a multipart form with a file, compressed.
func TestDeclaredForms(t *testing.T) {
	api, err := sandbox.ParseDeclared("sandbox.yaml", []byte(`
routes:
  - request: POST /import
    item: {type: object, required: [list, data], properties: {data: {type: object, properties: {content: {minLength: 5}}}}}
`), nil)
	require.NoError(t, err)
	server := sandbox.New(sandbox.Config{API: api})
	send := func(content string) string {
		var body bytes.Buffer
		z := gzip.NewWriter(&body)
		form := multipart.NewWriter(z)
		require.NoError(t, form.WriteField("list", `{"id":7}`))
		file, err := form.CreateFormFile("data", "a.csv")
		require.NoError(t, err)
		_, _ = file.Write([]byte(content))
		require.NoError(t, form.Close())
		require.NoError(t, z.Close())
		r := httptest.NewRequest(http.MethodPost, "/import", &body)
		r.Header.Set("Content-Type", form.FormDataContentType())
		r.Header.Set("Content-Encoding", "gzip")
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		return http.StatusText(w.Code)
	}
	assert.Equal(t, "OK", send("id,email"))
	assert.Equal(t, "Bad Request", send("id"))
	assert.Contains(t, toJSON(t, api.State()), `"body":{"data":{"content":"id,email","filename":"a.csv"},"list":{"id":7}}`)
}

// TestDeclaredTexts checks bodies that are text, and rules without credentials.
func TestDeclaredTexts(t *testing.T) {
	api, err := sandbox.ParseDeclared("sandbox.yaml", []byte("refused: {status: 422, body: 'sorry: {{message}}'}\nroutes:\n  - {request: POST /a, body: {type: object, required: [id]}, response: {status: 202, body: accepted}}\n"), nil)
	require.NoError(t, err)
	for body, want := range map[string]string{`{"id":1}`: "202 accepted", `{}`: "422 sorry: missing properties: 'id'"} {
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/a", strings.NewReader(body)))
		assert.Equal(t, want, fmt.Sprintf("%d %s", w.Code, w.Body))
	}
}
