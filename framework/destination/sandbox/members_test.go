package sandbox_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination/sandbox"
)

const listRules = `
routes:
  - request: POST /lists/*/people
    items: people
    partial: true
    item: {type: object, required: [email]}
    members: {do: add, list: {"@path": "$.path[0]"}, users: {"@path": $.items}, by: [email, id]}
  - request: DELETE /lists/*/people
    items: people
    members: {do: remove, list: {"@path": "$.path[0]"}, users: {"@path": $.items}, by: [email, id]}
  - request: GET /lists/*/people
    members: {do: list, list: {"@path": "$.path[0]"}, page: {"@path": $.query.after}, size: 2}
    response: {status: 200, body: {people: {"@path": $.users}, after: {"@path": $.next}}}
`

func TestMembersOfDeclaredLists(t *testing.T) {
	d, err := sandbox.ParseDeclared("sandbox.yaml", []byte(listRules), nil)
	require.NoError(t, err)
	for _, step := range []struct{ request, body, want string }{
		{"GET /lists/a/people", "", `{"people":[]}`},
		{"POST /lists/a/people", `{"people":[{"email":"1"},{"email":"2","id":"x"},{"id":"refused"},{"email":"3"}]}`, `{}`},
		{"POST /lists/a%20b/people", `{"people":[{"email":"9"}]}`, `{}`},
		{"GET /lists/a/people", "", `{"after":"2","people":[{"email":"1"},{"email":"2","id":"x"}]}`},
		{"GET /lists/a/people?after=2", "", `{"people":[{"email":"3"}]}`},
		{"GET /lists/a/people?after=7", "", `{}`},
		{"POST /lists/a/people", `{"people":[{"email":"1","id":"y"}]}`, `{}`}, // again
		{"DELETE /lists/a/people", `{"people":[{"id":"x"},{"email":"unknown"}]}`, `{}`},
		{"GET /lists/a/people", "", `{"people":[{"email":"3"},{"email":"1","id":"y"}]}`},
		{"GET /lists/a%20b/people", "", `{"people":[{"email":"9"}]}`},
	} {
		method, path, _ := strings.Cut(step.request, " ")
		w := httptest.NewRecorder()
		d.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(step.body)))
		assert.JSONEq(t, step.want, w.Body.String(), step.request)
		if strings.Contains(path, "after=7") {
			assert.Equal(t, http.StatusBadRequest, w.Code)
		}
	}
	assert.Contains(t, d.State(), "lists")
	d.Reset()
	assert.NotContains(t, d.State(), "lists")
}

func TestMistakesInMembersOfDeclaredLists(t *testing.T) {
	for change, want := range map[string]string{
		"do: add=do: put":                        `/routes/0/members/do should be add, remove or list but is "put"`,
		`, by: [email, id]=`:                     "/routes/0/members needs by, the keys that identify a user",
		`users: {"@path": $.items}, =`:           "/routes/0/members needs users",
		`list: {"@path": "$.path[0]"}, =`:        `/routes/0/members should have the key "list"`,
		`"@path": $.query.after="@pat": $.query`: "/routes/2/members/page has an invalid directive",
		`{"@path": $.users}={"@pth": $.users}`:   "/routes/2/members needs a response whose body is a mapping: ",
	} {
		before, after, _ := strings.Cut(change, "=")
		require.Contains(t, listRules, before)
		_, err := sandbox.ParseDeclared("sandbox.yaml", []byte(strings.Replace(listRules, before, after, 1)), nil)
		assert.ErrorContains(t, err, want, change)
	}
}
