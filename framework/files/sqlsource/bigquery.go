package sqlsource

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/jwt"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/internal/pause"
)

const (
	bigqueryExample = "write bigquery://PROJECT/DATASET?key=PATH with the file of a service account's key, or bigquery://oauth:TOKEN@PROJECT/DATASET; also &location=EU"
	bigqueryScope   = "https://www.googleapis.com/auth/bigquery"
	bigqueryPage    = 50_000 // rows of a page
)

// bigquery is the result of a query of BigQuery.
type bigquery struct {
	client       *restClient
	project, job string // the job is "" until it is started
	location     string
	fields       []bigqueryField
	first        []event.Value // the rows of the first page; nil when they were read
	page         string        // the next one; "" if there is none
}

// bigqueryField is a column of a result.
type bigqueryField struct{ name, kind, mode string }

func openBigQuery(ctx context.Context, o Options) (cursor, error) {
	b, dataset, err := newBigQuery(o.URL)
	if err != nil {
		return nil, err
	}
	c := &restCursor{ctx: ctx, from: b}
	if err := b.start(ctx, o, dataset); err != nil {
		c.close()
		return nil, err
	}
	if c.total, err = b.awaitResult(ctx); err != nil {
		c.close()
		return nil, err
	}
	for _, f := range b.fields {
		c.names = append(c.names, f.column())
	}
	return c, nil
}

// newBigQuery reads a URL.
func newBigQuery(address string) (b *bigquery, dataset string, err error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, "", &OptionError{"the URL cannot be read: " + bigqueryExample}
	}
	given, err := parameters(u, bigqueryExample, "key", "location", "endpoint")
	if err != nil {
		return nil, "", err
	}
	token, hasToken := u.User.Password()
	var source oauth2.TokenSource
	switch {
	case hasToken == (given["key"] != ""):
		return nil, "", &OptionError{"the URL has no credentials, or two: " + bigqueryExample}
	case hasToken:
		source = oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token})
	default:
		if source, err = serviceAccount(given["key"]); err != nil {
			return nil, "", err
		}
	}
	endpoint := given["endpoint"]
	if endpoint == "" {
		endpoint = "https://bigquery.googleapis.com"
	}
	client, err := newRESTClient(endpoint, func(_ context.Context, r *http.Request) error {
		t, err := source.Token()
		if err != nil {
			return tokenError(err)
		}
		t.SetAuthHeader(r)
		return nil
	})
	return &bigquery{client: client, project: u.Host, location: given["location"]}, strings.Trim(u.Path, "/"), err
}

// serviceAccount returns the tokens of a service account, whose key is in a file.
func serviceAccount(path string) (oauth2.TokenSource, error) {
	text, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	var key struct {
		Email string `json:"client_email"`
		Key   string `json:"private_key"`
		ID    string `json:"private_key_id"`
		Token string `json:"token_uri"`
	}
	if json.Unmarshal(text, &key) != nil || key.Email == "" || key.Key == "" || key.Token == "" {
		return nil, &OptionError{"the file of the URL's key is not the key of a service account in JSON"}
	}
	if u, err := url.Parse(key.Token); err != nil || u.Scheme != "https" && !isLoopback(u.Hostname()) {
		return nil, &OptionError{"the token_uri in the file of the URL's key should begin with https://"}
	}
	config := jwt.Config{Email: key.Email, PrivateKey: []byte(key.Key), PrivateKeyID: key.ID, Scopes: []string{bigqueryScope}, TokenURL: key.Token}
	client := &http.Client{Transport: httpx.New(httpx.Config{}), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return config.TokenSource(context.WithValue(context.Background(), oauth2.HTTPClient, client)), nil
}

// errNoToken means that Google has given no token for a key.
var errNoToken = errors.New("no token")

// tokenError keeps errors that may pass. The text of others may have parts of the key.
func tokenError(err error) error {
	var failed *fault.Error
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &failed):
		return failed
	case errors.As(err, &refused) && fault.Retryable(refused.Response.StatusCode):
		return fault.FromStatus(refused.Response.StatusCode, "the service of tokens is not available")
	}
	return errNoToken
}

