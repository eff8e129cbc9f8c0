package sqlsource

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
)

func TestRequestsHaveRandomIDs(t *testing.T) {
	version4 := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for range 50 {
		id := newUUID()
		assert.Regexp(t, version4, id)
		assert.False(t, seen[id])
		seen[id] = true
	}
}

// A statement has the parts of the URL that are given, and a time limit of the server in whole seconds.
func TestStatementsOfSnowflake(t *testing.T) {
	for address, want := range map[string]string{
		"snowflake://u:t@acme": `{"parameters":{"CLIENT_RESULT_CHUNK_SIZE":"48","TIMEZONE":"UTC"},"statement":"SELECT 1","timeout":2}`,
		"snowflake://u:t@acme/CRM/PUBLIC/?warehouse=W&role=R": `{"database":"CRM","parameters":{"CLIENT_RESULT_CHUNK_SIZE":"48","TIMEZONE":"UTC"},"role":"R","schema":"PUBLIC",` +
			`"statement":"SELECT 1","timeout":2,"warehouse":"W"}`,
	} {
		s, statement, err := newSnowflake(Options{URL: address, Query: "SELECT 1", Timeout: 1001 * time.Millisecond})
		require.NoError(t, err, address)
		raw, err := json.Marshal(statement)
		require.NoError(t, err)
		assert.JSONEq(t, want, string(raw))
		assert.Equal(t, "https://acme.snowflakecomputing.com", s.client.base.String())
	}
	for address, problem := range map[string]string{
		"snowflake://:t@acme":                             "the URL cannot be read",
		"snowflake://u:t@/CRM":                            "the URL cannot be read",
		"snowflake://u:t%zz@acme":                         "the URL cannot be read",
		"snowflake://u:t@acme?endpoint=http://192.0.2.1":  "the endpoint of the URL",
		"snowflake://u:t@acme?key=x":                      "no credentials, or two",
		"snowflake://u@acme?key=" + t.TempDir() + "/none": "the key of the URL cannot be read",
	} {
		_, _, err := newSnowflake(Options{URL: address, Query: "SELECT 1"})
		assert.ErrorContains(t, err, problem, address)
	}
}

// While a statement runs it is asked for, less often each time, and an answer without its name is an error.
func TestSnowflakeIsAskedUntilAStatementHasEnded(t *testing.T) {
	running, done := `202 {"statementHandle":"a/b"}`, `200 {"statementHandle":"c"}`
	synctest.Test(t, func(t *testing.T) {
		peer := &fakePeer{answer: answers(running, running, running, running, running, running, running, running, running, done)}
		s := &snowflake{client: peer.client()}
		_, err := s.run(t.Context(), map[string]any{"statement": "SELECT 1"})
		require.NoError(t, err)
		assert.Equal(t, "c", s.handle)
		require.Len(t, peer.requests, 10)
		assert.Regexp(t, `^POST https://peer/base/api/v2/statements\?requestId=[0-9a-f-]{36}&retry=true application/json {"statement":"SELECT 1"}$`, peer.requests[0])
		var waits []time.Duration
		for i := 1; i < 10; i++ {
			assert.True(t, strings.HasPrefix(peer.requests[i], "GET https://peer/base/api/v2/statements/a%2Fb"), peer.requests[i])
			waits = append(waits, peer.times[i].Sub(peer.times[i-1])/time.Millisecond)
		}
		assert.Equal(t, []time.Duration{100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000}, waits)
	})
	synctest.Test(t, func(t *testing.T) {
		peer := &fakePeer{answer: answers(`202 {}`)}
		s := &snowflake{client: peer.client()}
		_, err := s.run(t.Context(), nil)
		assert.Equal(t, io.ErrUnexpectedEOF, err)
		s.stop(t.Context())
		assert.Len(t, peer.requests, 1, "there is nothing to ask for or to stop")
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		peer := &fakePeer{answer: answers(running)}
		s := &snowflake{client: peer.client()}
		_, err := s.run(ctx, nil)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		s.stop(t.Context())
		require.Len(t, peer.requests, 2)
		assert.True(t, strings.HasPrefix(peer.requests[1], "POST https://peer/base/api/v2/statements/a%2Fb/cancel"), peer.requests[1])
	})
}

