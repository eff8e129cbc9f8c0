package webhook_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/destinations/webhook"
)

// send sends a body to a sandbox and returns the status and the response.
func send(endpoint http.Handler, contentType, body, signature string) (int, string) {
	r := httptest.NewRequest("POST", "/hook", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	if contentType == "" {
		r.Header.Del("Content-Type")
	}
	r.Header.Set("X-Signature", signature)
	w := httptest.NewRecorder()
	endpoint.ServeHTTP(w, r)
	return w.Code, strings.TrimSpace(w.Body.String())
}

func stateOf(endpoint http.Handler) string {
	w := httptest.NewRecorder()
	endpoint.ServeHTTP(w, httptest.NewRequest("GET", "/__sandbox/state", nil))
	return w.Body.String()
}

func TestSandboxReadsBodies(t *testing.T) {
	for name, c := range map[string]struct {
		contentType, body string
		code              int
		events            string
	}{
		"one event":               {"application/json; charset=utf-8", `{"n":1}`, 200, `[{"n":1}]`},
		"a list":                  {"application/json", `[{"n":1},{"n":2}]`, 200, `[{"n":1},{"n":2}]`},
		"lines":                   {"application/x-ndjson", "{\"n\":1}\n{\"n\":2}\n", 200, `[{"n":1},{"n":2}]`},
		"a line that is a list":   {"application/x-ndjson", "[1,2]\n", 200, `[[1,2]]`},
		"a form":                  {"application/x-www-form-urlencoded", "a=1&a=2", 200, `[{"a":["1","2"]}]`},
		"nothing":                 {"", "", 200, `[]`},
		"an empty form":           {"application/x-www-form-urlencoded", "", 200, `[{}]`},
		"nothing of a type":       {"application/json", "", 200, `[]`},
		"a body without a type":   {"", `{}`, 400, ``},
		"a type that is none":     {"application/json; =", `{}`, 400, ``},
		"JSON that is cut off":    {"application/json", `{"n":`, 400, ``},
		"a form that is wrong":    {"application/x-www-form-urlencoded", "a=%zz", 400, ``},
		"a second line cut off":   {"application/x-ndjson", "{\"n\":1}\n{", 400, ``},
		"a list with a wrong end": {"application/json", `[1`, 400, ``},
	} {
		endpoint := webhook.Plugin().Sandbox.New(nil)
		code, body := send(endpoint, c.contentType, c.body, "")
		assert.Equal(t, c.code, code, name)
		if c.code != 200 {
			assert.Contains(t, body, `"message"`, name)
			assert.JSONEq(t, `{"deliveries":[]}`, stateOf(endpoint), name)
			continue
		}
		assert.Equal(t, `{}`, body, name)
		assert.Contains(t, stateOf(endpoint), `"events":`+c.events, name)
	}
}

func TestSandboxChecksSignatures(t *testing.T) {
	endpoint := webhook.Plugin().Sandbox.New(map[string][]string{"secret": {"hush"}})
	for _, header := range []string{"", "sha256=", "=", "not a signature"} {
		code, _ := send(endpoint, "application/json", `{}`, header)
		assert.Equal(t, http.StatusUnauthorized, code, header)
	}
	// The HMAC-SHA256 of {} with the key hush, as openssl dgst -sha256 -hmac hush prints it.
	const right = "505c20ac604f662945b662a1f13a9ca2f03bf0b1986f505d5aef48e10da8c918"
	for header, want := range map[string]int{right: 200, "sha256=" + right: 200, "sha256:" + right: 401, right + "0": 401} {
		code, _ := send(endpoint, "application/json", `{}`, header)
		assert.Equal(t, want, code, header)
	}
	assert.Equal(t, 2, strings.Count(stateOf(endpoint), `"path":"/hook"`), "a refused request is not recorded")
}

func TestSandboxRefusesEventsAndKeepsTheFirstRequests(t *testing.T) {
	endpoint := webhook.Plugin().Sandbox.New(map[string][]string{"refuse": {"bad"}})
	code, body := send(endpoint, "application/json", `["bad",1]`, "")
	assert.Equal(t, http.StatusMultiStatus, code)
	assert.JSONEq(t, `{"errors":[{"index":0,"status":422,"message":"the event is not wanted"}]}`, body)
	assert.Contains(t, stateOf(endpoint), `"events":[1]`)
	for range 1000 {
		send(endpoint, "application/json", `2`, "")
	}
	assert.Equal(t, 1000, strings.Count(stateOf(endpoint), `"path"`))
	endpoint.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/__sandbox/reset", nil))
	assert.JSONEq(t, `{"deliveries":[]}`, stateOf(endpoint))
}

func TestSandboxRefusesWholeLists(t *testing.T) {
	endpoint := webhook.Plugin().Sandbox.New(map[string][]string{"refuse-whole": {"bad"}})
	code, body := send(endpoint, "application/json", `[1,"bad"]`, "")
	assert.Equal(t, http.StatusUnprocessableEntity, code)
	assert.Contains(t, body, "none is taken")
	assert.JSONEq(t, `{"deliveries":[]}`, stateOf(endpoint))
	code, _ = send(endpoint, "application/json", `[1]`, "")
	assert.Equal(t, http.StatusOK, code)
}

// A request whose client goes away in the middle of its body is not accepted.
func TestSandboxIgnoresIncompleteRequests(t *testing.T) {
	endpoint := webhook.Plugin().Sandbox.New(nil)
	r := httptest.NewRequest("POST", "/hook", io.MultiReader(strings.NewReader(`{"n":1}`), iotest.ErrReader(io.ErrUnexpectedEOF)))
	r.Header.Set("Content-Type", "application/json")
	endpoint.ServeHTTP(httptest.NewRecorder(), r)
	assert.JSONEq(t, `{"deliveries":[]}`, stateOf(endpoint))
}
