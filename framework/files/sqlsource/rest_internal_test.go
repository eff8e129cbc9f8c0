package sqlsource

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
)

// fakePeer answers the requests of a client without a network.
type fakePeer struct {
	answer   func(n int, r *http.Request) (status int, body string, err error) // of the n-th request, from 1
	headers  http.Header                                                       // of every answer
	requests []string                                                          // method, URL and body of each
	times    []time.Time
}

func (p *fakePeer) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	p.requests = append(p.requests, r.Method+" "+r.URL.String()+" "+r.Header.Get("Content-Type")+" "+string(body))
	p.times = append(p.times, time.Now())
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	status, text, err := p.answer(len(p.requests), r)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: p.headers, Body: io.NopCloser(strings.NewReader(text))}, nil
}

// client returns a client of the peer.
func (p *fakePeer) client() *restClient {
	return &restClient{&url.URL{Scheme: "https", Host: "peer", Path: "/base"}, p, func(context.Context, *http.Request) error { return nil }}
}

// answers returns the answers of a peer: a status and a body for each request, and the last for all that follow.
func answers(list ...string) func(int, *http.Request) (int, string, error) {
	return func(n int, _ *http.Request) (int, string, error) {
		status, body, _ := strings.Cut(list[min(n, len(list))-1], " ")
		code, err := strconv.Atoi(status)
		return code, body, err
	}
}

// A failure that may pass is repeated six times at most, and any other answer is final.
func TestRequestsToWarehouses(t *testing.T) {
	lost := &fault.Error{Retry: true, Message: "lost"}
	refused := &fault.Error{Message: "refused"}
	for name, c := range map[string]struct {
		answer   func(int, *http.Request) (int, string, error)
		requests int
		status   int
		err      string
	}{
		"an answer":             {answers(`200 {"a":1}`), 1, 200, ""},
		"accepted":              {answers(`202 {}`), 1, 202, ""},
		"failures that pass":    {answers(`503 `, `429 {}`, `502 <html>`, `500 {}`, `408 {}`, `200 {}`), 6, 200, ""},
		"failures that stay":    {answers(`503 {}`), maxAttempts, 503, "the warehouse answered with the status 503"},
		"a refusal":             {answers(`400 {}`), 1, 400, "the warehouse answered with the status 400"},
		"a refusal as a page":   {answers(`403 <html>`), 1, 403, "the warehouse answered with the status 403"},
		"a redirect":            {answers(`302 {}`), 1, 302, "the warehouse answered with the status 302"},
		"not a success":         {answers(`300 {}`), 1, 300, "the warehouse answered with the status 300"},
		"an answer that is cut": {answers(`200 {"a":`), 1, 0, "unexpected EOF"},
		"an empty answer":       {answers(`299 `), 1, 0, "unexpected EOF"},
		"a lost connection": {func(n int, _ *http.Request) (int, string, error) {
			if n < 3 {
				return 0, "", lost
			}
			return 200, `{}`, nil
		}, 3, 200, ""},
		"a network that is down": {func(int, *http.Request) (int, string, error) { return 0, "", lost }, maxAttempts, 0, lost.Error()},
		"an error that stays":    {func(int, *http.Request) (int, string, error) { return 0, "", refused }, 1, 0, refused.Error()},
	} {
		synctest.Test(t, func(t *testing.T) {
			peer := &fakePeer{answer: c.answer}
			_, status, err := peer.client().send(t.Context(), http.MethodGet, "/x", nil, nil)
			assert.Len(t, peer.requests, c.requests, name)
			assert.Equal(t, c.status, status, name)
			if c.err == "" {
				assert.NoError(t, err, name)
			} else {
				assert.EqualError(t, err, c.err, name)
			}
			for i := 1; i < len(peer.times); i++ {
				assert.GreaterOrEqual(t, peer.times[i].Sub(peer.times[i-1]), firstBackoff/2<<(i-1), name)
			}
		})
	}
}

