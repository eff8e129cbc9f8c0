package destination_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// TestCredentialsOfDefinitions checks what a definition sends as user name and password.
func TestCredentialsOfDefinitions(t *testing.T) {
	for rest, want := range map[string]string{
		"{scheme: none}": "",
		"{scheme: basic, fields: {username: {label: U, type: string}, password: {label: P, type: password}}}":                      "ann:pw",
		`{scheme: basic, username: "{{settings.username}}/token", fields: {username: {label: U, type: string}}}`:                   "ann/token:",
		`{scheme: basic, password: {"@path": $.settings.password}, fields: {password: {label: P, type: password}}}`:                ":pw",
		`{scheme: basic, username: api, password: {"@path": $.settings.password}, fields: {password: {label: P, type: password}}}`: "api:pw",
		`{scheme: basic, username: {"@path": $.settings.mail}, fields: {mail: {label: M, type: string}}}`:                          "error: the user name of the scheme basic must not contain a colon: check the settings that it is made of",
	} {
		d, err := destination.ParseDefinition("d.yaml", []byte("name: A\nslug: a\nmode: cloud\nactions: {a: {title: A, fields: {}}}\nauthentication: "+rest))
		require.NoError(t, err, rest)
		authorize := d.Authorize(event.MustParse(`{"username":"ann","password":"pw","mail":"a:b"}`))
		if want == "" {
			assert.Nil(t, authorize, rest)
			continue
		}
		r, err := http.NewRequest(http.MethodGet, "https://a.example.com", nil)
		require.NoError(t, err)
		if err := authorize(t.Context(), r); err != nil {
			assert.Equal(t, want, "error: "+err.Error(), rest)
			assert.Empty(t, r.Header, rest)
			continue
		}
		user, password, _ := r.BasicAuth()
		assert.Equal(t, want, user+":"+password, rest)
	}
}

func TestSchemesAreDescribed(t *testing.T) {
	names := map[string]bool{}
	for _, entry := range destination.Schemes() {
		names[entry.Name] = true
		assert.Equal(t, entry.Summary, destination.Scheme(entry.Name).Summary())
		assert.NotEmpty(t, entry.Summary)
	}
	assert.Equal(t, map[string]bool{"none": true, "basic": true, "custom": true, "oauth2": true, "oauth-managed": true}, names)
}

// TestRequestsOfSDKs checks what of an SDK's request reaches the remote, and that a redirect is an answer and never followed.
func TestRequestsOfSDKs(t *testing.T) {
	var sent []string
	var failure error
	client := destination.NewClient(roundTripper(func(r *http.Request) (*http.Response, error) {
		if failure != nil {
			return nil, failure
		}
		body, _ := io.ReadAll(r.Body)
		sent = append(sent, strings.Join([]string{r.Method, r.URL.Path, r.Host, r.Header.Get("X-Own"), string(body)}, " "))
		return &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {"https://secret.example.com/"}}, Body: http.NoBody, Request: r}, nil
	}), func(text string) string { return strings.ReplaceAll(text, "secret", "•") })
	post := func(with *http.Client, body io.Reader) (*http.Response, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://a.example.com/x", body)
		require.NoError(t, err)
		r.Header.Set("X-Own", "yes")
		r.Host = "b.example.com"
		return with.Do(r)
	}
	response, err := post(client.HTTPClient(), strings.NewReader("hello"))
	require.NoError(t, err)
	assert.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusFound, response.StatusCode)
	assert.Equal(t, []string{"POST /x b.example.com yes hello"}, sent)

	follows := &http.Client{Transport: client}
	_, err = post(follows, strings.NewReader("hello")) //nolint:bodyclose // there is no response
	assert.ErrorContains(t, err, "the remote answered with a redirect to •.example.com, which is not followed")
	assert.False(t, fault.As(err).Retry)
	assert.Len(t, sent, 2)

	_, err = post(client.HTTPClient(), bytes.NewReader(make([]byte, httpx.DefaultMaxBytes+1))) //nolint:bodyclose // there is no response
	assert.Error(t, err)
	assert.Len(t, sent, 2, "a body above the limit is not sent")
	failure = errors.New("no route")
	_, err = post(client.HTTPClient(), nil) //nolint:bodyclose // there is no response
	assert.True(t, fault.As(err).Retry, "the connection failed")
	failure = fault.Invalid("not allowed")
	_, err = post(client.HTTPClient(), nil) //nolint:bodyclose // there is no response
	assert.False(t, fault.As(err).Retry, "an error of the chain keeps its class")
}

// TestNotSent checks that payloads which were not part of a failed request do not show it.
func TestNotSent(t *testing.T) {
	plain := fault.Invalid("wrong")
	assert.Same(t, plain, destination.NotSent(plain))
	assert.NoError(t, destination.NotSent(nil))

	failed := fault.FromStatus(503, "down")
	failed.Err = httpx.WithExchange(&httpx.Exchange{Status: 503}, nil)
	kept := destination.NotSent(failed)
	assert.Nil(t, httpx.ExchangeOf(kept))
	assert.Equal(t, failed.Error(), kept.Error())
	assert.Equal(t, failed.Retry, fault.As(kept).Retry)
	assert.NotNil(t, httpx.ExchangeOf(failed), "the error itself is not changed")
}

// TestStateInMemory checks the rules of Swap, by which instances agree on who does something.
func TestStateInMemory(t *testing.T) {
	ctx, s := context.Background(), destination.NewMemoryState()
	for i, step := range []struct {
		old, value string
		ok         bool
		after      string
	}{
		{"x", "a", false, ""}, {"", "a", true, "a"}, {"", "b", false, "a"}, {"b", "c", false, "a"}, {"a", "b", true, "b"}, {"b", "", true, ""}, {"b", "c", false, ""},
	} {
		ok, err := s.Swap(ctx, "k", step.old, step.value)
		require.NoError(t, err)
		assert.Equal(t, step.ok, ok, i)
		value, found, err := s.Get(ctx, "k")
		require.NoError(t, err)
		assert.Equal(t, step.after, value, i)
		assert.Equal(t, step.after != "", found, i)
	}
}