// start checks that the query only reads, and starts it. BigQuery has no transactions that can only read: it is asked what kind of statement the query is.
func (b *bigquery) start(ctx context.Context, o Options, dataset string) error {
	query := map[string]any{"query": o.Query, "useLegacySql": false}
	if dataset != "" {
		query["defaultDataset"] = map[string]string{"projectId": b.project, "datasetId": dataset}
	}
	insert := func(configuration map[string]any, id string) (event.Value, error) {
		configuration["query"], configuration["jobTimeoutMs"] = query, strconv.FormatInt(o.Timeout.Milliseconds(), 10)
		reference := map[string]string{"projectId": b.project, "jobId": id}
		if b.location != "" {
			reference["location"] = b.location
		}
		answer, _, err := b.client.send(ctx, http.MethodPost, "/bigquery/v2/projects/"+b.project+"/jobs", nil, map[string]any{"configuration": configuration, "jobReference": reference})
		if location := answer.Get("jobReference").Get("location").Text(); err == nil && location != "" {
			b.location = location
		}
		return answer, err
	}
	checked, err := insert(map[string]any{"dryRun": true}, "landfall_"+rand.Text())
	if err != nil {
		return err
	}
	if kind := checked.Get("statistics").Get("query").Get("statementType").Text(); kind != "SELECT" {
		return &OptionError{"the query is of the kind " + fault.Shorten(kind, 40) + " for BigQuery: it should be a single SELECT"}
	}
	b.job = "landfall_" + rand.Text()
	_, err = insert(map[string]any{}, b.job)
	var failed *warehouseError
	if errors.As(err, &failed) && failed.status == http.StatusConflict { // a repetition of a request whose answer was lost
		return nil
	}
	return err
}

// awaitResult waits until the query has finished, and reads the columns and the first page. It returns the number of rows.
func (b *bigquery) awaitResult(ctx context.Context) (total int64, err error) {
	for wait := firstPoll; ; wait = min(2*wait, maxPoll) {
		answer, err := b.results(ctx)
		if err != nil {
			return 0, err
		}
		if done, _ := answer.Get("jobComplete").Bool(); !done {
			if err := pause.For(ctx, wait); err != nil {
				return 0, err
			}
			continue
		}
		for _, f := range answer.Get("schema").Get("fields").Items() {
			b.fields = append(b.fields, bigqueryField{f.Get("name").Text(), strings.ToUpper(f.Get("type").Text()), strings.ToUpper(f.Get("mode").Text())})
		}
		if len(b.fields) == 0 {
			return 0, &OptionError{"the query returns no columns"}
		}
		if total, err = strconv.ParseInt(answer.Get("totalRows").Text(), 10, 64); err != nil {
			return 0, io.ErrUnexpectedEOF
		}
		b.first, b.page = rowsOf(answer.Get("rows")), answer.Get("pageToken").Text()
		return total, nil
	}
}

// results asks for the page that is next, or whether the query has finished.
func (b *bigquery) results(ctx context.Context) (event.Value, error) {
	query := url.Values{"maxResults": {strconv.Itoa(bigqueryPage)}, "timeoutMs": {"60000"}, "formatOptions.useInt64Timestamp": {"true"}}
	if b.location != "" {
		query.Set("location", b.location)
	}
	if b.page != "" {
		query.Set("pageToken", b.page)
	}
	answer, _, err := b.client.send(ctx, http.MethodGet, "/bigquery/v2/projects/"+b.project+"/queries/"+b.job, query, nil)
	return answer, err
}