func TestWhatAWarehouseIsAsked(t *testing.T) {
	peer := &fakePeer{answer: answers(`200 {"a":"b"}`)}
	answer, _, err := peer.client().send(t.Context(), http.MethodPost, "/x", url.Values{"p": {"a b"}}, map[string]int{"n": 1})
	require.NoError(t, err)
	assert.Equal(t, "b", answer.Get("a").Text())
	_, _, err = peer.client().send(t.Context(), http.MethodGet, "/x", nil, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{`POST https://peer/base/x?p=a+b application/json {"n":1}`, `GET https://peer/base/x  `}, peer.requests)

	client := peer.client()
	_, _, err = client.send(t.Context(), http.MethodPost, "/x", nil, func() {})
	assert.Error(t, err, "a body that cannot be written")
	_, _, err = client.send(t.Context(), "A METHOD", "/x", nil, nil)
	assert.Error(t, err)
	client.authorize = func(context.Context, *http.Request) error { return errNoToken }
	_, _, err = client.send(t.Context(), http.MethodGet, "/x", nil, nil)
	assert.Equal(t, errNoToken, err)
	assert.Len(t, peer.requests, 2, "nothing is sent without credentials")
}

// A warehouse says how long to wait, up to a limit, and a command that ends does not wait.
func TestWaitsForAWarehouse(t *testing.T) {
	for asked, wait := range map[string]time.Duration{"7": 7 * time.Second, "3600": maxBackoff} {
		synctest.Test(t, func(t *testing.T) {
			peer := &fakePeer{answer: answers(`429 {}`, `200 {}`), headers: http.Header{"Retry-After": {asked}}}
			began := time.Now()
			_, _, err := peer.client().send(t.Context(), http.MethodGet, "/x", nil, nil)
			require.NoError(t, err)
			assert.Equal(t, wait, time.Since(began))
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		peer := &fakePeer{answer: answers(`503 {}`), headers: http.Header{"Retry-After": {"10"}}}
		_, status, err := peer.client().send(ctx, http.MethodGet, "/x", nil, nil)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Zero(t, status)
		assert.Len(t, peer.requests, 1)
	})
}

// Credentials are sent over TLS, and without it only to this machine.
func TestEndpointsOfWarehouses(t *testing.T) {
	for endpoint, good := range map[string]bool{
		"https://example.com": true, "https://192.0.2.1:8443/base": true, "http://localhost:8080": true, "http://127.0.0.2": true, "http://[::1]:80": true,
		"http://example.com": false, "http://192.0.2.1": false, "http://localhost.example.com": false, "ftp://localhost": false, "https://": false, "https:": false, "localhost:80": false, "http://%zz": false, "": false,
	} {
		_, err := newRESTClient(endpoint, nil)
		if good {
			assert.NoError(t, err, endpoint)
		} else {
			assert.EqualError(t, err, "the endpoint of the URL should be like https://HOST", endpoint)
		}
	}
}

func TestParametersOfWarehouses(t *testing.T) {
	for query, want := range map[string]string{"key=a%2Fb": "a/b", "": "", "key=": ""} {
		got, err := parameters(&url.URL{RawQuery: query}, "write x", "key", "role")
		require.NoError(t, err, query)
		assert.Equal(t, map[string]string{"key": want, "role": ""}, got, query)
	}
	for query, want := range map[string]string{"key=a&key=b": `"key"`, "password=x": `"password": write x`, "rol=x": `"rol" (did you mean "role"?): write x`} {
		_, err := parameters(&url.URL{RawQuery: query}, "write x", "key", "role")
		assert.ErrorContains(t, err, "the URL has an unknown parameter "+want, query)
	}
}

func TestKeyFilesHaveALimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	for size, problem := range map[int]string{64 << 10: "", 64<<10 + 1: "the key of the URL cannot be read: it is larger than 65536 bytes"} {
		require.NoError(t, os.WriteFile(path, make([]byte, size), 0o600))
		text, err := readKeyFile(path)
		if problem == "" {
			require.NoError(t, err)
			assert.Len(t, text, size)
		} else {
			assert.EqualError(t, err, problem)
		}
	}
	for length, problem := range map[int]string{1000: "cannot be read", 1001: "should be the path of a file, not the key itself"} {
		_, err := readKeyFile(strings.Repeat("k", length))
		assert.ErrorContains(t, err, problem)
	}
}

// fakeWarehouse returns pages of rows, which are arrays.
type fakeWarehouse struct {
	pages   [][]string
	err     error // after the last page; nil for io.EOF
	stopped int
	stopErr error // the error of the context that stop gets
	within  time.Duration
}

