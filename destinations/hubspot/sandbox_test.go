package hubspot_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations/hubspot"
)

// ask sends a request to a sandbox with the token good, and returns the status and the body.
func ask(t *testing.T, account http.Handler, method, path, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer good")
	w := httptest.NewRecorder()
	account.ServeHTTP(w, r)
	return w.Code, strings.TrimSpace(w.Body.String())
}

const upsertPath = "/crm/v3/objects/contacts/batch/upsert"

// inputs returns a body with n contacts.
func inputs(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"id":"u%d@example.com","idProperty":"email","properties":{}}`, i)
	}
	return `{"inputs":[` + strings.Join(list, ",") + `]}`
}

func TestSandboxChecksTheToken(t *testing.T) {
	for name, c := range map[string]struct {
		tokens []string
		header string
		want   int
	}{
		"any token":         {nil, "Bearer x", 200},
		"an empty token":    {nil, "Bearer ", 401},
		"no header":         {nil, "", 401},
		"another scheme":    {nil, "Basic x", 401},
		"the right token":   {[]string{"good", "other"}, "Bearer good", 200},
		"an unknown token":  {[]string{"good"}, "Bearer bad", 401},
		"a part of a token": {[]string{"good"}, "Bearer goo", 401},
	} {
		account := hubspot.Plugin().Sandbox.New(map[string][]string{"token": c.tokens})
		r := httptest.NewRequest("GET", "/crm/v3/owners", nil)
		if c.header != "" {
			r.Header.Set("Authorization", c.header)
		}
		w := httptest.NewRecorder()
		account.ServeHTTP(w, r)
		assert.Equal(t, c.want, w.Code, name)
		assert.True(t, json.Valid(w.Body.Bytes()), "%s: one response: %s", name, w.Body)
	}
}

func TestSandboxChecksContacts(t *testing.T) {
	contact := func(id, property, properties string) string {
		return fmt.Sprintf(`{"inputs":[{"id":%q,"idProperty":%q,"properties":%s}]}`, id, property, properties)
	}
	for name, c := range map[string]struct {
		body string
		code int
		want string
	}{
		"no JSON":               {`{"inputs"`, 400, "Invalid input JSON"},
		"no contacts":           {inputs(0), 400, "from 1 to 100, but is 0"},
		"the most contacts":     {inputs(100), 200, `"status":"COMPLETE"`},
		"too many contacts":     {inputs(101), 400, "from 1 to 100, but is 101"},
		"the same id twice":     {`{"inputs":[{"id":"A@example.com","idProperty":"email"},{"id":"a@example.com","idProperty":"email"}]}`, 400, "Duplicate IDs found in batch input: [a@example.com]"},
		"another id property":   {contact("a@example.com", "phone", `{}`), 400, `non-unique property`},
		"no address":            {contact("a", "email", `{}`), 400, "INVALID_EMAIL"},
		"a name and an address": {contact("A <a@example.com>", "email", `{}`), 400, "INVALID_EMAIL"},
		"no top-level domain":   {contact("a.b@example", "email", `{}`), 400, "INVALID_EMAIL"},
		"a list":                {contact("a@example.com", "email", `{"city":["x"]}`), 400, "INVALID_VALUE"},
		"an object":             {contact("a@example.com", "email", `{"city":{}}`), 400, "INVALID_VALUE"},
		"a read-only property":  {contact("a@example.com", "email", `{"createdate":"x"}`), 400, "READ_ONLY_VALUE"},
		"an unknown property":   {contact("a@example.com", "email", `{"shoe_size":"x"}`), 400, "PROPERTY_DOESNT_EXIST"},
		"a property of its own": {contact("a@example.com", "email", `{"plan":"gold","city":null}`), 200, `"plan":"gold"`},
	} {
		account := hubspot.Plugin().Sandbox.New(map[string][]string{"property": {"plan"}})
		code, body := ask(t, account, "POST", upsertPath, c.body)
		assert.Equal(t, c.code, code, name)
		assert.Contains(t, body, c.want, name)
		require.True(t, json.Valid([]byte(body)), "%s: one response: %s", name, body)
		if c.code != 200 {
			_, state := ask(t, account, "GET", "/__sandbox/state", "")
			assert.JSONEq(t, `{"contacts":{}}`, state, name)
		}
	}
}

func TestSandboxReportsEachTracedContact(t *testing.T) {
	account := hubspot.Plugin().Sandbox.New(nil)
	code, body := ask(t, account, "POST", upsertPath, `{"inputs":[{"id":"a@example.com","idProperty":"email","objectWriteTraceId":"1","properties":{"city":"Bonn"}},
		{"id":"unknown","idProperty":"email","objectWriteTraceId":"2"},{"id":"b@example.com","idProperty":"email","objectWriteTraceId":"3"}]}`)
	assert.Equal(t, http.StatusMultiStatus, code)
	var found struct {
		Results []struct {
			ID       string
			New      bool
			Archived bool
			TraceID  string `json:"objectWriteTraceId"`
		}
		NumErrors int
		Errors    []struct{ Context map[string][]string }
	}
	require.NoError(t, json.Unmarshal([]byte(body), &found))
	require.Len(t, found.Results, 2)
	assert.Equal(t, []string{"1", "2", "1", "3"}, []string{found.Results[0].ID, found.Results[1].ID, found.Results[0].TraceID, found.Results[1].TraceID})
	assert.True(t, found.Results[0].New)
	assert.False(t, found.Results[0].Archived)
	assert.Equal(t, 1, found.NumErrors)
	require.Len(t, found.Errors, 1)
	assert.Equal(t, []string{"2"}, found.Errors[0].Context["objectWriteTraceId"])
	code, body = ask(t, account, "POST", upsertPath, `{"inputs":[{"id":"A@example.com","idProperty":"email","properties":{"zip":"1"}}]}`)
	assert.Equal(t, http.StatusOK, code)
	assert.Contains(t, body, `"new":false`)
	assert.Contains(t, body, `"properties":{"city":"Bonn","zip":"1"}`)
}

func TestSandboxListsPropertiesAndOwners(t *testing.T) {
	account := hubspot.Plugin().Sandbox.New(map[string][]string{"owner": {"a@example.com", "b@example.com", "c@example.com"}})
	for path, want := range map[string]struct {
		code int
		body string
	}{
		"/crm/v3/owners?limit=2":                   {200, `{"paging":{"next":{"after":"2"}},"results":[{"email":"a@example.com","id":"1"},{"email":"b@example.com","id":"2"}]}`},
		"/crm/v3/owners?limit=2&after=2":           {200, `{"results":[{"email":"c@example.com","id":"3"}]}`},
		"/crm/v3/owners?limit=1&after=1":           {200, `{"paging":{"next":{"after":"2"}},"results":[{"email":"b@example.com","id":"2"}]}`},
		"/crm/v3/owners?limit=500&after=3":         {200, `{"results":[]}`},
		"/crm/v3/owners?email=b@example.com":       {200, `{"results":[{"email":"b@example.com","id":"2"}]}`},
		"/crm/v3/owners?limit=0":                   {400, `{"status":"error","category":"VALIDATION_ERROR","message":"limit or after is wrong"}`},
		"/crm/v3/owners?limit=501":                 {400, `{"status":"error","category":"VALIDATION_ERROR","message":"limit or after is wrong"}`},
		"/crm/v3/owners?limit=x":                   {400, `{"status":"error","category":"VALIDATION_ERROR","message":"limit or after is wrong"}`},
		"/crm/v3/owners?after=x":                   {400, `{"status":"error","category":"VALIDATION_ERROR","message":"limit or after is wrong"}`},
		"/crm/v3/owners?after=-1":                  {400, `{"status":"error","category":"VALIDATION_ERROR","message":"limit or after is wrong"}`},
		"/crm/v3/owners?after=4":                   {400, `{"status":"error","category":"VALIDATION_ERROR","message":"limit or after is wrong"}`},
		"/crm/v3/properties/contacts/city":         {200, `{"name":"city","label":"The city","type":"string","hidden":false,"hasUniqueValue":false,"modificationMetadata":{"readOnlyValue":false}}`},
		"/crm/v3/properties/contacts/hs_object_id": {200, `{"name":"hs_object_id","label":"The hs object id","type":"string","hidden":false,"hasUniqueValue":true,"modificationMetadata":{"readOnlyValue":true}}`},
		"/crm/v3/properties/contacts/shoe_size":    {404, `{"status":"error","category":"OBJECT_NOT_FOUND","message":"Property \"shoe_size\" does not exist"}`},
	} {
		code, body := ask(t, account, "GET", path, "")
		assert.Equal(t, want.code, code, path)
		assert.JSONEq(t, want.body, body, path)
	}
}
