package console_test

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/console"
	"github.com/landfall-dev/landfall/framework/server/history"
)

// TestConfigsAreListedAndReverted checks that each config is shown with what it changed and without secrets, and that an earlier one is
// reviewed, checked and written like any other change, with the secrets and the references of the file.
func TestConfigsAreListedAndReverted(t *testing.T) {
	redacted := func(text string) string {
		hidden, err := config.RedactText("landfall.yaml", []byte(text))
		require.NoError(t, err)
		return string(hidden)
	}
	now := strings.Replace(written, "name: VIP", "name: Very important", 1)
	list := []history.ConfigChange{
		{ID: 5, At: time.Now(), Who: "admin key", From: "10.0.0.1", How: "the console's form", Text: redacted(now), Added: 1, Removed: 1},
		{ID: 4, At: time.Now(), Who: "unknown", How: "the file changed", Text: redacted(strings.Replace(written, "event = ", "event == ", 1))},
		{ID: 3, At: time.Now(), Who: "unknown", How: "the file changed", Text: redacted(strings.Replace(written, "id: main", "id: other", 1))},
		{ID: 2, At: time.Now(), Who: "unknown", How: "found in the file at the start of the server", Text: redacted(written)},
	}
	var how string
	var author access.Actor
	p := newPageOf(t, now, "", func(s *console.Config) {
		s.Configs = func(context.Context) ([]history.ConfigChange, error) { return list, nil }
		s.ConfigWritten = func(ctx context.Context, _ []byte, h string) { how, author = h, access.ActorOf(ctx) }
	})
	body := p.get("changes/config")
	for _, want := range []string{"admin key from 10.0.0.1", "the console&#39;s form", "&#43;1 −1", `href="/console/changes/config/2"`, ">in use<", "first that is kept"} {
		assert.Contains(t, body, want)
	}
	body = p.get("changes/config/5")
	assert.Contains(t, body, `<span class="added">&#43;      - name: Very important`)
	assert.NotContains(t, body, "Revert to this config")
	for _, path := range []string{"changes/config", "changes/config/5", "changes/config/2"} {
		assert.NotContains(t, p.get(path), "literal-secret", path)
	}
	assert.Equal(t, http.StatusNotFound, p.do(http.MethodGet, "changes/config/9", nil, nil).Code)

	assert.Contains(t, p.post("changes/config/4", nil), "The config has an error", "a config that can no longer be used")
	w := p.do(http.MethodPost, "changes/config/3", nil, nil)
	assert.Equal(t, http.StatusConflict, w.Code)
	assert.Contains(t, w.Body.String(), "/destinations/0/settings/client_secret", "the present config has no such secret")

	list = append(list, history.ConfigChange{ID: 1, Who: "x", Text: strings.Replace(redacted(written), "${PARTNER}", "exec:touch "+p.file+".ran", 1)})
	assert.Contains(t, p.post("changes/config/1", nil), "which can be added or changed only in the config file itself", "what the state says runs no command")
	assert.NoFileExists(t, p.file+".ran")
	review := p.post("changes/config/2", nil)
	assert.Contains(t, review, `<span class="removed">-      - name: Very important`)
	assert.NotContains(t, review, "literal-secret")
	assert.NotContains(t, review, "Back to the form")
	text, err := os.ReadFile(p.file)
	require.NoError(t, err)
	assert.Equal(t, now, string(text), "looking changes nothing")
	id := draftID.FindStringSubmatch(review)
	require.NotNil(t, id)
	require.Equal(t, http.StatusSeeOther, p.do(http.MethodPost, "setup/write", url.Values{"draft": {id[1]}}, nil).Code)
	text, err = os.ReadFile(p.file)
	require.NoError(t, err)
	assert.Equal(t, written, string(text), "with its secrets and comments")
	assert.Contains(t, how, "revert to the config of ")
	assert.Equal(t, "local program", author.Who)
	assert.Contains(t, p.log.String(), "action=config.write")
	assert.Contains(t, newPage(t, written).get("changes/config"), "This console has no queue")
}
