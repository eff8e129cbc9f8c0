package brazesandbox_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations/internal/brazesandbox"
)

// rest sends a request with a key.
func (b braze) rest(method, path, body string) (int, string, http.Header) {
	b.Helper()
	r, err := http.NewRequest(method, b.url+path, strings.NewReader(body))
	require.NoError(b, err)
	r.Header.Set("Authorization", "Bearer k")
	return b.send(r)
}

// send sends a request and returns status, body and header of the response.
func (b braze) send(r *http.Request) (int, string, http.Header) {
	b.Helper()
	answer, err := b.client.Do(r)
	require.NoError(b, err)
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	require.NoError(b, err)
	return answer.StatusCode, strings.TrimSpace(string(raw)), answer.Header
}

// state returns a part of the sandbox's state.
func (b braze) state(key string) string {
	b.Helper()
	_, text := b.call("GET", "/__sandbox/state", "")
	var whole map[string]json.RawMessage
	require.NoError(b, json.Unmarshal([]byte(text), &whole))
	return string(whole[key])
}

func many(n int, item string) string { return strings.TrimSuffix(strings.Repeat(item+",", n), ",") }

func TestRESTErrors(t *testing.T) {
	const event = `{"external_id":"u1","name":"n","time":"2026-01-02T03:04:05Z"}`
	cases := []struct {
		method, path, body string
		status             int
		answer             string
	}{
		{"POST", "/users/track", `[]`, 400, "must be a JSON object"},
		{"POST", "/users/track", `{}`, 400, "Valid data must be provided"},
		{"POST", "/users/track", `{"events":{}}`, 400, "'events' must be an array of objects"},
		{"POST", "/users/track", `{"events":[` + many(75, event) + `]}`, 201, `"events_processed":75`},
		{"POST", "/users/track", `{"events":[` + many(40, event) + `],"attributes":[` + many(36, `{"external_id":"u1"}`) + `]}`, 400, "Max Input Length Exceeded"},
		{"POST", "/users/track", `{"events":[{"name":"n"}]}`, 400, `"input_array":"events","index":0`},
		{"POST", "/users/track", `{"events":[` + event + `,{"external_id":"blocked","name":"n","time":"2026-01-02"}]}`, 201, "Provided external_id is blacklisted and disallowed"},
		{"POST", "/users/track", `{"events":[` + event + `,{"external_id":"u1","name":"n","time":"soon"},{"external_id":"u1","time":"2026-01-02"},{"external_id":5}]}`, 201, `"index":3`},
		{"POST", "/users/track", `{"purchases":[{"external_id":"u1","product_id":"p","price":1,"currency":"EUR","time":"2026-01-02"},{"external_id":"u1","product_id":"p","price":1,"currency":"E","time":"2026-01-02"},{"external_id":"u1","time":"2026-01-02"}]}`, 201, `"purchases_processed":1`},
		{"POST", "/users/track", `{"attributes":[{"external_id":"u1","bio":"` + strings.Repeat("x", 100_000) + `"}]}`, 400, "too large"},
		{"POST", "/users/alias/new", `{}`, 400, "`user_aliases` must be an array"},
		{"POST", "/users/alias/new", `{"user_aliases":[` + many(51, `{"alias_name":"a","alias_label":"l"}`) + `]}`, 400, "max number of ids"},
		{"POST", "/users/alias/new", `{"user_aliases":[{"alias_name":"a"}]}`, 400, `"input_array":"user_aliases","index":0`},
		{"POST", "/users/identify", `{}`, 400, "must be an array"},
		{"POST", "/users/identify", `{"aliases_to_identify":[` + many(51, `{"external_id":"u","user_alias":{"alias_name":"a","alias_label":"l"}}`) + `]}`, 400, "max number of ids"},
		{"POST", "/users/identify", `{"emails_to_identify":[{"external_id":"u","email":"e"}]}`, 400, "'prioritization' is required"},
		{"POST", "/users/identify", `{"aliases_to_identify":[{"external_id":"u"}]}`, 400, "are required"},
		{"POST", "/users/identify", `{"merge_behavior":"x","aliases_to_identify":[{}]}`, 400, "`merge_behavior`"},
		{"POST", "/users/delete", `{}`, 400, "Exactly one of"},
		{"POST", "/users/delete", `{"external_ids":["a"],"braze_ids":["b"]}`, 400, "Exactly one of"},
		{"POST", "/users/delete", `{"external_ids":[` + many(51, `"a"`) + `]}`, 400, "max number of ids"},
		{"POST", "/users/merge", `{}`, 400, "'merge_updates' must be"},
		{"POST", "/users/merge", `{"merge_updates":[{"identifier_to_keep":{"external_id":"a"}}]}`, 400, "identifiers must be objects"},
		{"POST", "/users/merge", `{"merge_updates":[` + many(51, `{}`) + `]}`, 400, "more than 50"},
		{"PUT", "/catalogs/none/items", `{"items":[{"id":"a"}]}`, 404, `"id":"catalog-not-found"`},
		{"PUT", "/catalogs/lamps/items", `{}`, 400, `"id":"item-array-invalid"`},
		{"PUT", "/catalogs/lamps/items", `{"items":["a"]}`, 400, `"id":"item-array-invalid"`},
		{"PUT", "/catalogs/lamps/items", `{"items":[` + many(51, `{"id":"a"}`) + `]}`, 400, `"id":"request-includes-too-many-items"`},
		{"PUT", "/catalogs/lamps/items", `{"items":[{"id":5}]}`, 400, `"id":"ids-not-string"`},
		{"PUT", "/catalogs/lamps/items", `{"items":[{"id":"a b"}]}`, 400, `"id":"invalid-ids"`},
		{"PUT", "/catalogs/lamps/items", `{"items":[{"id":"a"},{"id":"a"}]}`, 400, `"id":"ids-not-unique"`},
		{"DELETE", "/catalogs/lamps/items", `{"items":[{"id":"a"}]}`, 404, `"id":"item-not-found"`},
		{"POST", "/catalogs", `{}`, 400, `"id":"catalog-array-invalid"`},
		{"POST", "/catalogs", `{"catalogs":[{"name":"a b"}]}`, 400, `"id":"invalid-catalog-name"`},
		{"POST", "/catalogs", `{"catalogs":[{"name":"a"}]}`, 400, `"id":"id-not-first-column"`},
		{"POST", "/catalogs", `{"catalogs":[{"name":"a","fields":[{"name":"key","type":"string"}]}]}`, 400, `"id":"id-not-first-column"`},
		{"POST", "/catalogs", `{"catalogs":[{"name":"a","fields":[{"name":"id","type":"number"}]}]}`, 400, `"id":"id-not-first-column"`},
		{"POST", "/catalogs", `{"catalogs":[{"name":"lamps","fields":[{"name":"id","type":"string"}]}]}`, 400, `"id":"catalog-name-already-exists"`},
		{"POST", "/campaigns/trigger/send", `{}`, 400, "campaign_id is required"},
		{"POST", "/canvas/trigger/send", `{"canvas_id":5}`, 400, "wrong type"},
		{"POST", "/canvas/trigger/send", `{"canvas_id":"c"}`, 400, "Either broadcast"},
		{"POST", "/canvas/trigger/send", `{"canvas_id":"c","broadcast":true,"recipients":[{}]}`, 400, "Either broadcast"},
		{"POST", "/canvas/trigger/send", `{"canvas_id":"c","recipients":[` + many(51, `{"external_user_id":"u"}`) + `]}`, 400, "max number of ids"},
		{"POST", "/campaigns/trigger/send", `{"campaign_id":"c","recipients":[{}]}`, 400, "Each recipient must have"},
		{"POST", "/campaigns/trigger/send", `{"campaign_id":"c","recipients":[{"email":"e"}]}`, 400, "prioritization is required"},
		{"POST", "/campaigns/trigger/send", `{"campaign_id":"c","recipients":[{"email":"e","prioritization":["identified"]}]}`, 201, `"message":"success"`},
		{"POST", "/campaigns/trigger/send", `{"campaign_id":"c","recipients":[{"external_user_id":"e","send_to_existing_only":false}]}`, 400, "attributes are required"},
	}
	b := start(t, brazesandbox.Config{BlockedUsers: []string{"blocked"}, Catalogs: []string{"lamps"}, APIKeys: []string{"k"}})
	for _, c := range cases {
		status, answer, _ := b.rest(c.method, c.path, c.body)
		assert.Equal(t, c.status, status, "%s %.200s", c.path, c.body)
		assert.Contains(t, answer, c.answer, "%s %.200s", c.path, c.body)
	}
	status, answer := b.call("POST", "/users/track", `{}`)
	assert.Equal(t, 401, status)
	assert.Contains(t, answer, "Invalid API key")
	status, _, _ = b.rest("GET", "/users/track", "")
	assert.Equal(t, 405, status)
}

