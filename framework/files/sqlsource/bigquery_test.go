package sqlsource_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/files/sqlsource"
)

// bigqueryServer answers as the documentation of BigQuery's REST API v2 says. It knows some queries, and returns two rows in a page.
type bigqueryServer struct {
	*httptest.Server
	t         *testing.T
	key       *rsa.PrivateKey
	before    func(r *http.Request, n int) (status int, body string) // answers the n-th request for results in place of the server; 0 for no
	mu        sync.Mutex
	lost      bool              // the answer to the first request that starts a job is lost
	queries   map[string]string // by job
	results   int               // requests for results
	cancelled []string
}

// bigqueryResult is a result of the server: the fields of the schema, and rows in JSON.
type bigqueryResult struct{ schema, rows, total string }

func bigqueryResults() map[string]bigqueryResult {
	field := func(name, kind, mode string) string {
		return fmt.Sprintf(`{"name":%q,"type":%q,"mode":%q}`, name, kind, mode)
	}
	rows := func(values ...string) string {
		var list []string
		for _, v := range values {
			list = append(list, `{"f":[{"v":`+v+`}]}`)
		}
		return strings.Join(list, "\n")
	}
	return map[string]bigqueryResult{
		"SELECT id":    {field("id", "STRING", "NULLABLE"), rows(`"a"`, `null`, `""`, `"Zoë ☃"`, `"e"`), "5"},
		"SELECT n":     {field("n", "INTEGER", "NULLABLE"), rows(`"9223372036854775807"`, `"-9223372036854775808"`), "2"},
		"SELECT big":   {field("n", "BIGNUMERIC", "NULLABLE"), rows(`"578960446186580977117854925043439539266.34992332820282019728792003956564819967"`), "1"},
		"SELECT none":  {field("id", "STRING", "NULLABLE"), "", "0"},
		"SELECT short": {field("id", "STRING", "NULLABLE"), rows(`"a"`, `"b"`, `"c"`), "4"},
		"SELECT wide":  {field("id", "STRING", "NULLABLE"), `{"f":[{"v":"a"},{"v":"b"}]}`, "1"},
		"SELECT raw":   {field("raw", "BYTES", "NULLABLE"), "", "0"},
		"SELECT at":    {field("at", "TIMESTAMP", "NULLABLE"), "", "0"},
		"SELECT list":  {field("list", "STRING", "REPEATED"), "", "0"},
		"SELECT f":     {field("f", "FLOAT", "NULLABLE"), "", "0"},
		"SELECT r":     {field("r", "RECORD", "NULLABLE"), "", "0"},
		"SELECT several": {strings.Join([]string{
			field("id", "STRING", ""), field("n", "NUMERIC", ""), field("f", "FLOAT", ""), field("yes", "BOOLEAN", ""), field("at", "TIMESTAMP", ""), field("local", "DATETIME", ""),
			field("day", "DATE", ""), field("j", "JSON", ""), field("none", "STRING", ""), field("raw", "BYTES", ""),
		}, ","), `{"f":[{"v":"x"},{"v":"12345678901234567890.123456789"},{"v":"0.1"},{"v":"true"},{"v":"1767323045678901"},{"v":"2026-01-02T03:04:05.678901"},{"v":"2026-01-02"},{"v":"{\"a\":[1]}"},{"v":null},{"v":"AA=="}]}`, "1"},
	}
}

func newBigQueryServer(t *testing.T) *bigqueryServer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	s := &bigqueryServer{t: t, key: key, queries: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", s.token)
	mux.HandleFunc("POST /bigquery/v2/projects/shop/jobs", s.insert)
	mux.HandleFunc("GET /bigquery/v2/projects/shop/queries/{job}", s.result)
	mux.HandleFunc("POST /bigquery/v2/projects/shop/jobs/{job}/cancel", func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(s.t, "EU", r.FormValue("location"), "a job of another region would not be found")
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cancelled = append(s.cancelled, s.queries[r.PathValue("job")])
		_, _ = w.Write([]byte("{}"))
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// address returns the URL of the server with the file of a service account's key.
func (s *bigqueryServer) address() string {
	raw, err := x509.MarshalPKCS8PrivateKey(s.key)
	require.NoError(s.t, err)
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "landfall@shop.iam.example.com", "private_key_id": "k1", "token_uri": s.URL + "/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})),
	})
	require.NoError(s.t, err)
	path := filepath.Join(s.t.TempDir(), "key.json")
	require.NoError(s.t, os.WriteFile(path, text, 0o600))
	return "bigquery://shop/crm?" + url.Values{"key": {path}, "endpoint": {s.URL}, "location": {"EU"}}.Encode()
}

