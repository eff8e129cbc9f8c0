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

// snowflakeServer answers as the documentation of Snowflake's SQL API says. It knows some queries, and returns two rows in a partition.
type snowflakeServer struct {
	*httptest.Server
	t      *testing.T
	key    *rsa.PrivateKey
	before func(r *http.Request, n int) (status int, body string) // answers the n-th request in place of the server; 0 for no

	mu        sync.Mutex
	requests  int
	ids       map[string]bool // of the requests that start statements
	query     string
	cancelled int
}

// snowflakeResult is a result of the server: the types of its columns, rows in JSON, and the number of rows that is announced.
type snowflakeResult struct {
	types, rows string
	announced   int
}

func snowflakeResults() map[string]snowflakeResult {
	kind := func(name string, scale int) string {
		return fmt.Sprintf(`{"name":"V","type":%q,"scale":%d}`, name, scale)
	}
	return map[string]snowflakeResult{
		"SELECT id":   {kind("text", 0), "[\"a\"]\n[null]\n[\"\"]\n[\"Zoë ☃\"]\n[\"e\"]", 5},
		"SELECT n":    {kind("FIXED", 0), "[\"99999999999999999999999999999999999999\"]\n[\"-1\"]", 2},
		"SELECT none": {kind("text", 0), "", 0},
		"SELECT few":  {kind("text", 0), "[\"a\"]\n[\"b\"]", 3},
		"SELECT wide": {kind("text", 0), "[\"a\",\"b\"]", 1},
		"SELECT d":    {kind("fixed", 2), "", 0},
		"SELECT f":    {kind("real", 0), "", 0},
		"SELECT raw":  {kind("binary", 0), "", 0},
		"SELECT at":   {kind("timestamp_ltz", 9), "", 0},
		"SELECT j":    {kind("variant", 0), "", 0},
		"SELECT several": {
			`{"name":"id","type":"text"},{"name":"n","type":"fixed","scale":2},{"name":"f","type":"real"},{"name":"yes","type":"boolean"},{"name":"ntz","type":"timestamp_ntz"},` +
				`{"name":"ltz","type":"timestamp_ltz"},{"name":"tz","type":"timestamp_tz"},{"name":"old","type":"timestamp_ntz"},{"name":"day","type":"date"},{"name":"clock","type":"time"},{"name":"j","type":"object"},{"name":"none","type":"text"},{"name":"raw","type":"binary"}`,
			`["x","12345678901234567890.12","0.1","true","1767323045.678901234","1767323045.678000000","1767323045.000000000 1560","-1.500000000","20455","11045.500000000","{\"a\":[1]}",null,"00ff"]`, 1,
		},
		"SELECT cents": {`{"name":"id","type":"text"},{"name":"n","type":"fixed","scale":2}`, `["x","1234"]`, 1},
	}
}

func newSnowflakeServer(t *testing.T) *snowflakeServer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	s := &snowflakeServer{t: t, key: key, ids: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v2/statements", s.submit)
	mux.HandleFunc("GET /api/v2/statements/handle-1", s.fetch)
	mux.HandleFunc("POST /api/v2/statements/handle-1/cancel", func(http.ResponseWriter, *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cancelled++
	})
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.authorized(r) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = fmt.Fprint(w, `{"code":"390144","message":"JWT token is invalid."}`)
			return
		}
		s.mu.Lock()
		s.requests++
		n := s.requests
		s.mu.Unlock()
		if s.before != nil {
			if status, body := s.before(r, n); status != 0 {
				w.WriteHeader(status)
				_, _ = fmt.Fprint(w, body)
				return
			}
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// address returns the URL of the server with the file of a private key.
func (s *snowflakeServer) address() string {
	raw, err := x509.MarshalPKCS8PrivateKey(s.key)
	require.NoError(s.t, err)
	path := filepath.Join(s.t.TempDir(), "key.p8")
	require.NoError(s.t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600))
	return "snowflake://reader@org-shop/CRM/PUBLIC?" + url.Values{"key": {path}, "endpoint": {s.URL}, "warehouse": {"SMALL"}}.Encode()
}