func TestDocumentedLimitsAreEnforced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no window ends before the test waits
		sandbox := brazesandbox.New(brazesandbox.Config{})
		send := func(method, path string) (int, http.Header) {
			r := httptest.NewRequest(method, path, strings.NewReader(`{}`))
			r.Header.Set("Authorization", "Bearer k")
			w := httptest.NewRecorder()
			sandbox.ServeHTTP(w, r)
			return w.Code, w.Header()
		}
		for left := 2999; left >= 0; left-- {
			status, header := send("POST", "/users/track")
			require.NotEqual(t, 429, status)
			require.Equal(t, "3000", header.Get("X-RateLimit-Limit"))
			require.Equal(t, strconv.Itoa(left), header.Get("X-RateLimit-Remaining"))
			require.Equal(t, strconv.FormatInt(time.Now().Add(3*time.Second).Unix(), 10), header.Get("X-RateLimit-Reset"))
		}
		status, header := send("POST", "/users/track")
		assert.Equal(t, 429, status)
		assert.Equal(t, "0", header.Get("X-RateLimit-Remaining"))
		time.Sleep(3 * time.Second)
		_, header = send("POST", "/users/track")
		assert.Equal(t, "2999", header.Get("X-RateLimit-Remaining"))
		_, header = send("POST", "/users/delete")
		assert.Equal(t, "20000", header.Get("X-RateLimit-Limit"))
		_, header = send("POST", "/users/merge")
		assert.Equal(t, "19998", header.Get("X-RateLimit-Remaining"), "delete and merge share a limit")
		_, header = send("PUT", "/catalogs/c/items")
		assert.Equal(t, "250000", header.Get("X-RateLimit-Limit"))
	})
}

