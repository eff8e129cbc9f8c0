package destination_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

func plainClient() destination.Client {
	return destination.NewClient(httpx.New(httpx.Config{}), func(s string) string { return strings.ReplaceAll(s, "secret", "•") })
}

func TestBodiesAndParameters(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Content-Type")+" "+string(body))
	}))
	defer server.Close()
	for _, c := range []struct {
		request destination.Request
		want    string
	}{
		{destination.Request{URL: "/a"}, "POST /a  "},
		{destination.Request{URL: "/a", Body: []byte(`{}`)}, "POST /a application/json {}"},
		{destination.Request{URL: "/a", JSON: event.MustParse(`{"n":1.50}`)}, `POST /a application/json {"n":1.50}`},
		{destination.Request{URL: "/a", Form: url.Values{"b": {"é &"}, "a": {"1", "2"}}}, "POST /a application/x-www-form-urlencoded a=1&a=2&b=%C3%A9+%26"},
		{destination.Request{URL: "/a", Text: "one\ntwo"}, "POST /a text/plain; charset=utf-8 one\ntwo"},
		{destination.Request{URL: "/a", Text: "a,b", Header: http.Header{"Content-Type": {"text/csv"}}}, "POST /a text/csv a,b"},
		{destination.Request{URL: "/a", Query: url.Values{"q": {"x y"}}}, "POST /a?q=x+y  "},
		{destination.Request{URL: "/a?p=1#f", Query: url.Values{"q": {"2"}}}, "POST /a?p=1&q=2  "},
	} {
		c.request.Method, c.request.URL = http.MethodPost, server.URL+c.request.URL
		got, err := plainClient().Do(t.Context(), c.request)
		require.NoError(t, err)
		assert.Equal(t, c.want, got.Text())
		assert.Equal(t, event.Absent, got.Body.Kind(), "what is no JSON is text alone")
	}
	_, err := plainClient().Do(t.Context(), destination.Request{Method: http.MethodPost, URL: server.URL, Text: "a", Form: url.Values{}})
	assert.EqualError(t, err, "a request has one body: Body, JSON, Form or Text")
	_, err = plainClient().Do(t.Context(), destination.Request{Method: http.MethodGet, URL: "http://[", Query: url.Values{"a": {"b"}}})
	assert.ErrorContains(t, err, "building the request")
	for _, query := range []url.Values{nil, {"a": {"b"}}} {
		_, err = plainClient().Do(t.Context(), destination.Request{Method: http.MethodGet, URL: "https://ann:very/secret@api.example.com/x?token=very", Query: query})
		assert.EqualError(t, err, `building the request: "https://…@api.example.com/x?…" is not a URL`)
	}
}

func TestAnswersOutsideOf2xx(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"message":"the secret is spent"}`)
	}))
	defer server.Close()
	r := destination.Request{Method: http.MethodGet, URL: server.URL}
	_, err := plainClient().Do(t.Context(), r)
	e := fault.As(err)
	assert.Equal(t, "the • is spent", e.Error())
	assert.True(t, e.Retry)
	assert.Equal(t, 7.0, e.RetryAfter.Seconds())
	r.AllowErrorStatus = true
	got, err := plainClient().Do(t.Context(), r)
	require.NoError(t, err)
	assert.Equal(t, 429, got.Status)
	assert.Equal(t, "the secret is spent", got.Body.Get("message").Str())
}

func TestAnswersThatAreTooLargeAreErrors(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, httpx.DefaultMaxBytes+1))
	}))
	defer server.Close()
	_, err := plainClient().Do(t.Context(), destination.Request{Method: http.MethodGet, URL: server.URL, AllowErrorStatus: true})
	e := fault.As(err)
	assert.ErrorContains(t, err, "is larger than 4194304 bytes")
	assert.False(t, e.Retry, "the remote has acted")
}

func TestAHostOfOnesOwn(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host) }))
	defer server.Close()
	got, err := plainClient().Do(t.Context(), destination.Request{Method: http.MethodGet, URL: server.URL, Header: http.Header{"Host": {"api.example.com"}}})
	require.NoError(t, err)
	assert.Equal(t, "api.example.com", got.Text())
}