func (b *bigquery) nextPage(ctx context.Context) ([]event.Value, error) {
	if page := b.first; page != nil {
		b.first = nil
		return page, nil
	}
	if b.page == "" {
		return nil, io.EOF
	}
	before := b.page
	answer, err := b.results(ctx)
	if err != nil {
		return nil, err
	}
	if b.page = answer.Get("pageToken").Text(); b.page == before {
		return nil, io.ErrUnexpectedEOF
	}
	return rowsOf(answer.Get("rows")), nil
}

func (b *bigquery) cells(row event.Value) int { return row.Get("f").Len() }

func (b *bigquery) cell(row event.Value, column int) event.Value {
	return row.Get("f").Index(column).Get("v")
}

// typed returns a value by the type of its column. Times are microseconds since 1970.
func (b *bigquery) typed(column int, text string) (event.Value, string) {
	switch b.fields[column].kind {
	case "BOOLEAN", "BOOL":
		return event.NewBool(text == "true"), ""
	case "INTEGER", "INT64", "NUMERIC", "BIGNUMERIC", "FLOAT", "FLOAT64":
		return numberValue(text)
	case "TIMESTAMP":
		micros, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return event.Value{}, "is a time that cannot be read"
		}
		return event.NewString(time.UnixMicro(micros).UTC().Format(time.RFC3339Nano)), ""
	case "JSON":
		return textValue("json", text)
	}
	return textValue("text", text)
}

func (b *bigquery) stop(ctx context.Context) {
	if b.job == "" {
		return
	}
	query := url.Values{}
	if b.location != "" {
		query.Set("location", b.location)
	}
	_, _, _, _ = b.client.sendOnce(ctx, http.MethodPost, "/bigquery/v2/projects/"+b.project+"/jobs/"+b.job+"/cancel", query, nil) // the job ends by its time limit
}

// column returns the column of a field.
func (f bigqueryField) column() audiencesync.Column {
	c := audiencesync.Column{Name: f.name, Type: strings.ToLower(f.kind)}
	switch f.kind {
	case "STRING", "INTEGER", "INT64", "NUMERIC", "BIGNUMERIC":
	case "FLOAT", "FLOAT64":
		c.Unfit = "its values are not exact; select an INT64, NUMERIC or STRING column"
	case "BYTES":
		c.Unfit, c.Bytes = "its values are bytes; select them as text, such as with TO_HEX(…)", true
	case "TIMESTAMP", "DATE", "TIME", "DATETIME":
		c.Unfit = "it is a time; CAST it to STRING if it does identify users"
	case "RECORD", "STRUCT":
		c.Unfit, c.Bytes = "select its fields", true
	default:
		c.Unfit = "CAST it to STRING, or select a part of it"
	}
	if f.mode == "REPEATED" {
		c.Type, c.Unfit, c.Bytes = c.Type+"[]", "it is an array; select its elements with UNNEST(…)", true
	}
	return c
}

// bigqueryReason says what BigQuery objects to.
func bigqueryReason(err error) string {
	var failed *warehouseError
	switch {
	case errors.Is(err, errNoToken):
		return "Google gives no token for this key: it may be deleted, or the clock of this machine may be wrong"
	case !errors.As(err, &failed):
		return restReason("BigQuery", err)
	}
	answer := failed.body.Get("error")
	reason := answer.Get("errors").Index(0).Get("reason").Text()
	switch {
	case failed.status == http.StatusUnauthorized:
		return "BigQuery refuses the credentials"
	case reason == "stopped", reason == "timeout":
		return "BigQuery has stopped the query: its time limit is over, or an administrator has cancelled it"
	}
	message := answer.Get("message").Text()
	if reason != "accessDenied" && reason != "notFound" && !strings.Contains(message, " at [") { // a place in the query: it is about its text
		message, _, _ = strings.Cut(withoutValues(message), ": ") // what follows may be a value
	}
	return fmt.Sprintf("BigQuery reports: %s (status %d%s)", fault.Shorten(message, 500), failed.status, strings.TrimSuffix(", "+reason, ", "))
}