func TestUsersAreStored(t *testing.T) {
	b := start(t, brazesandbox.Config{})
	track := func(objects string) {
		t.Helper()
		status, answer, _ := b.rest("POST", "/users/track", objects)
		require.Less(t, status, 300, answer)
	}
	track(`{"attributes":[{"external_id":"u1","email":"a@x.org","plan":"gold","score":5},{"external_id":"u2","_update_existing_only":true},{"user_alias":{"alias_name":"n","alias_label":"l"}},{"email":"b@x.org"},{"braze_id":"nobody"}]}`)
	track(`{"attributes":[{"user_alias":{"alias_name":"n1","alias_label":"l"},"_update_existing_only":false,"seen":true},{"external_id":"u1","score":null,"phone":"1"}],
		"events":[{"external_id":"u1","name":"One","time":"2026-01-02"},{"phone":"1","name":"Two","time":"2026-01-02"},{"email":"a@x.org","name":"Three","time":"2026-01-02"}],
		"purchases":[{"braze_id":"braze-000001","product_id":"lamp","price":1,"currency":"EUR","time":"2026-01-02"}]}`)
	assert.JSONEq(t, `[
		{"external_id":"u1","braze_id":"braze-000001","email":"a@x.org","phone":"1","attributes":{"plan":"gold"},"events":["One","Two","Three"],"purchases":["lamp"]},
		{"braze_id":"braze-000002","email":"b@x.org"},
		{"braze_id":"braze-000003","user_aliases":[{"alias_name":"n1","alias_label":"l"}],"attributes":{"seen":true}}]`, b.state("users"))

	b.rest("POST", "/users/alias/new", `{"user_aliases":[{"external_id":"u1","alias_name":"n2","alias_label":"l"},{"external_id":"nobody","alias_name":"n3","alias_label":"l"},{"alias_name":"n4","alias_label":"l"}]}`)
	b.rest("POST", "/users/identify", `{"aliases_to_identify":[{"external_id":"u1","user_alias":{"alias_name":"n1","alias_label":"l"}},{"external_id":"u4","user_alias":{"alias_name":"n4","alias_label":"l"}},{"external_id":"u5","user_alias":{"alias_name":"none","alias_label":"l"}}]}`)
	b.rest("POST", "/users/merge", `{"merge_updates":[{"identifier_to_merge":{"email":"b@x.org"},"identifier_to_keep":{"external_id":"u4"}},{"identifier_to_merge":{"external_id":"none"},"identifier_to_keep":{"external_id":"u4"}},{"identifier_to_merge":{"external_id":"u4"},"identifier_to_keep":{"external_id":"u4"}}]}`)
	assert.JSONEq(t, `[
		{"external_id":"u1","braze_id":"braze-000001","email":"a@x.org","phone":"1","user_aliases":[{"alias_name":"n2","alias_label":"l"},{"alias_name":"n1","alias_label":"l"}],"attributes":{"plan":"gold","seen":true},"events":["One","Two","Three"],"purchases":["lamp"]},
		{"external_id":"u4","braze_id":"braze-000004","email":"b@x.org","user_aliases":[{"alias_name":"n4","alias_label":"l"}]}]`, b.state("users"))

	_, answer, _ := b.rest("POST", "/users/delete", `{"external_ids":["u1","none"]}`)
	assert.JSONEq(t, `{"deleted":1,"message":"success"}`, answer)
	b.rest("POST", "/users/delete", `{"user_aliases":[{"alias_name":"n4","alias_label":"l"}]}`)
	assert.Empty(t, b.state("users"))
}

