package cli

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPurgesThatAreRefused checks that a purge has the flag that it suggests if the remote refuses the changes.
func TestPurgesThatAreRefused(t *testing.T) {
	var refuses atomic.Bool
	braze := newBrazeSandbox(t).Config.Handler
	remote := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuses.Load() {
			http.Error(w, `{"message": "no"}`, http.StatusBadRequest)
			return
		}
		braze.ServeHTTP(w, r)
	}))
	t.Cleanup(remote.Close)
	_, file, users := rehearsal(t, "https://rest.iad-01.braze.com", "")
	landfall := func(args ...string) (code int, out, errs string) {
		return commandHere(t.Context(), append(args, "--config", file, "--sandbox-url", remote.URL)...)
	}
	code, out, errs := landfall("sync", "--audience", "aud_1", users)
	require.Zero(t, code, out+errs)

	refuses.Store(true)
	code, out, errs = landfall("members", "purge", "aud_1", "--yes")
	assert.Equal(t, 1, code, out+errs)
	assert.Regexp(t, `(?m)^refused +2$`, out)
	assert.Contains(t, errs, "2 refused, so the exit code is 1; --allow-refused makes it 0")
	code, out, errs = landfall("members", "purge", "aud_1", "--yes", "--allow-refused")
	assert.Zero(t, code, out+errs)
	assert.Regexp(t, `(?m)^refused +2$`, out)
	assert.NotContains(t, errs, "allow-refused")
}