// authorized checks a token as Snowflake does: the key has signed it, and the issuer names the public key.
func (s *snowflakeServer) authorized(r *http.Request) bool {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if r.Header.Get("X-Snowflake-Authorization-Token-Type") == "PROGRAMMATIC_ACCESS_TOKEN" {
		return token == "right"
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 || r.Header.Get("X-Snowflake-Authorization-Token-Type") != "KEYPAIR_JWT" {
		return false
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	assert.NoError(s.t, err)
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	var claims struct{ Iss, Sub string }
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	assert.NoError(s.t, err)
	assert.NoError(s.t, json.Unmarshal(raw, &claims))
	public, err := x509.MarshalPKIXPublicKey(&s.key.PublicKey)
	assert.NoError(s.t, err)
	hash := sha256.Sum256(public)
	return rsa.VerifyPKCS1v15(&s.key.PublicKey, crypto.SHA256, sum[:], signature) == nil && claims.Sub == "ORG-SHOP.READER" &&
		claims.Iss == "ORG-SHOP.READER.SHA256:"+base64.StdEncoding.EncodeToString(hash[:])
}

// submit starts a statement. The answer comes too early, so that the client asks for it.
func (s *snowflakeServer) submit(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Statement, Database, Schema, Warehouse string
		Timeout                                int
		Parameters                             map[string]string
	}
	assert.NoError(s.t, json.NewDecoder(r.Body).Decode(&body))
	assert.Equal(s.t, []string{"CRM", "PUBLIC", "UTC", "48", "true"},
		[]string{body.Database, body.Schema, body.Parameters["TIMEZONE"], body.Parameters["CLIENT_RESULT_CHUNK_SIZE"], r.FormValue("retry")})
	assert.Positive(s.t, body.Timeout)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids[r.FormValue("requestId")] = true
	s.query = body.Statement
	switch {
	case strings.Contains(body.Statement, ";"):
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = fmt.Fprint(w, `{"code":"000008","sqlState":"0A000","message":"Actual statement count 2 did not match the desired statement count 1."}`)
	case strings.Contains(body.Statement, "nme"):
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = fmt.Fprint(w, `{"code":"000904","sqlState":"42000","message":"SQL compilation error: error line 1 at position 7\ninvalid identifier 'NME'"}`)
	default:
		w.WriteHeader(http.StatusAccepted)
		_, _ = fmt.Fprint(w, `{"code":"333334","statementHandle":"handle-1"}`)
	}
}

// fetch returns the result of the statement, or one of its partitions.
func (s *snowflakeServer) fetch(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := snowflakeResults()[s.query]
	if !ok {
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = fmt.Fprint(w, `{"code":"100038","sqlState":"22018","message":"Numeric value 'ann@example.com' is not recognized"}`)
		return
	}
	var rows, partitions []string
	if known.rows != "" {
		rows = strings.Split(known.rows, "\n")
	}
	for left := known.announced; left > 0; left -= 2 {
		partitions = append(partitions, fmt.Sprintf(`{"rowCount":%d}`, min(left, 2)))
	}
	n, _ := strconv.Atoi(r.FormValue("partition"))
	data := strings.Join(rows[min(2*n, len(rows)):min(2*n+2, len(rows))], ",")
	if n > 0 {
		_, _ = fmt.Fprintf(w, `{"data":[%s]}`, data)
		return
	}
	_, _ = fmt.Fprintf(w, `{"code":"090001","statementHandle":"handle-1","resultSetMetaData":{"numRows":%d,"format":"jsonv2","rowType":[%s],"partitionInfo":[%s]},"data":[%s]}`,
		known.announced, known.types, strings.Join(partitions, ","), data)
}

func TestSnowflake(t *testing.T) {
	t.Parallel()
	s := newSnowflakeServer(t)
	address := s.address()
	checkValues(t, address, []valueCase{
		{query: "SELECT id", want: "a|||Zoë ☃|e"},
		{query: "SELECT n", want: "99999999999999999999999999999999999999|-1"},
		{query: "SELECT none", want: ""},
		{query: "SELECT few", failure: "less than the whole result"},
		{query: "SELECT wide", failure: "less than the whole result"},
		{query: "SELECT d", failure: "its values have decimals"},
		{query: "SELECT f", failure: "its values are not exact"},
		{query: "SELECT raw", failure: "its values are bytes"},
		{query: "SELECT at", failure: "it is a time"},
		{query: "SELECT j", failure: "select TO_VARCHAR"},
		{query: "SELECT nme", failure: "invalid identifier 'NME' (status 422, code 000904)"},
		{query: "SELECT 1; DELETE FROM users", failure: "did not match the desired statement count 1"},
		{query: "WITH p AS PROCEDURE () RETURNS int LANGUAGE SQL AS 'DELETE FROM users' CALL p()", failure: "the query calls a procedure"},
		{query: "CALL p()", failure: "the query begins with CALL"},
		{query: "SELECT CAST('ann@example.com' AS int)", failure: "Snowflake reports: Numeric value … is not recognized (status 422, code 100038)"},
	})
	checkProperties(t, address, map[string]string{
		"SELECT several": `{"id":"x","n":12345678901234567890.12,"f":0.1,"yes":true,"ntz":"2026-01-02T03:04:05.678901234","ltz":"2026-01-02T03:04:05.678Z","tz":"2026-01-02T03:04:05Z",` +
			`"old":"1969-12-31T23:59:58.5","day":"2026-01-02","clock":"03:04:05.5","j":{"a":[1]},"none":null}`,
	})
	result, err := sqlsource.Open(t.Context(), sqlsource.Options{URL: address, Query: "SELECT cents"})
	require.NoError(t, err)
	defer result.Close()
	result.Use([]int{0})
	result.UseProperties([]int{1})
	_, err = result.Next()
	require.NoError(t, err)
	_, problem := result.Properties()
	assert.Contains(t, problem, "n cannot be read as its type", "whether 1234 is 12.34 is not known")
}

func TestSnowflakeFailures(t *testing.T) {
	t.Parallel()
	partition := func(n, status int, body string) func(*http.Request, int) (int, string) {
		return func(r *http.Request, _ int) (int, string) {
			if r.FormValue("partition") == strconv.Itoa(n) {
				return status, body
			}
			return 0, ""
		}
	}
	for name, c := range map[string]struct {
		before func(r *http.Request, n int) (int, string)
		err    string
	}{
		"failures for a while":    {func(_ *http.Request, n int) (int, string) { return map[int]int{1: 503, 3: 429, 5: 502}[n], `{}` }, ""},
		"a failure in the middle": {partition(1, 422, `{"code":"100051","sqlState":"22012","message":"Division by zero"}`), "the result is incomplete after row 2: Snowflake reports: Division by zero (status 422, code 100051)"},
		"a partition that is cut": {partition(1, 200, `{"data":[["a"`), "the result is incomplete after row 2: Snowflake has returned less than the whole result"},
		"a partition with a row":  {partition(1, 200, `{"data":[["a"]]}`), "the result is incomplete after row 2: Snowflake has returned less than the whole result"},
		"a partition without":     {partition(2, 200, `{}`), "the result is incomplete after row 4: Snowflake has returned less than the whole result"},
		"a time limit": {func(r *http.Request, _ int) (int, string) {
			return map[string]int{http.MethodGet: 422}[r.Method], `{"code":"000630","message":"Statement reached its statement or warehouse timeout"}`
		}, "its time limit is over"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSnowflakeServer(t)
			s.before = c.before
			values, err := readAll(t.Context(), sqlsource.Options{URL: s.address(), Query: "SELECT id"})
			assert.Len(t, s.ids, 1, "a repetition has the id of the request")
			if c.err == "" {
				require.NoError(t, err)
				assert.Len(t, values, 5)
				assert.Zero(t, s.cancelled)
				return
			}
			require.ErrorContains(t, err, c.err)
			assert.True(t, strings.HasPrefix(err.Error(), "snowflake://org-shop/CRM/PUBLIC: "), err)
			assert.Equal(t, 1, s.cancelled)
		})
	}
}