func (w *fakeWarehouse) nextPage(context.Context) ([]event.Value, error) {
	if len(w.pages) == 0 {
		if w.err != nil {
			return nil, w.err
		}
		return nil, io.EOF
	}
	var rows []event.Value
	for _, text := range w.pages[0] {
		row, err := event.ParseString(text)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	w.pages = w.pages[1:]
	return rows, nil
}

func (w *fakeWarehouse) cells(row event.Value) int { return row.Len() }

func (w *fakeWarehouse) cell(row event.Value, column int) event.Value { return row.Index(column) }

func (w *fakeWarehouse) typed(_ int, text string) (event.Value, string) {
	return event.NewString("typed " + text), ""
}

func (w *fakeWarehouse) stop(ctx context.Context) {
	w.stopped++
	w.stopErr = ctx.Err()
	deadline, _ := ctx.Deadline()
	w.within = time.Until(deadline)
}

// The end of a result is its end only after as many rows as were announced, each with all its columns. A query that has not ended is stopped.
func TestResultsOfWarehouses(t *testing.T) {
	failed := errors.New("failed")
	for name, c := range map[string]struct {
		pages [][]string
		after error
		total int64
		rows  int
		err   error
	}{
		"no rows":          {nil, nil, 0, 0, io.EOF},
		"an empty page":    {[][]string{{`["a","b"]`}, {}, {`["c","d"]`}}, nil, 2, 2, io.EOF},
		"too few rows":     {[][]string{{`["a","b"]`}}, nil, 2, 1, io.ErrUnexpectedEOF},
		"too many rows":    {[][]string{{`["a","b"]`, `["c","d"]`}}, nil, 1, 1, io.ErrUnexpectedEOF},
		"a short row":      {[][]string{{`["a","b"]`, `["c"]`}}, nil, 2, 1, io.ErrUnexpectedEOF},
		"a long row":       {[][]string{{`["a","b","c"]`}}, nil, 1, 0, io.ErrUnexpectedEOF},
		"a failure":        {[][]string{{`["a","b"]`}}, failed, 1, 1, failed},
		"a failure at all": {nil, failed, 0, 0, failed},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := &fakeWarehouse{pages: c.pages, err: c.after}
			ctx, cancel := context.WithCancel(t.Context())
			cursor := &restCursor{ctx: ctx, from: w, total: c.total, names: make([]audiencesync.Column, 2)}
			record, rows := make([]string, 2), 0
			var err error
			for err == nil {
				if _, err = cursor.next([]int{1}, record); err == nil {
					assert.Empty(t, record[0], "a column that is not used")
					assert.NotEmpty(t, record[1])
					rows++
				}
			}
			assert.Equal(t, c.err, err, name)
			assert.Equal(t, c.rows, rows, name)
			cancel()
			cursor.close()
			if c.err == io.EOF {
				assert.Zero(t, w.stopped, name)
				return
			}
			assert.Equal(t, 1, w.stopped, name)
			assert.NoError(t, w.stopErr, "a cancelled command still stops its query")
			assert.Equal(t, stopWithin, w.within)
		})
	}
}

func TestNullsOfWarehouses(t *testing.T) {
	cursor := &restCursor{ctx: t.Context(), from: &fakeWarehouse{pages: [][]string{{`["a",null]`}}}, total: 1, names: make([]audiencesync.Column, 2)}
	record := make([]string, 2)
	_, err := cursor.next([]int{0, 1}, record)
	require.NoError(t, err)
	assert.Equal(t, []string{"a", ""}, record)
	for column, want := range []string{`"typed a"`, `null`} {
		v, problem := cursor.value(column)
		assert.Empty(t, problem)
		assert.Equal(t, want, v.JSON())
	}
	assert.Zero(t, cursor.clock())
}

func TestWhyWarehousesHaveNoAnswer(t *testing.T) {
	for want, err := range map[string]error{
		"X has returned less than the whole result": io.ErrUnexpectedEOF, "X cannot be asked: too large": &fault.Error{Message: "too large"}, "": errors.New("other"),
	} {
		assert.Equal(t, want, restReason("X", err))
	}
	assert.Empty(t, restReason("X", &fault.Error{Message: "no answer", Err: context.DeadlineExceeded}), "the network says why")
}
