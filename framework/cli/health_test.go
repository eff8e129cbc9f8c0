package cli

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestHealthCommand checks the output and the exit code of landfall health.
func TestHealthCommand(t *testing.T) {
	status, body := 200, ""
	remote := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	defer remote.Close()
	for _, c := range []struct {
		name         string
		status, exit int
		body, says   string
	}{
		{"ready", 200, exitOK, `{"ready":true,"taking":true,"delivering":true,"findings":[]}`, "ready\n"},
		{"not ready", 503, exitFailed, `{"taking":true,"findings":[{"message":"no disk","next":"clean up"}]}`, "not delivering\nno disk: clean up\n"},
		{"another server", 404, exitFailed, "no", "landfall: the server responded with status 404 Not Found\n"},
		{"no JSON", 200, exitFailed, "ready", "landfall: reading the health of the server: "},
	} {
		status, body = c.status, c.body
		var out bytes.Buffer
		exit := executeCommand(t.Context(), []string{"health", "--url", remote.URL}, streams{in: &bytes.Buffer{}, out: &out, err: &out})
		assert.Equal(t, c.exit, exit, c.name)
		assert.Contains(t, out.String(), c.says, c.name)
	}
	var out bytes.Buffer
	assert.Equal(t, exitFailed, executeCommand(t.Context(), []string{"health", "--data", t.TempDir()}, streams{in: &bytes.Buffer{}, out: &out, err: &out}))
	assert.Contains(t, out.String(), "no server on this machine uses the data directory")
}