func TestSnowflakeCredentials(t *testing.T) {
	t.Parallel()
	s := newSnowflakeServer(t)
	endpoint := "&endpoint=" + url.QueryEscape(s.URL)
	broken := filepath.Join(t.TempDir(), "key.p8")
	require.NoError(t, os.WriteFile(broken, []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nc2VjcmV0\n-----END ENCRYPTED PRIVATE KEY-----\n"), 0o600))
	values, err := readAll(t.Context(), sqlsource.Options{URL: "snowflake://reader:right@org-shop/CRM/PUBLIC?role=R" + endpoint, Query: "SELECT n"})
	require.NoError(t, err)
	assert.Len(t, values, 2)
	for address, want := range map[string]string{
		"snowflake://reader:wrong-secret@org-shop/CRM?role=R" + endpoint: "snowflake://org-shop/CRM: Snowflake refuses this user, its key or its token",
		"snowflake://reader@org-shop/CRM?role=R" + endpoint:              "the URL has no credentials, or two",
		"snowflake://org-shop/CRM?key=x":                                 "the URL cannot be read: write snowflake://USER@ACCOUNT",
		"snowflake://reader@org-shop/CRM?key=" + broken + endpoint:       "is not an RSA private key in PEM without a passphrase",
		"snowflake://reader:a-secret@org-shop/CRM?warehose=x":            `the URL has an unknown parameter "warehose" (did you mean "warehouse"?)`,
	} {
		_, err := readAll(t.Context(), sqlsource.Options{URL: address, Query: "SELECT id", Timeout: time.Minute})
		require.ErrorContains(t, err, want, address)
		assert.NotContains(t, err.Error(), "secret", address)
	}
}