func TestCohortContainsExistingUsersOnly(t *testing.T) {
	b := start(t, brazesandbox.Config{})
	change := func(changes string) {
		b.call("POST", users, `{`+keys+`,"cohort_id":"c","cohort_changes":[`+changes+`]}`)
	}
	cohort := func() string { return b.state("cohorts") }
	b.rest("POST", "/users/track", `{"attributes":[]}`) // refused: the credentials may be tested so
	change(`{"user_ids":["early"]}`)
	assert.JSONEq(t, `{"c":{"name":"","members":{"user_ids":["early"],"device_ids":[],"aliases":[]}}}`, cohort(), "until the REST API is used, every user exists")
	b.rest("POST", "/users/track", `{"attributes":[{"external_id":"u1"},{"user_alias":{"alias_name":"n","alias_label":"l"},"_update_existing_only":false}]}`)
	change(`{"user_ids":["u1","u2"],"device_ids":["d1"],"aliases":[{"alias_name":"n","alias_label":"l"},{"alias_name":"none","alias_label":"l"}]}`)
	assert.JSONEq(t, `{"c":{"name":"","members":{"user_ids":["u1"],"device_ids":["d1"],"aliases":[{"alias_name":"n","alias_label":"l"}]},
		"unknown":{"user_ids":["early","u2"],"device_ids":[],"aliases":[{"alias_name":"none","alias_label":"l"}]}}}`, cohort())
	b.rest("POST", "/users/track", `{"attributes":[{"external_id":"u2"}]}`)
	assert.Contains(t, cohort(), `"unknown":{"user_ids":["early","u2"]`, "who is made later does not enter by that")
	change(`{"user_ids":["u2"]},{"user_ids":["early"],"aliases":[{"alias_name":"none","alias_label":"l"}],"should_remove":true}`)
	b.rest("POST", "/users/delete", `{"external_ids":["u1"]}`)
	assert.JSONEq(t, `{"c":{"name":"","members":{"user_ids":["u2"],"device_ids":["d1"],"aliases":[{"alias_name":"n","alias_label":"l"}]}}}`, cohort())
}

