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
		`{}`:                        "there are no routes",
		`routes: [{request: POST}]`: "request should be like POST /path",
		`routes: [{request: POST /a, body: {type: 7}}]`: "route 1: body",
		`{`: "sandbox.yaml",
	} {
		_, err := sandbox.ParseDeclared("sandbox.yaml", []byte(rules), nil)
		assert.ErrorContains(t, err, want, rules)
	}
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