// token gives a token for an assertion that the key has signed.
func (s *bigqueryServer) token(w http.ResponseWriter, r *http.Request) {
	assert.Equal(s.t, "urn:ietf:params:oauth:grant-type:jwt-bearer", r.FormValue("grant_type"))
	parts := strings.Split(r.FormValue("assertion"), ".")
	if !assert.Len(s.t, parts, 3) {
		return
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	assert.NoError(s.t, err)
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	assert.NoError(s.t, rsa.VerifyPKCS1v15(&s.key.PublicKey, crypto.SHA256, sum[:], signature))
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	assert.NoError(s.t, err)
	assert.Contains(s.t, string(claims), `"iss":"landfall@shop.iam.example.com"`)
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprint(w, `{"access_token":"secret-token","token_type":"Bearer","expires_in":3600}`)
}

func (s *bigqueryServer) refuse(w http.ResponseWriter, status int, reason, message string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": status, "message": message, "errors": []any{map[string]string{"reason": reason, "message": message}}}})
}

// insert starts a job, or says what kind of statement it would run.
func (s *bigqueryServer) insert(w http.ResponseWriter, r *http.Request) {
	var job struct {
		Configuration struct {
			DryRun       bool
			JobTimeoutMs string
			Query        struct {
				Query          string
				UseLegacySQL   bool
				DefaultDataset struct{ DatasetID string }
			}
		}
		JobReference struct{ JobID, Location string }
	}
	assert.NoError(s.t, json.NewDecoder(r.Body).Decode(&job))
	s.mu.Lock()
	defer s.mu.Unlock()
	query := job.Configuration.Query.Query
	switch {
	case r.Header.Get("Authorization") != "Bearer secret-token":
		s.refuse(w, 401, "authError", "Invalid Credentials")
	case strings.Contains(query, "nme"):
		s.refuse(w, 400, "invalidQuery", "Unrecognized name: nme at [1:8]")
	case strings.Contains(query, ";"):
		_, _ = fmt.Fprint(w, `{"statistics":{"query":{"statementType":"SCRIPT"}}}`)
	case job.Configuration.DryRun:
		_, _ = fmt.Fprint(w, `{"jobReference":{"projectId":"shop","location":"EU"},"statistics":{"query":{"statementType":"SELECT"}}}`)
	case s.queries[job.JobReference.JobID] != "":
		s.refuse(w, 409, "duplicate", "Already Exists: Job shop:EU."+job.JobReference.JobID)
	case s.lost:
		s.lost, s.queries[job.JobReference.JobID] = false, query
		w.WriteHeader(http.StatusBadGateway)
	default:
		assert.Equal(s.t, "crm", job.Configuration.Query.DefaultDataset.DatasetID)
		assert.NotEqual(s.t, "0", job.Configuration.JobTimeoutMs)
		s.queries[job.JobReference.JobID] = query
		_, _ = fmt.Fprintf(w, `{"jobReference":{"projectId":"shop","jobId":%q,"location":%q}}`, job.JobReference.JobID, job.JobReference.Location)
	}
}

// result answers with a page of two rows. The first question comes too early.
func (s *bigqueryServer) result(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.results++
	assert.Equal(s.t, []string{"EU", "true"}, []string{r.FormValue("location"), r.FormValue("formatOptions.useInt64Timestamp")})
	if s.before != nil {
		if status, body := s.before(r, s.results); status != 0 {
			w.WriteHeader(status)
			_, _ = fmt.Fprint(w, body)
			return
		}
	}
	if s.results == 1 {
		_, _ = fmt.Fprint(w, `{"jobComplete":false}`)
		return
	}
	known, ok := bigqueryResults()[s.queries[r.PathValue("job")]]
	if !ok {
		s.refuse(w, 400, "invalidQuery", "Bad int64 value: ann@example.com")
		return
	}
	var rows []string
	if known.rows != "" {
		rows = strings.Split(known.rows, "\n")
	}
	start, _ := strconv.Atoi(r.FormValue("pageToken"))
	end := min(start+2, len(rows))
	next := ""
	if end < len(rows) {
		next = fmt.Sprintf(`,"pageToken":"%d"`, end)
	}
	_, _ = fmt.Fprintf(w, `{"jobComplete":true,"totalRows":%q,"schema":{"fields":[%s]},"rows":[%s]%s}`, known.total, known.schema, strings.Join(rows[start:end], ","), next)
}

func TestBigQuery(t *testing.T) {
	t.Parallel()
	s := newBigQueryServer(t)
	address := s.address()
	checkValues(t, address, []valueCase{
		{query: "SELECT id", want: "a|||Zoë ☃|e"},
		{query: "SELECT n", want: "9223372036854775807|-9223372036854775808"},
		{query: "SELECT big", want: "578960446186580977117854925043439539266.34992332820282019728792003956564819967"},
		{query: "SELECT none", want: ""},
		{query: "SELECT short", failure: "less than the whole result"},
		{query: "SELECT wide", failure: "less than the whole result"},
		{query: "SELECT raw", failure: "its values are bytes"},
		{query: "SELECT at", failure: "it is a time"},
		{query: "SELECT list", failure: "string[] is unfit: it is an array"},
		{query: "SELECT f", failure: "its values are not exact"},
		{query: "SELECT r", failure: "select its fields"},
		{query: "SELECT nme", failure: "BigQuery reports: Unrecognized name: nme at [1:8] (status 400, invalidQuery)"},
		{query: "SELECT 1; DELETE FROM users WHERE true", failure: "the query is of the kind SCRIPT for BigQuery: it should be a single SELECT"},
		{query: "DELETE FROM users", failure: "the query begins with DELETE"},
		{query: "SELECT CAST('ann@example.com' AS INT64)", failure: "BigQuery reports: Bad int64 value (status 400, invalidQuery)"},
	})
	checkProperties(t, address, map[string]string{
		"SELECT several": `{"id":"x","n":12345678901234567890.123456789,"f":0.1,"yes":true,"at":"2026-01-02T03:04:05.678901Z","local":"2026-01-02T03:04:05.678901","day":"2026-01-02","j":{"a":[1]},"none":null}`,
	})
}

func TestBigQueryFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before func(r *http.Request, n int) (int, string)
		err    string
	}{
		"a limit and a failure for a while": {func(_ *http.Request, n int) (int, string) { return map[int]int{2: 429, 3: 503}[n], `{}` }, ""},
		"a failure in the middle": {func(r *http.Request, _ int) (int, string) {
			if r.FormValue("pageToken") == "4" {
				return 400, `{"error":{"message":"division by zero: 1 / 0","errors":[{"reason":"invalidQuery"}]}}`
			}
			return 0, ""
		}, "the result is incomplete after row 4: BigQuery reports: division by zero (status 400, invalidQuery)"},
		"an answer that is cut": {func(r *http.Request, _ int) (int, string) {
			if r.FormValue("pageToken") == "2" {
				return 200, `{"jobComplete":true,"rows":[{"f"`
			}
			return 0, ""
		}, "the result is incomplete after row 2: BigQuery has returned less than the whole result"},
		"an empty page": {func(r *http.Request, _ int) (int, string) {
			if r.FormValue("pageToken") == "2" {
				return 200, `{"jobComplete":true,"totalRows":"5"}`
			}
			return 0, ""
		}, "less than the whole result"},
		"a page twice": {func(r *http.Request, _ int) (int, string) {
			if r.FormValue("pageToken") == "2" {
				return 200, `{"jobComplete":true,"totalRows":"5","rows":[],"pageToken":"2"}`
			}
			return 0, ""
		}, "less than the whole result"},
		"more rows than announced, without an end": {func(r *http.Request, n int) (int, string) {
			if r.FormValue("pageToken") != "" {
				return 200, fmt.Sprintf(`{"jobComplete":true,"totalRows":"5","rows":[{"f":[{"v":"a"}]},{"f":[{"v":"b"}]}],"pageToken":"next%d"}`, n)
			}
			return 0, ""
		}, "less than the whole result"},
		"a page that is too large": {func(r *http.Request, _ int) (int, string) {
			if r.FormValue("pageToken") == "2" {
				return 200, strings.Repeat(" ", 65<<20)
			}
			return 0, ""
		}, "the result is incomplete after row 2: BigQuery cannot be asked: the answer (status 200) is larger than 67108864 bytes"},
		"no permission": {func(*http.Request, int) (int, string) {
			return 403, `{"error":{"message":"Access Denied: Table shop:crm.users: it may not exist","errors":[{"reason":"accessDenied"}]}}`
		}, "BigQuery reports: Access Denied: Table shop:crm.users: it may not exist (status 403, accessDenied)"},
		"a stopped job": {func(_ *http.Request, n int) (int, string) {
			return 400, `{"error":{"message":"Job timed out","errors":[{"reason":"stopped"}]}}`
		}, "its time limit is over"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newBigQueryServer(t)
			s.before = c.before
			values, err := readAll(t.Context(), sqlsource.Options{URL: s.address(), Query: "SELECT id"})
			if c.err == "" {
				require.NoError(t, err)
				assert.Len(t, values, 5)
				assert.Empty(t, s.cancelled)
				return
			}
			require.ErrorContains(t, err, c.err)
			assert.True(t, strings.HasPrefix(err.Error(), "bigquery://shop/crm: "), err)
			assert.NotContains(t, err.Error(), "secret")
			assert.Equal(t, []string{"SELECT id"}, s.cancelled)
		})
	}
}