func TestCatalogsAndMessagesAreStored(t *testing.T) {
	b := start(t, brazesandbox.Config{})
	b.rest("PUT", "/catalogs/lamps/items", `{"items":[{"id":"a","price":5},{"id":"b","price":6}]}`)
	status, _, _ := b.rest("DELETE", "/catalogs/lamps/items", `{"items":[{"id":"a"},{"id":"c"}]}`)
	assert.Equal(t, 404, status, "all or none")
	b.rest("DELETE", "/catalogs/lamps/items", `{"items":[{"id":"a"}]}`)
	assert.JSONEq(t, `{"lamps":{"b":{"id":"b","price":6}}}`, b.state("catalogs"))

	b.rest("POST", "/campaigns/trigger/send", `{"campaign_id":"c","recipients":[{"external_user_id":"u1"},{"external_user_id":"u2","send_to_existing_only":false,"attributes":{"plan":"gold"}}]}`)
	b.rest("POST", "/campaigns/trigger/send", `{"campaign_id":"c","broadcast":true}`)
	_, answer, _ := b.rest("POST", "/canvas/trigger/send", `{"canvas_id":"v","recipients":[{"external_user_id":"u2","attributes":{"plan":"blue"}}]}`)
	assert.JSONEq(t, `{"dispatch_id":"canvas-000001","message":"success"}`, answer)
	assert.JSONEq(t, `{"campaign c":{"requests":2,"recipients":1,"unknown":1,"broadcasts":1},"canvas v":{"requests":1,"recipients":1,"unknown":0,"broadcasts":0}}`, b.state("sends"))
	assert.JSONEq(t, `[{"external_id":"u2","braze_id":"braze-000001","attributes":{"plan":"blue"}}]`, b.state("users"))
	_, answer, _ = b.rest("GET", "/campaigns/list?page=0", "")
	assert.JSONEq(t, `{"campaigns":[{"id":"sandbox-campaign","name":"A campaign of the sandbox"},{"id":"c","name":"Triggered: c"}],"message":"success"}`, answer)
	b.call("POST", "/__sandbox/reset", "")
	assert.Empty(t, b.state("users"))
	assert.Empty(t, b.state("sends"))
}

// FuzzREST checks that the sandbox answers every request with JSON, and that its state remains valid JSON.
func FuzzREST(f *testing.F) {
	for _, path := range []string{"/users/track", "/users/identify", "/users/alias/new", "/users/delete", "/users/merge", "/campaigns/trigger/send", "/canvas/trigger/send"} {
		f.Add(path, `{"attributes":[{"external_id":"u1","a":1},null,5],"merge_updates":[null],"recipients":[null],"broadcast":true,"campaign_id":"c","external_ids":[""],"user_aliases":[null],"aliases_to_identify":[{"external_id":"u","user_alias":null}]}`)
	}
	f.Add("/catalogs/c/items", `{"items":[{"id":"a"},null]}`)
	f.Add(users, `{"partner_api_key":"p","client_secret":"s","cohort_id":"c","cohort_changes":[{"user_ids":["u"]},null]}`)
	f.Fuzz(func(t *testing.T, path, body string) {
		server := brazesandbox.New(brazesandbox.Config{})
		for _, method := range []string{"POST", "PUT", "DELETE"} {
			r, err := http.NewRequest(method, "http://braze"+path, strings.NewReader(body))
			if err != nil || r.URL.Host != "braze" || strings.HasPrefix(r.URL.Path, "/__sandbox/") {
				t.Skip()
			}
			r.Header.Set("Authorization", "Bearer k")
			answer := httptest.NewRecorder()
			server.ServeHTTP(answer, r)
			if answer.Code < 300 {
				require.True(t, json.Valid(answer.Body.Bytes()), "%s %s: %s", method, path, answer.Body)
			}
		}
		r, err := http.NewRequest("GET", "http://braze/__sandbox/state", strings.NewReader(""))
		require.NoError(t, err)
		state := httptest.NewRecorder()
		server.ServeHTTP(state, r)
		require.Equal(t, 200, state.Code)
		require.True(t, json.Valid(state.Body.Bytes()), state.Body.String())
		require.True(t, strings.HasPrefix(state.Body.String(), `{"cohorts":`), state.Body.String())
	})
}
