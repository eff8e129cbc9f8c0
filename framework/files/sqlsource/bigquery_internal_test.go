package sqlsource

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
)

func TestURLsOfBigQuery(t *testing.T) {
	b, dataset, err := newBigQuery("bigquery://oauth:secret@shop/crm/?location=EU")
	require.NoError(t, err)
	assert.Equal(t, []string{"crm", "shop", "EU", "https://bigquery.googleapis.com"}, []string{dataset, b.project, b.location, b.client.base.String()})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	require.NoError(t, b.client.authorize(t.Context(), r))
	assert.Equal(t, "Bearer secret", r.Header.Get("Authorization"))
	for address, problem := range map[string]string{
		"bigquery:///crm": "the URL cannot be read", "bigquery://oauth:sec%zzret@shop": "the URL cannot be read", "bigquery://shop": "no credentials, or two",
		"bigquery://oauth:secret@shop?key=x": "no credentials, or two", "bigquery://oauth:secret@shop?endpoint=ftp://localhost": "the endpoint of the URL",
	} {
		_, _, err := newBigQuery(address)
		assert.ErrorContains(t, err, problem, address)
		assert.NotContains(t, err.Error(), "secret", address)
	}
}

// The file of a key has all its parts, and the key is shown to no host without TLS.
func TestKeysOfServiceAccounts(t *testing.T) {
	const incomplete, insecure = "is not the key of a service account in JSON", "should begin with https://"
	path := filepath.Join(t.TempDir(), "key.json")
	for text, problem := range map[string]string{
		`{"client_email":"a@b","private_key":"s3cret","token_uri":"https://example.com/token"}`: "",
		`{"client_email":"a@b","private_key":"s3cret","token_uri":"http://127.0.0.1/token"}`:    "",
		`{"client_email":"a@b","private_key":"s3cret","token_uri":"http://example.com/token"}`:  insecure,
		`{"client_email":"a@b","private_key":"s3cret","token_uri":"https://%zz"}`:               insecure,
		`{"private_key":"s3cret","token_uri":"https://example.com/token"}`:                      incomplete,
		`{"client_email":"a@b","token_uri":"https://example.com/token"}`:                        incomplete,
		`{"client_email":"a@b","private_key":"s3cret"}`:                                         incomplete,
		`"s3cret"`: incomplete,
	} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := serviceAccount(path)
		if problem == "" {
			assert.NoError(t, err, text)
		} else if assert.ErrorContains(t, err, problem, text) {
			assert.NotContains(t, err.Error(), "s3cret")
		}
	}
}

// bigqueryClient returns a query with a peer.
func bigqueryClient(list ...string) (*bigquery, *fakePeer) {
	peer := &fakePeer{answer: answers(list...)}
	return &bigquery{client: peer.client(), project: "shop"}, peer
}

// A query starts only if BigQuery says that it is a SELECT. Its job runs where the first answer says.
func TestStartsOfBigQuery(t *testing.T) {
	const checked = `200 {"jobReference":{"location":"EU"},"statistics":{"query":{"statementType":"SELECT"}}}`
	for name, c := range map[string]struct {
		list     []string
		requests int
		err      string
	}{
		"started":               {[]string{checked, `200 {"jobReference":{"location":"EU"}}`}, 2, ""},
		"no location in answer": {[]string{checked, `200 {}`}, 2, ""},
		"started before":        {[]string{checked, `409 {"jobReference":{"location":"US"}}`}, 2, ""},
		"refused":               {[]string{checked, `400 {"jobReference":{"location":"US"}}`}, 2, "the warehouse answered with the status 400"},
		"another kind":          {[]string{strings.Replace(checked, "SELECT", "MERGE", 1)}, 1, "the query is of the kind MERGE for BigQuery: it should be a single SELECT"},
		"an unknown kind":       {[]string{`200 {}`}, 1, "the query is of the kind  for BigQuery: it should be a single SELECT"},
		"a conflict at first":   {[]string{`409 {}`}, 1, "the warehouse answered with the status 409"},
	} {
		b, peer := bigqueryClient(c.list...)
		err := b.start(t.Context(), Options{Query: "SELECT 1", Timeout: 90 * time.Second}, "crm")
		assert.Len(t, peer.requests, c.requests, name)
		if c.err != "" {
			assert.EqualError(t, err, c.err, name)
		} else {
			assert.NoError(t, err, name)
		}
		b.stop(t.Context())
		if c.requests == 1 {
			assert.Len(t, peer.requests, 1, "no job is stopped if none was started")
			continue
		}
		assert.Equal(t, "EU", b.location, name)
		assert.Equal(t, "POST https://peer/base/bigquery/v2/projects/shop/jobs/"+b.job+"/cancel?location=EU  ", peer.requests[2], name)
		for i, want := range []string{
			`{"configuration":{"dryRun":true,"jobTimeoutMs":"90000","query":%s},"jobReference":{"jobId":"ID","projectId":"shop"}}`,
			`{"configuration":{"jobTimeoutMs":"90000","query":%s},"jobReference":{"jobId":"ID","projectId":"shop","location":"EU"}}`,
		} {
			method, body, _ := strings.Cut(peer.requests[i], " application/json ")
			assert.Equal(t, "POST https://peer/base/bigquery/v2/projects/shop/jobs", method)
			var sent struct{ JobReference struct{ JobID string } }
			require.NoError(t, json.Unmarshal([]byte(body), &sent))
			assert.NotEmpty(t, sent.JobReference.JobID)
			want = fmt.Sprintf(want, `{"defaultDataset":{"datasetId":"crm","projectId":"shop"},"query":"SELECT 1","useLegacySql":false}`)
			assert.JSONEq(t, want, strings.Replace(body, sent.JobReference.JobID, "ID", 1))
		}
	}
	b, peer := bigqueryClient(checked, `200 {}`)
	require.NoError(t, b.start(t.Context(), Options{Query: "SELECT 1"}, ""))
	assert.NotContains(t, peer.requests[0], "defaultDataset")
	b.location = ""
	b.stop(t.Context())
	assert.True(t, strings.HasSuffix(peer.requests[2], "/cancel  "), peer.requests[2])
}