// TestBigQueryFindsItsJob checks a job in a location that the URL does not say, and whose start has no answer: it is not started twice.
func TestBigQueryFindsItsJob(t *testing.T) {
	t.Parallel()
	s := newBigQueryServer(t)
	s.lost = true
	values, err := readAll(t.Context(), sqlsource.Options{URL: strings.Replace(s.address(), "location=EU", "", 1), Query: "SELECT n"})
	require.NoError(t, err)
	assert.Len(t, values, 2)
	assert.Len(t, s.queries, 1)
}

// TestBigQueryIsNotAskedAllTheTime checks a server that answers at once that the query still runs.
func TestBigQueryIsNotAskedAllTheTime(t *testing.T) {
	t.Parallel()
	s := newBigQueryServer(t)
	s.before = func(*http.Request, int) (int, string) { return 200, `{"jobComplete":false}` }
	_, err := readAll(t.Context(), sqlsource.Options{URL: s.address(), Query: "SELECT id", Timeout: 500 * time.Millisecond})
	require.ErrorContains(t, err, "longer than its time limit")
	assert.Less(t, s.results, 10)
}

func TestBigQueryCredentials(t *testing.T) {
	t.Parallel()
	s := newBigQueryServer(t)
	endpoint := "endpoint=" + url.QueryEscape(s.URL)
	broken := filepath.Join(t.TempDir(), "key.json")
	require.NoError(t, os.WriteFile(broken, []byte(`{"client_email":"a@b","private_key":"very-secret","token_uri":"`+s.URL+`/token"}`), 0o600))
	for address, want := range map[string]string{
		"bigquery://oauth:wrong-secret@shop/crm?location=EU&" + endpoint:                  "bigquery://shop/crm: BigQuery refuses the credentials",
		"bigquery://shop/crm?" + endpoint:                                                 "the URL has no credentials, or two",
		"bigquery://oauth:a-secret@shop/crm?key=x":                                        "the URL has no credentials, or two",
		"bigquery://shop/crm?key=" + url.QueryEscape(broken) + "&" + endpoint:             "Google gives no token for this key",
		"bigquery://shop/crm?key=/nowhere/key.json":                                       "the key of the URL cannot be read",
		"bigquery://shop/crm?key=" + url.QueryEscape("-----BEGIN PRIVATE KEY-----secret"): "the key of the URL should be the path of a file, not the key itself",
		"bigquery://shop/crm?key=" + strings.Repeat("secret", 200):                        "the key of the URL should be the path of a file, not the key itself",
		"bigquery://oauth:a-secret@shop/crm?endpoint=http://192.0.2.1":                    "the endpoint of the URL should be like https://HOST",
		"bigquery://oauth:a-secret@shop/crm?locaton=EU":                                   `the URL has an unknown parameter "locaton" (did you mean "location"?)`,
	} {
		_, err := readAll(t.Context(), sqlsource.Options{URL: address, Query: "SELECT id", Timeout: time.Minute})
		require.ErrorContains(t, err, want, address)
		assert.NotContains(t, err.Error(), "secret", address)
	}
}
