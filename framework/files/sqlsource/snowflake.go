package sqlsource

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/pause"
)

const (
	snowflakeExample = "write snowflake://USER@ACCOUNT/DATABASE/SCHEMA?warehouse=NAME&key=PATH with the file of a private key, or snowflake://USER:TOKEN@ACCOUNT/… with a programmatic access token; also &role=NAME"
	snowflakePath    = "/api/v2/statements"

	snowflakePartition = 48 // MB of a partition at most, so that its answer has no more than maxPage. The default is 160, and 48 the smallest
)

// snowflake is the result of a query of Snowflake.
type snowflake struct {
	client     *restClient
	handle     string // of the statement
	types      []snowflakeType
	partitions []int64       // the number of rows of each
	next       int           // the partition that is read next
	first      []event.Value // the rows of the first partition, which comes with the answer; nil when they were read
}

// snowflakeType is the type of a column.
type snowflakeType struct {
	name  string
	scale int64
}

func openSnowflake(ctx context.Context, o Options) (cursor, error) {
	s, statement, err := newSnowflake(o)
	if err != nil {
		return nil, err
	}
	c := &restCursor{ctx: ctx, from: s}
	answer, err := s.run(ctx, statement)
	if err == nil {
		err = s.readHeader(c, answer)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// callsProcedure matches a query that defines a procedure to call it, which may write.
var callsProcedure = regexp.MustCompile(`(?i)\bAS\s+PROCEDURE\b`)

// newSnowflake reads a URL. It returns the statement to run.
func newSnowflake(o Options) (s *snowflake, statement map[string]any, err error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.User.Username() == "" {
		return nil, nil, &OptionError{"the URL cannot be read: " + snowflakeExample}
	}
	if callsProcedure.MatchString(o.Query) {
		return nil, nil, &OptionError{"the query calls a procedure: it should only read"}
	}
	given, err := parameters(u, snowflakeExample, "warehouse", "role", "key", "endpoint")
	if err != nil {
		return nil, nil, err
	}
	authorize, err := snowflakeAuthorization(u, given["key"])
	if err != nil {
		return nil, nil, err
	}
	endpoint := given["endpoint"]
	if endpoint == "" {
		endpoint = "https://" + u.Host + ".snowflakecomputing.com"
	}
	client, err := newRESTClient(endpoint, authorize)
	if err != nil {
		return nil, nil, err
	}
	database, schema, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	statement = map[string]any{"statement": o.Query, "timeout": int64(math.Ceil(o.Timeout.Seconds())), "parameters": map[string]string{
		"TIMEZONE": "UTC", "CLIENT_RESULT_CHUNK_SIZE": strconv.Itoa(snowflakePartition),
	}}
	for key, value := range map[string]string{"database": database, "schema": schema, "warehouse": given["warehouse"], "role": given["role"]} {
		if value != "" {
			statement[key] = value
		}
	}
	return &snowflake{client: client}, statement, nil
}

// run runs a statement and returns the answer with its result.
func (s *snowflake) run(ctx context.Context, statement map[string]any) (event.Value, error) {
	query := url.Values{"requestId": {newUUID()}, "retry": {"true"}} // a repetition of the request runs the statement once
	answer, status, err := s.client.send(ctx, http.MethodPost, snowflakePath, query, statement)
	wait := firstPoll
	for err == nil && status == http.StatusAccepted {
		if s.handle = answer.Get("statementHandle").Text(); s.handle == "" {
			return answer, io.ErrUnexpectedEOF
		}
		if err = pause.For(ctx, wait); err == nil {
			answer, status, err = s.client.send(ctx, http.MethodGet, snowflakePath+"/"+url.PathEscape(s.handle), nil, nil)
		}
		wait = min(2*wait, maxPoll)
	}
	if err == nil {
		s.handle = answer.Get("statementHandle").Text()
	}
	return answer, err
}

// newUUID returns a random UUID.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// readHeader reads the columns, the partitions and the first rows of a result.
func (s *snowflake) readHeader(c *restCursor, answer event.Value) error {
	about := answer.Get("resultSetMetaData")
	for _, column := range about.Get("rowType").Items() {
		t := snowflakeType{strings.ToLower(column.Get("type").Text()), column.Get("scale").Int()}
		s.types = append(s.types, t)
		c.names = append(c.names, t.column(column.Get("name").Text()))
	}
	for _, p := range about.Get("partitionInfo").Items() {
		s.partitions = append(s.partitions, p.Get("rowCount").Int())
	}
	switch {
	case answer.Get("statementHandles").Exists():
		return &OptionError{"the query has several statements: it should be a single one"}
	case len(s.types) == 0:
		return &OptionError{"the query returns no columns"}
	case !about.Get("numRows").Exists() || len(s.partitions) == 0 && about.Get("numRows").Int() > 0:
		return io.ErrUnexpectedEOF
	}
	c.total = about.Get("numRows").Int()
	s.first = rowsOf(answer.Get("data"))
	return nil
}

func (s *snowflake) nextPage(ctx context.Context) ([]event.Value, error) {
	if s.next >= len(s.partitions) {
		return nil, io.EOF
	}
	rows := s.first
	if s.next > 0 {
		query := url.Values{"partition": {strconv.Itoa(s.next)}}
		answer, status, err := s.client.send(ctx, http.MethodGet, snowflakePath+"/"+url.PathEscape(s.handle), query, nil)
		if err != nil {
			return nil, err
		}
		if status != http.StatusOK {
			return nil, io.ErrUnexpectedEOF
		}
		rows = rowsOf(answer.Get("data"))
	}
	if int64(len(rows)) != s.partitions[s.next] {
		return nil, io.ErrUnexpectedEOF
	}
	s.first, s.next = nil, s.next+1
	return rows, nil
}

func (s *snowflake) cells(row event.Value) int { return row.Len() }

func (s *snowflake) cell(row event.Value, column int) event.Value { return row.Index(column) }

func (s *snowflake) typed(column int, text string) (event.Value, string) {
	return s.types[column].value(text)
}

func (s *snowflake) stop(ctx context.Context) {
	if s.handle != "" {
		_, _, _, _ = s.client.sendOnce(ctx, http.MethodPost, snowflakePath+"/"+url.PathEscape(s.handle)+"/cancel", nil, nil) // the statement has a time limit
	}
}

// snowflakeReason says what Snowflake objects to.
func snowflakeReason(err error) string {
	var failed *warehouseError
	if !errors.As(err, &failed) {
		return restReason("Snowflake", err)
	}
	code, state := failed.body.Get("code").Text(), failed.body.Get("sqlState").Text()
	switch {
	case failed.status == http.StatusUnauthorized, failed.status == http.StatusForbidden:
		return "Snowflake refuses this user, its key or its token"
	case failed.status == http.StatusRequestTimeout, code == "000630", code == "000604":
		return "Snowflake has stopped the query: its time limit is over, or an administrator has cancelled it"
	}
	message := failed.body.Get("message").Text()
	if !strings.HasPrefix(state, "42") && !strings.HasPrefix(state, "02") { // names of tables and columns, and the text of the query
		message = withoutValues(message)
	}
	return fmt.Sprintf("Snowflake reports: %s (status %d, code %s)", fault.Shorten(message, 500), failed.status, code)
}