func TestResultsOfBigQuery(t *testing.T) {
	const fields = `"schema":{"fields":[{"name":"id","type":"string","mode":"nullable"}]}`
	for answer, want := range map[string]string{
		`200 {"jobComplete":true,"totalRows":"3",` + fields + `,"rows":[{"f":[{"v":"a"}]}],"pageToken":"p"}`: "",
		`200 {"jobComplete":true,` + fields + `}`:                                                            "unexpected EOF",
		`200 {"jobComplete":true,"totalRows":"many",` + fields + `}`:                                         "unexpected EOF",
		`200 {"jobComplete":true,"totalRows":"0"}`:                                                           "the query returns no columns",
		`404 {}`: "the warehouse answered with the status 404",
	} {
		b, _ := bigqueryClient(answer)
		total, err := b.awaitResult(t.Context())
		if want != "" {
			assert.EqualError(t, err, want, answer)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, int64(3), total)
		assert.Equal(t, []bigqueryField{{"id", "STRING", "NULLABLE"}}, b.fields)
		assert.Equal(t, "p", b.page)
		assert.Len(t, b.first, 1)
	}
	synctest.Test(t, func(t *testing.T) {
		const running = `200 {"jobComplete":false}`
		b, peer := bigqueryClient(running, running, running, running, running, running, running, running, `200 {"jobComplete":true,"totalRows":"0",`+fields+`}`)
		_, err := b.awaitResult(t.Context())
		require.NoError(t, err)
		var waits []time.Duration
		for i := 1; i < len(peer.times); i++ {
			waits = append(waits, peer.times[i].Sub(peer.times[i-1])/time.Millisecond)
		}
		assert.Equal(t, []time.Duration{100, 200, 400, 800, 1600, 3200, 5000, 5000}, waits)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		b, peer = bigqueryClient(running)
		_, err = b.awaitResult(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Len(t, peer.requests, 1)
	})
}

// The pages of a result follow each other until there is no next one. A page that names itself would never end.
func TestPagesOfBigQuery(t *testing.T) {
	b, peer := bigqueryClient(`200 {"rows":[{"f":[{"v":"b"}]}],"pageToken":"second"}`, `200 {"rows":[]}`)
	b.job, b.location, b.page, b.first = "j", "EU", "first", rowsOf(event.Value{})
	for want := range 3 {
		rows, err := b.nextPage(t.Context())
		require.NoError(t, err)
		assert.Len(t, rows, want%2)
		assert.Len(t, peer.requests, want)
	}
	_, err := b.nextPage(t.Context())
	assert.Equal(t, io.EOF, err)
	assert.Len(t, peer.requests, 2)
	for i, page := range []string{"first", "second"} {
		assert.Contains(t, peer.requests[i], "GET https://peer/base/bigquery/v2/projects/shop/queries/j?")
		for _, part := range []string{"pageToken=" + page, "location=EU", "maxResults=50000", "formatOptions.useInt64Timestamp=true"} {
			assert.Contains(t, peer.requests[i], part)
		}
	}
	for answer, want := range map[string]string{`200 {"rows":[],"pageToken":"first"}`: "unexpected EOF", `404 {"pageToken":"second"}`: "the warehouse answered with the status 404"} {
		b, _ := bigqueryClient(answer)
		b.page = "first"
		rows, err := b.nextPage(t.Context())
		assert.EqualError(t, err, want)
		assert.Empty(t, rows)
	}
	b, peer = bigqueryClient(`200 {}`)
	_, err = b.results(t.Context())
	require.NoError(t, err)
	assert.NotContains(t, peer.requests[0], "location")
	assert.NotContains(t, peer.requests[0], "pageToken")
}

func TestValuesOfBigQuery(t *testing.T) {
	for _, c := range []struct{ kind, text, want string }{
		{"BOOL", "true", `true`}, {"BOOLEAN", "false", `false`}, {"INT64", "9223372036854775807", `9223372036854775807`}, {"INTEGER", "-1", `-1`}, {"NUMERIC", "1.50", `1.50`},
		{"BIGNUMERIC", "0.1", `0.1`}, {"FLOAT", "NaN", `"NaN"`}, {"FLOAT64", "1.5", `1.5`}, {"TIMESTAMP", "-1", `"1969-12-31T23:59:59.999999Z"`}, {"JSON", `{"a":1}`, `{"a":1}`},
		{"STRING", "5", `"5"`}, {"DATE", "2026-01-02", `"2026-01-02"`},
	} {
		v, problem := (&bigquery{fields: []bigqueryField{{"c", c.kind, ""}}}).typed(0, c.text)
		assert.Empty(t, problem, c.kind)
		assert.Equal(t, c.want, v.JSON(), c.kind)
	}
	_, problem := (&bigquery{fields: []bigqueryField{{"c", "TIMESTAMP", ""}}}).typed(0, "1.7e9")
	assert.Equal(t, "is a time that cannot be read", problem)
}

func TestColumnsOfBigQuery(t *testing.T) {
	for kind, want := range map[string]string{
		"STRING": "", "INTEGER": "", "INT64": "", "NUMERIC": "", "BIGNUMERIC": "", "FLOAT": "not exact", "FLOAT64": "not exact", "BYTES": "bytes", "TIMESTAMP": "a time", "DATE": "a time",
		"TIME": "a time", "DATETIME": "a time", "RECORD": "select its fields", "STRUCT": "select its fields", "JSON": "CAST it to STRING", "GEOGRAPHY": "CAST it to STRING",
	} {
		c := bigqueryField{"c", kind, "NULLABLE"}.column()
		assert.Equal(t, want == "", c.Unfit == "", kind)
		assert.Contains(t, c.Unfit, want, kind)
		assert.Equal(t, kind == "BYTES" || kind == "RECORD" || kind == "STRUCT", c.Bytes, kind)
		c = bigqueryField{"c", kind, "REPEATED"}.column()
		assert.Contains(t, c.Unfit, "it is an array", kind)
		assert.True(t, c.Bytes, kind)
		assert.Equal(t, strings.ToLower(kind)+"[]", c.Type)
	}
}

// What BigQuery says about the text of a query or its tables is shown; what it says about data is shown without the values.
func TestMessagesOfBigQuery(t *testing.T) {
	const stopped = "BigQuery has stopped the query: its time limit is over, or an administrator has cancelled it"
	for _, c := range []struct {
		status                int
		reason, message, want string
	}{
		{401, "authError", "x", "BigQuery refuses the credentials"}, {400, "stopped", "x", stopped}, {400, "timeout", "x", stopped},
		{403, "accessDenied", "Table 't': no", "BigQuery reports: Table 't': no (status 403, accessDenied)"},
		{404, "notFound", "Table 't': no", "BigQuery reports: Table 't': no (status 404, notFound)"},
		{400, "invalidQuery", "No column 'nme': look at [1:8]", "BigQuery reports: No column 'nme': look at [1:8] (status 400, invalidQuery)"},
		{400, "invalidQuery", "Bad value 'x': ana@example.com", "BigQuery reports: Bad value … (status 400, invalidQuery)"},
		{500, "", "down", "BigQuery reports: down (status 500)"},
	} {
		raw, err := json.Marshal(map[string]any{"error": map[string]any{"message": c.message, "errors": []any{map[string]string{"reason": c.reason}}}})
		require.NoError(t, err)
		body, err := event.ParseValue(raw)
		require.NoError(t, err)
		assert.Equal(t, c.want, bigqueryReason(&warehouseError{c.status, body}))
	}
	assert.Equal(t, "Google gives no token for this key: it may be deleted, or the clock of this machine may be wrong", bigqueryReason(fmt.Errorf("x: %w", errNoToken)))
	assert.Equal(t, "BigQuery has returned less than the whole result", bigqueryReason(io.ErrUnexpectedEOF))
	assert.Empty(t, bigqueryReason(context.Canceled))
}
