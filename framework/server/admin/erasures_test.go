package admin_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/erasure"
	"github.com/landfall-dev/landfall/framework/state"
)

// TestErasuresOfPrograms requests erasures and reads them. The audit log names nobody.
func TestErasuresOfPrograms(t *testing.T) {
	o := newOperator(t)
	call := func(method, path, body string) (int, string) {
		r := httptest.NewRequest(method, "http://127.0.0.1:8081"+path, strings.NewReader(body))
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set("Landfall-Admin", "1")
		w := httptest.NewRecorder()
		o.server.Handler().ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	for _, c := range [][2]string{{"POST", "/admin/erasures"}, {"GET", "/admin/erasures"}, {"GET", "/admin/erasures/x"}} {
		code, body := call(c[0], c[1], "")
		assert.Equal(t, http.StatusNotFound, code)
		assert.Contains(t, body, "landfall serve")
	}
	store, err := state.Open(t.Context(), t.TempDir())
	require.NoError(t, err)
	defer store.Close()
	cfg := &config.Config{StateKey: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}
	o.server.Erasures = erasure.Desk{Store: store, Config: func() *config.Config { return cfg }}
	code, body := call("POST", "/admin/erasures", `{"users":[{"identifiers":["person-1","p@example.com"]},{"anonymousIds":["anonymous-2"]}],"suppress":true}`)
	require.Equal(t, http.StatusAccepted, code, body)
	assert.NotContains(t, body, "person-1")
	var made []erasure.Receipt
	require.NoError(t, json.Unmarshal([]byte(body), &made))
	require.Len(t, made, 2)
	for _, wrong := range []string{`{`, `{"users":[]}`, `{"users":[{"identifiers":[""]}]}`, `{"user":"person-1"}`, `{"users":[{"identifiers":["person-3"]}],"supress":true}`} {
		code, _ := call("POST", "/admin/erasures", wrong)
		assert.Equal(t, http.StatusBadRequest, code, wrong)
	}
	code, body = call("GET", "/admin/erasures?user=P@example.com", "")
	require.Equal(t, http.StatusOK, code)
	var found []erasure.Receipt
	require.NoError(t, json.Unmarshal([]byte(body), &found))
	require.Len(t, found, 1)
	code, body = call("GET", "/admin/erasures/"+found[0].ID, "")
	require.Equal(t, http.StatusOK, code)
	assert.Contains(t, body, `"suppressed":true`)
	code, _ = call("GET", "/admin/erasures/none", "")
	assert.Equal(t, http.StatusNotFound, code)
	suppressed, err := store.Suppressed(t.Context())
	require.NoError(t, err)
	assert.Len(t, suppressed, 3)
	assert.Contains(t, o.log.String(), "users.erase")
	assert.NotContains(t, o.log.String(), "person-1")
	cfg.StateKey = ""
	code, body = call("POST", "/admin/erasures", `{"users":[{"identifiers":["person-1"]}]}`)
	assert.Equal(t, http.StatusInternalServerError, code)
	assert.Contains(t, body, "landfall auth key")
}
