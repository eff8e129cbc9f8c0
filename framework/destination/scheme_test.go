package destination_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
)

func TestSchemes(t *testing.T) {
	settings := event.MustParse(`{"username": "u", "password": "p"}`)
	for scheme, want := range map[destination.Scheme]struct {
		header                string
		needsToken, needLogin bool
	}{
		"none": {}, "custom": {}, "unknown": {},
		"basic":         {header: "Basic dTpw"},
		"oauth2":        {needsToken: true, needLogin: true},
		"oauth-managed": {needsToken: true},
	} {
		r, err := http.NewRequest(http.MethodGet, "https://example.com", nil)
		require.NoError(t, err)
		if authorize := scheme.Authorize(); authorize != nil {
			authorize(r, settings)
		}
		assert.Equal(t, want.header, r.Header.Get("Authorization"), scheme)
		assert.Equal(t, want.needsToken, scheme.NeedsToken(), scheme)
		assert.Equal(t, want.needLogin, scheme.NeedsLogin(), scheme)
	}
}