func TestHeadersOfSnowflake(t *testing.T) {
	const column = `"rowType":[{"name":"ID","type":"FIXED","scale":2}]`
	for answer, want := range map[string]string{
		`{"resultSetMetaData":{"numRows":3,` + column + `,"partitionInfo":[{"rowCount":2},{"rowCount":1}]},"data":[["a"],["b"]]}`: "",
		`{"resultSetMetaData":{"numRows":0,` + column + `}}`:                                                                      "",
		`{"resultSetMetaData":{"numRows":1,` + column + `}}`:                                                                      "unexpected EOF",
		`{"resultSetMetaData":{` + column + `,"partitionInfo":[{"rowCount":2}]}}`:                                                 "unexpected EOF",
		`{"resultSetMetaData":{"numRows":0}}`:                                                                                     "the query returns no columns",
		`{}`:                                                                                                                      "the query returns no columns",
		`{"resultSetMetaData":{"numRows":0,` + column + `},"statementHandles":["a","b"]}`:                                         "the query has several statements: it should be a single one",
	} {
		v, err := event.ParseString(answer)
		require.NoError(t, err)
		s, c := &snowflake{}, &restCursor{}
		if err := s.readHeader(c, v); want != "" {
			assert.EqualError(t, err, want, answer)
			continue
		} else if assert.NoError(t, err, answer) {
			require.Len(t, c.names, 1)
			assert.Equal(t, []string{"ID", "fixed"}, []string{c.names[0].Name, c.names[0].Type})
			assert.Contains(t, c.names[0].Unfit, "decimals")
			assert.Equal(t, v.Get("resultSetMetaData").Get("numRows").Int(), c.total)
		}
	}
}

// A partition has as many rows as were announced. The first one comes with the answer to the statement.
func TestPartitionsOfSnowflake(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		rows   int
		err    string
	}{
		"complete":        {`200 {"data":[["c"]]}`, 1, ""},
		"too few":         {`200 {"data":[]}`, 0, "unexpected EOF"},
		"too many":        {`200 {"data":[["c"],["d"]]}`, 0, "unexpected EOF"},
		"still running":   {`202 {"data":[["c"]]}`, 0, "unexpected EOF"},
		"a refusal":       {`422 {"data":[["c"]]}`, 0, "the warehouse answered with the status 422"},
		"no longer there": {`404 {}`, 0, "the warehouse answered with the status 404"},
	} {
		peer := &fakePeer{answer: answers(c.answer)}
		first, err := event.ParseString(`[["a"],["b"]]`)
		require.NoError(t, err)
		s := &snowflake{client: peer.client(), handle: "a/b", partitions: []int64{2, 1}, first: rowsOf(first)}
		rows, err := s.nextPage(t.Context())
		require.NoError(t, err)
		assert.Len(t, rows, 2)
		assert.Empty(t, peer.requests)
		rows, err = s.nextPage(t.Context())
		assert.Len(t, rows, c.rows, name)
		assert.Equal(t, []string{"GET https://peer/base/api/v2/statements/a%2Fb?partition=1  "}, peer.requests)
		if c.err != "" {
			assert.EqualError(t, err, c.err, name)
			continue
		}
		require.NoError(t, err)
		_, err = s.nextPage(t.Context())
		assert.Equal(t, io.EOF, err)
	}
	_, err := (&snowflake{partitions: []int64{2}}).nextPage(t.Context())
	assert.Equal(t, io.ErrUnexpectedEOF, err, "the first rows are missing")
}

