package httpx_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
)

// TestUserAgent checks the header that the remote gets, and that the request of the caller does not change.
func TestUserAgent(t *testing.T) {
	var sent http.Header
	chain := httpx.New(httpx.Config{Base: answering(func(r *http.Request) (*http.Response, error) { sent = r.Header; return answer(r, 200, nil, "") })})
	for name, c := range map[string]struct {
		header http.Header
		want   string // the beginning of the header
	}{
		"by default":       {http.Header{"Accept": {"text/plain"}}, "Landfall/"},
		"without headers":  {nil, "Landfall/"},
		"of a destination": {http.Header{"User-Agent": {"acme/1"}}, "acme/1"},
		"none":             {http.Header{"User-Agent": {""}}, ""},
	} {
		before := c.header.Clone()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://example.com", strings.NewReader("{}"))
		require.NoError(t, err)
		r.Header = c.header
		_, err = chain.RoundTrip(r)
		require.NoError(t, err, name)
		assert.Truef(t, strings.HasPrefix(sent.Get("User-Agent"), c.want) && (c.want != "") == (sent.Get("User-Agent") != ""), "%s: %q", name, sent.Get("User-Agent"))
		assert.Equal(t, before.Get("Accept"), sent.Get("Accept"), name)
		assert.Equal(t, before, c.header, name)
	}
}
