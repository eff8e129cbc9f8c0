package console_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/console"
	"github.com/landfall-dev/landfall/framework/server/erasure"
	"github.com/landfall-dev/landfall/framework/state"
)

// TestErasuresOnTheConsole requests an erasure, which needs a confirmation, and shows its receipt.
func TestErasuresOnTheConsole(t *testing.T) {
	store, err := state.Open(t.Context(), t.TempDir())
	require.NoError(t, err)
	defer store.Close()
	desk := &erasure.Desk{Store: store, Config: func() *config.Config {
		return &config.Config{StateKey: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}
	}}
	p := newPageOf(t, written, "", func(s *console.Config) { s.Erasures = desk })
	assert.Contains(t, p.get("erasures"), "No user was erased.")
	fields := map[string]string{"users": "person-1, p@example.com\n\nperson-<2>", "suppress": "1", "do": "ask"}
	asked := p.do(http.MethodPost, "erasures", form(fields), nil).Body.String()
	for _, want := range []string{"Erase 2 users?", "person-&lt;2&gt;", "p@example.com", "Later events are refused.", "Backups are not changed."} {
		assert.Contains(t, asked, want)
	}
	list, err := desk.List(t.Context())
	require.NoError(t, err)
	assert.Empty(t, list, "nothing is requested before the confirmation")
	assert.Contains(t, p.do(http.MethodPost, "erasures", form(map[string]string{"do": "erase"}), nil).Body.String(), "Name at least one user.")
	fields["do"] = "erase"
	w := p.do(http.MethodPost, "erasures", form(fields), nil)
	require.Equal(t, http.StatusSeeOther, w.Code, w.Body.String())
	assert.Contains(t, p.get("erasures?done=2"), "2 erasures are requested.")
	list, err = desk.List(t.Context(), "p@example.com")
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Contains(t, p.get("erasures"), "2 erasures: 0 done, 0 failing, 2 pending.")
	assert.Contains(t, p.get("erasures?user=P@example.com"), list[0].ID)
	assert.Contains(t, p.get("erasures?user=other"), "No erasure is recorded of this user.")
	receipt := p.get("erasures/" + list[0].ID)
	for _, want := range []string{"pending", list[0].Identifiers[0], "It begins within seconds"} {
		assert.Contains(t, receipt, want)
	}
	assert.NotContains(t, receipt, "person-1")
	assert.Equal(t, http.StatusNotFound, p.do(http.MethodGet, "erasures/none", nil, nil).Code)
	assert.NotContains(t, p.log.String(), "person-1")

	require.NoError(t, store.Close())
	w = p.do(http.MethodPost, "erasures", form(fields), nil)
	assert.Equal(t, http.StatusConflict, w.Code, "what is not stored is not called requested")
	assert.Contains(t, w.Body.String(), "Writing the suppressed users")
	assert.Empty(t, w.Header().Get("Location"))
	assert.NotContains(t, w.Body.String(), "See Other", "nothing but the page with the error")
	assert.Contains(t, p.log.String(), "action=users.erase")
	assert.Contains(t, p.log.String(), "outcome=failed")
	unread := p.get("erasures")
	assert.Contains(t, unread, "Reading the erasures")
	assert.NotContains(t, unread, "No user was erased", "the list is not called empty")
	assert.Equal(t, http.StatusInternalServerError, p.do(http.MethodGet, "erasures/"+list[0].ID, nil, nil).Code)

	without := newPage(t, written)
	assert.Contains(t, without.get("erasures"), "This console has no queue")
	assert.Equal(t, http.StatusNotFound, without.do(http.MethodPost, "erasures", form(fields), nil).Code)
}
