package sqlsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/internal/pause"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// Limits of the requests to a warehouse.
const (
	maxPage      = 64 << 20 // bytes of an answer
	maxAttempts  = 6        // of a request
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 20 * time.Second
	answerWithin = 3 * time.Minute
	stopWithin   = 5 * time.Second
	firstPoll    = 100 * time.Millisecond // before a query that runs is asked for again; doubled each time
	maxPoll      = 5 * time.Second
)

// warehouse is a service that runs queries and returns their results in pages over HTTP.
type warehouse interface {
	// nextPage returns the next rows, and io.EOF after the last page.
	nextPage(ctx context.Context) ([]event.Value, error)
	// cells returns the number of values of a row, and cell one of them: a text or null.
	cells(row event.Value) int
	cell(row event.Value, column int) event.Value
	// typed returns a value that is not null as JSON, or why it has none.
	typed(column int, text string) (v event.Value, problem string)
	// stop ends the query if it still runs.
	stop(ctx context.Context)
}

// restCursor reads the result of a warehouse.
type restCursor struct {
	ctx   context.Context
	from  warehouse
	names []audiencesync.Column
	total int64         // the number of rows that the warehouse has announced
	page  []event.Value // the rows of the page that are not read yet
	row   event.Value
	rows  int64 // read so far
	ended bool
}

func (c *restCursor) clock() time.Time { return time.Time{} }

func (c *restCursor) columns() []audiencesync.Column { return c.names }

func (c *restCursor) next(used []int, record []string) (problem string, err error) {
	for len(c.page) == 0 {
		if c.page, err = c.from.nextPage(c.ctx); err != nil {
			return "", c.readEnd(err)
		}
	}
	c.row, c.page = c.page[0], c.page[1:]
	if c.rows++; c.rows > c.total || c.from.cells(c.row) != len(c.names) {
		return "", io.ErrUnexpectedEOF
	}
	for _, i := range used {
		record[i] = c.from.cell(c.row, i).Text()
	}
	return "", nil
}

func (c *restCursor) value(column int) (event.Value, string) {
	v := c.from.cell(c.row, column)
	if !v.Exists() {
		return event.NewNull(), ""
	}
	return c.from.typed(column, v.Text())
}

// readEnd returns io.EOF at the end of a result that has as many rows as the warehouse has announced.
func (c *restCursor) readEnd(err error) error {
	switch {
	case !errors.Is(err, io.EOF):
		return err
	case c.rows != c.total:
		return io.ErrUnexpectedEOF
	}
	c.ended = true
	return io.EOF
}

func (c *restCursor) close() {
	if c.ended {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), stopWithin)
	defer cancel()
	c.from.stop(ctx)
}

// rowsOf returns the rows of a page. It is not nil.
func rowsOf(list event.Value) []event.Value {
	rows := []event.Value{}
	for _, row := range list.Items() {
		rows = append(rows, row)
	}
	return rows
}

// restReason says what is wrong with the answers of a warehouse; "" for its own errors, and if there is no answer.
func restReason(name string, err error) string {
	var failed *fault.Error
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return name + " has returned less than the whole result"
	case errors.As(err, &failed) && fault.NetworkReason(err) == "":
		return name + " cannot be asked: " + failed.Message
	}
	return ""
}

// restClient sends requests to one host. It follows no redirect, since that would get the credentials.
type restClient struct {
	base      *url.URL
	transport http.RoundTripper
	authorize func(context.Context, *http.Request) error
}

// newRESTClient returns a client for a URL. Without TLS, only this machine is accepted.
func newRESTClient(base string, authorize func(context.Context, *http.Request) error) (*restClient, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return nil, &OptionError{"the endpoint of the URL should be like https://HOST"}
	}
	chain := httpx.New(httpx.Config{MaxResponseBytes: maxPage, Timeout: answerWithin})
	return &restClient{u, chain, authorize}, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// warehouseError is an answer of a warehouse with an error.
type warehouseError struct {
	status int
	body   event.Value
}

func (e *warehouseError) Error() string {
	return fmt.Sprintf("the warehouse answered with the status %d", e.status)
}

// send sends a request whose repetition has no further effect, and repeats it after an error that may pass. body is encoded as JSON; nil for none.
func (c *restClient) send(ctx context.Context, method, path string, query url.Values, body any) (answer event.Value, status int, err error) {
	for failures := 1; ; failures++ {
		var wait time.Duration
		answer, status, wait, err = c.sendOnce(ctx, method, path, query, body)
		var failed *fault.Error
		passes := errors.As(err, &failed) && failed.Retry || err == nil && fault.Retryable(status)
		if !passes || failures == maxAttempts {
			break
		}
		if ended := pause.For(ctx, max(httpx.Backoff(firstBackoff, maxBackoff, failures), min(wait, maxBackoff))); ended != nil {
			return answer, 0, ended
		}
	}
	if err == nil && status >= 300 {
		err = &warehouseError{status, answer}
	}
	return answer, status, err
}

// sendOnce sends a request once. wait is what the answer asks to wait.
func (c *restClient) sendOnce(ctx context.Context, method, path string, query url.Values, body any) (answer event.Value, status int, wait time.Duration, err error) {
	u := c.base.JoinPath(path)
	u.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, method, u.String(), http.NoBody)
	if err != nil {
		return answer, 0, 0, err
	}
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return answer, 0, 0, err
		}
		r.Body, r.ContentLength = httpx.Body(raw), int64(len(raw))
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Accept", "application/json")
	if err := c.authorize(ctx, r); err != nil {
		return answer, 0, 0, err
	}
	response, err := c.transport.RoundTrip(r)
	if err != nil {
		return answer, 0, 0, err
	}
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return answer, 0, 0, err
	}
	answer, err = event.ParseValue(raw)
	if err != nil && response.StatusCode < 300 {
		return answer, 0, 0, io.ErrUnexpectedEOF
	}
	return answer, response.StatusCode, httpx.RetryAfter(response.Header, time.Now()), nil
}

// readKeyFile reads a file with a private key. An error does not show a key that was written in place of its file.
func readKeyFile(path string) ([]byte, error) {
	const most = 64 << 10
	if len(path) > 1000 || strings.Contains(path, "PRIVATE KEY") {
		return nil, &OptionError{"the key of the URL should be the path of a file, not the key itself"}
	}
	text, err := textfile.ReadAtMost(path, most)
	if err == nil && len(text) > most {
		err = fmt.Errorf("it is larger than %d bytes", most)
	}
	if err != nil {
		return nil, &OptionError{"the key of the URL cannot be read: " + err.Error()}
	}
	return text, nil
}

// parameters returns the parameters of a URL, of which only some are known.
func parameters(u *url.URL, example string, known ...string) (map[string]string, error) {
	values := map[string]string{}
	for _, name := range known {
		values[name] = ""
	}
	for name, list := range u.Query() {
		if _, ok := values[name]; !ok || len(list) != 1 {
			return nil, &OptionError{fmt.Sprintf("the URL has an unknown parameter %q%s: %s", fault.Shorten(name, 40), fault.DidYouMean(name, known), example)}
		}
		values[name] = list[0]
	}
	return values, nil
}
