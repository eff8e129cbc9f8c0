package brazesandbox_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/landfall-dev/landfall/destinations/internal/brazesandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// braze is a sandbox behind a real HTTP server.
type braze struct {
	*testing.T
	url    string
	client *http.Client
}

func start(t *testing.T, c brazesandbox.Config) braze {
	server := httptest.NewServer(brazesandbox.New(c))
	t.Cleanup(server.Close)
	return braze{t, server.URL, server.Client()}
}

func (b braze) call(method, path, body string) (int, string) {
	b.Helper()
	r, err := http.NewRequest(method, b.url+path, strings.NewReader(body))
	require.NoError(b, err)
	answer, err := b.client.Do(r)
	require.NoError(b, err)
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	require.NoError(b, err)
	return answer.StatusCode, strings.TrimSpace(string(raw))
}

const (
	cohorts = "/partners/segment/cohorts"
	users   = cohorts + "/users"
	keys    = `"partner_api_key":"p","client_secret":"s3cret"`
)

func TestDocumentedErrors(t *testing.T) {
	ids := strings.TrimSuffix(strings.Repeat(`"u",`, 1001), ",")
	cases := []struct {
		path, body string
		status     int
		message    string
	}{
		{cohorts, `{"client_secret":"s"}`, 401, "Invalid Partner API key"},
		{cohorts, `{"partner_api_key":"other","client_secret":"s"}`, 401, "Invalid Partner API key"},
		{cohorts, `{"partner_api_key":"p"}`, 401, "Invalid client secret"},
		{cohorts, `{"partner_api_key":"p","client_secret":"wrong"}`, 401, "Partner not enabled for client with client secret: wrong"},
		{cohorts, `{` + keys + `}`, 400, "`cohort_id` must be a valid string"},
		{cohorts, `{` + keys + `,"cohort_id":5}`, 400, "`cohort_id` must be a valid string"},
		{cohorts, `{` + keys + `,"cohort_id":"c","name":""}`, 400, "`name` must be a non-empty string"},
		{cohorts, `{` + keys + `,"cohort_id":"c","name":"n","created_at":"soon"}`, 400, "`created_at` must be a valid time in ISO 8601 format"},
		{cohorts, `{` + keys + `,"cohort_id":"c","name":"n","created_at":"2026-01-02T03:04:05Z"}`, 201, "success"},
		{users, `{` + keys + `,"cohort_id":"c"}`, 400, "`cohort_changes` must be an array of objects with `user_ids`, `device_ids` or `aliases`"},
		{users, `{` + keys + `,"cohort_id":"c","cohort_changes":{}}`, 400, "`cohort_changes` must be an array of objects with `user_ids`, `device_ids` or `aliases`"},
		{users, `{` + keys + `,"cohort_id":"c","cohort_changes":[]}`, 201, "success"},
		{users, `{` + keys + `,"cohort_id":"c","cohort_changes":[{"user_ids":[` + ids + `]}]}`, 400, "Only 1,000 `user_ids`, `device_ids`, and `aliases` are allowed per request"},
		{users, `{` + keys + `,"cohort_id":"c","cohort_changes":[{"user_ids":[` + ids[4:] + `]}]}`, 201, "success"},
		{users, `not json`, 400, "The request body must be a JSON object"},
	}
	b := start(t, brazesandbox.Config{PartnerKeys: []string{"p"}, ClientSecrets: []string{"s3cret"}})
	for _, c := range cases {
		status, body := b.call("POST", c.path, c.body)
		assert.Equal(t, c.status, status, c.message)
		var answer struct{ Message string }
		require.NoError(t, json.Unmarshal([]byte(body), &answer))
		assert.Equal(t, c.message, answer.Message)
	}
	status, _ := b.call("GET", cohorts, "")
	assert.Equal(t, 405, status)
	status, _ = b.call("POST", "/users/nothing", "{}")
	assert.Equal(t, 404, status)
}

func TestMembershipIsStored(t *testing.T) {
	b := start(t, brazesandbox.Config{UnknownUsers: []string{"ghost"}, IdentifiedDevices: []string{"d9"}})
	b.call("POST", cohorts, `{`+keys+`,"cohort_id":"c","name":"VIP","created_at":"2026-01-02"}`)
	b.call("POST", users, `{`+keys+`,"cohort_id":"c","cohort_changes":[{"user_ids":["u2","u1","ghost"],"device_ids":["d1","d9"],"aliases":[{"alias_name":"a","alias_label":"email"}]}]}`)
	b.call("POST", users, `{`+keys+`,"cohort_id":"c","cohort_changes":[{"user_ids":["u2"],"should_remove":true}]}`)
	b.call("POST", users, `{`+keys+`,"cohort_id":"other","cohort_changes":[{"user_ids":["x"]},{"user_ids":["x"],"should_remove":true}]}`)
	_, state := b.call("GET", "/__sandbox/state", "")
	assert.JSONEq(t, `{"cohorts":{
		"c":{"name":"VIP","members":{"user_ids":["u1"],"device_ids":["d1"],"aliases":[{"alias_name":"a","alias_label":"email"}]},"unknown":{"user_ids":["ghost"],"device_ids":["d9"],"aliases":[]}},
		"other":{"name":"","members":{"user_ids":[],"device_ids":[],"aliases":[]}}},
		"warnings":["cohort other: user x is added and removed in one request"]}`, state)
	_, requests := b.call("GET", "/__sandbox/requests", "")
	assert.NotContains(t, requests, "s3cret")
	assert.Contains(t, requests, `"client_secret":"[hidden]"`)
	b.call("POST", "/__sandbox/reset", "")
	_, state = b.call("GET", "/__sandbox/state", "")
	assert.JSONEq(t, `{"cohorts":{},"warnings":[]}`, state)
}

func TestConcurrentRequests(t *testing.T) {
	b := start(t, brazesandbox.Config{})
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			body := fmt.Sprintf(`{%s,"cohort_id":"c","cohort_changes":[{"user_ids":["u%d"]}]}`, keys, i)
			answer, err := b.client.Post(b.url+users, "application/json", bytes.NewReader([]byte(body)))
			if err == nil {
				answer.Body.Close()
			}
		})
	}
	group.Wait()
	_, state := b.call("GET", "/__sandbox/state", "")
	assert.Equal(t, 20, strings.Count(state, `"u`)-1)
}