// What Snowflake says about the text of a query is shown; what it says about data is shown without the values.
func TestMessagesOfSnowflake(t *testing.T) {
	const stopped = "Snowflake has stopped the query: its time limit is over, or an administrator has cancelled it"
	for _, c := range []struct {
		status     int
		body, want string
	}{
		{401, `{}`, "Snowflake refuses this user, its key or its token"},
		{403, `{"message":"'x'"}`, "Snowflake refuses this user, its key or its token"},
		{408, `{}`, stopped}, {422, `{"code":"000630"}`, stopped}, {422, `{"code":"000604"}`, stopped},
		{422, `{"code":"1","sqlState":"42000","message":"no column 'NME'"}`, "Snowflake reports: no column 'NME' (status 422, code 1)"},
		{422, `{"code":"2","sqlState":"02000","message":"no table 'T'"}`, "Snowflake reports: no table 'T' (status 422, code 2)"},
		{422, `{"code":"3","sqlState":"22018","message":"value 'ana'"}`, "Snowflake reports: value … (status 422, code 3)"},
		{500, `{"code":"4","message":"value 'ana'"}`, "Snowflake reports: value … (status 500, code 4)"},
	} {
		body, err := event.ParseString(c.body)
		require.NoError(t, err)
		assert.Equal(t, c.want, snowflakeReason(&warehouseError{c.status, body}), c.body)
	}
	long, err := event.ParseString(`{"message":"` + strings.Repeat("x", 5000) + `"}`)
	require.NoError(t, err)
	assert.Less(t, len(snowflakeReason(&warehouseError{http.StatusBadRequest, long})), 600)
	assert.Equal(t, "Snowflake has returned less than the whole result", snowflakeReason(io.ErrUnexpectedEOF))
}

func TestTimesOfSnowflake(t *testing.T) {
	for _, c := range []struct{ typeName, text, want string }{
		{"date", "-1", `"1969-12-31"`}, {"date", "0", `"1970-01-01"`}, {"time", "3661", `"01:01:01"`}, {"timestamp_ltz", "-0.5", `"1969-12-31T23:59:59.5Z"`},
		{"timestamp_tz", "1767323045.5 1440", `"2026-01-02T03:04:05.5Z"`}, {"timestamp_ntz", "0.000000001", `"1970-01-01T00:00:00.000000001"`},
		{"real", "1.5", `1.5`}, {"decfloat", "1e30", `1e30`}, {"real", "NaN", `"NaN"`}, {"variant", `{"a":1}`, `{"a":1}`}, {"object", `{}`, `{}`}, {"array", `[1]`, `[1]`},
		{"text", "5", `"5"`}, {"geography", "{}", `"{}"`},
	} {
		v, problem := snowflakeType{name: c.typeName}.value(c.text)
		assert.Empty(t, problem, "%s %s", c.typeName, c.text)
		assert.Equal(t, c.want, v.JSON(), "%s %s", c.typeName, c.text)
	}
	for typeName, texts := range map[string][]string{"date": {"", "x", "2147483648"}, "time": {"", "soon"}, "timestamp_ltz": {"1.x"}, "timestamp_tz": {" 1440"}} {
		for _, text := range texts {
			_, problem := snowflakeType{name: typeName}.value(text)
			assert.Equal(t, unreadable, problem, "%s %q", typeName, text)
		}
	}
}

func TestColumnsOfSnowflake(t *testing.T) {
	for typeName, want := range map[string]string{
		"text": "", "fixed": "", "real": "not exact", "binary": "bytes", "date": "a time", "time": "a time", "timestamp_ntz": "a time", "timestamp_ltz": "a time", "timestamp_tz": "a time",
		"variant": "TO_VARCHAR", "boolean": "TO_VARCHAR",
	} {
		c := snowflakeType{name: typeName}.column("N")
		assert.Equal(t, want == "", c.Unfit == "", typeName)
		assert.Contains(t, c.Unfit, want, typeName)
		assert.Equal(t, typeName == "binary", c.Bytes, typeName)
	}
}
