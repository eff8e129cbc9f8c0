package destination_test

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// A remote's message is kept in part, and a secret in it is hidden before it is cut.
func TestLongMessagesOfRemotesAreCut(t *testing.T) {
	remote := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"message":"` + strings.Repeat("é", 995) + `very-secret` + strings.Repeat("x", 1<<20) + `"}`))
	})
	redactor := httpx.NewRedactor(nil, []string{"very-secret"})
	client := destination.NewClient(httpx.New(httpx.Config{Base: sandbox.Transport(remote), Redactor: redactor}), redactor.Redact)
	_, err := client.Do(t.Context(), destination.Request{Method: "POST", URL: "https://api.example.com/", Text: "x"})
	var known *fault.Error
	require.ErrorAs(t, err, &known)
	assert.LessOrEqual(t, utf8.RuneCountInString(known.Message), 2010)
	assert.NotContains(t, known.Message, "very")
}

// TestTextsOfRemotesAreCutBetweenCharacters checks an error response that is not JSON: its message is the start of the text.
// A web page with a success status is no answer of an API, unless the definition says otherwise.
func TestWebPagesAreNoSuccess(t *testing.T) {
	for body, page := range map[string]bool{
		"<!DOCTYPE html><html></html>": true, "\uFEFF\r\n\t <HTML lang=en>": true, "<html": true,
		"": false, "ok": false, "<htm": false, "<!DOCTYPE": false, "<Response/>": false, `"<html>"`: false, "ok <html>": false, `{"a":"<html>"}`: false,
	} {
		remote := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
		client := destination.NewClient(sandbox.Transport(remote), nil)
		response, err := client.Do(t.Context(), destination.Request{Method: "POST", URL: "https://api.example.com/", Text: "x"})
		if !page {
			require.NoError(t, err, body)
			assert.Equal(t, 200, response.Status)
			continue
		}
		known := fault.As(err)
		assert.Equal(t, http.StatusBadGateway, known.Status, body)
		assert.True(t, known.Retry)
		assert.Contains(t, known.Message, "something other than the API has answered")
		d, err := destination.ParseDefinition("d.yaml", []byte("name: A\nslug: a\nmode: cloud\nauthentication: {scheme: custom}\nrequest: {acceptHTML: true}\nactions: {send: {title: Send, fields: {}}}\n"))
		require.NoError(t, err)
		_, err = client.Extend(d, event.NewObject(nil), nil).Do(t.Context(), destination.Request{Method: "POST", URL: "https://api.example.com/", Text: "x"})
		assert.NoError(t, err, body)
	}
}

func TestTextsOfRemotesAreCutBetweenCharacters(t *testing.T) {
	for body, want := range map[string]string{
		strings.Repeat("é", 400):       strings.Repeat("é", 300) + "…",
		"x" + strings.Repeat("é", 400): "x" + strings.Repeat("é", 299) + "…",
		strings.Repeat("é", 300):       strings.Repeat("é", 300),
		"a\xffb":                       "a\uFFFDb",
		"":                             "Bad Gateway",
	} {
		remote := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = w.Write([]byte(body))
		})
		client := destination.NewClient(sandbox.Transport(remote), func(text string) string { return text })
		_, err := client.Do(t.Context(), destination.Request{Method: "POST", URL: "https://api.example.com/", Text: "x"})
		var known *fault.Error
		require.ErrorAs(t, err, &known)
		assert.Equal(t, want, known.Message)
	}
}
