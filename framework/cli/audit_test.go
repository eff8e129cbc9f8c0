package cli

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestChangesWriteAuditLines checks that every change from commands, the admin API and the console writes an audit line with the
// action, the actor and the address, without users and keys.
func TestChangesWriteAuditLines(t *testing.T) {
	s := newServed(t, keyedConfig, "--sandbox")
	s.start()
	s.post(entered("secret-user", "vip"))
	s.waitSettled(1)
	for _, args := range [][]string{{"dead", "replay", "--user", "secret-user"}, {"dead", "drop", "--all"}, {"replay", "--since", "1h", "--instance", "braze-main", "--subscribe", `userId = "secret-user"`}} {
		out, ok := landfall(t, nil, append(args, "--data", s.dataDir())...)
		require.True(t, ok, out)
	}
	s.logs(`msg=audit action=letters.replay who="local command" from=127.0.0.1 outcome=ok by_user=true count=0`)
	s.logs(`msg=audit action=letters.drop who="local command" from=127.0.0.1 outcome=ok count=0`)
	s.logs(`msg=audit action=events.replay who="local command" from=127.0.0.1 outcome=ok instance=braze-main`)
	r, err := http.NewRequest(http.MethodPost, s.admin.URL+"/admin/reload", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+testKey)
	answer, err := s.client.Do(r)
	require.NoError(t, err)
	_ = answer.Body.Close()
	s.logs(`msg=audit action=config.reload who="admin key" from=127.0.0.1 outcome=ok`)

	cookie := s.consoleLogin()
	s.consolePost(cookie, "letters", url.Values{"do": {"replay"}, "user": {"secret-user"}})
	s.logs("msg=audit action=letters.replay who=\"console session ")
	s.consolePost(cookie, "audiences/braze-main/aud_vip", url.Values{"do": {"resync"}})
	s.logs("msg=audit action=cohort.resync who=\"console session ")
	s.logs("msg=audit action=cohort.resync.end who=\"console session ")
	s.consolePost(cookie, "audiences/braze-main/aud_vip", url.Values{"do": {"purge"}, "confirm": {"vip"}})
	s.logs("msg=audit action=cohort.purge who=\"console session ")
	s.consolePost("", "login", url.Values{"key": {"wrong-key"}})
	s.logs(`level=WARN msg=audit action=login who=unknown from=127.0.0.1 outcome=refused`)
	log, err := os.ReadFile(s.log.Name())
	require.NoError(t, err)
	for line := range strings.Lines(string(log)) {
		for _, secret := range []string{"secret-user", testKey, "wrong-key", s.admin.Token} {
			assert.NotContains(t, line, secret)
		}
	}
}

// consoleLogin signs in and returns the cookie.
func (s *served) consoleLogin() string {
	answer := s.consolePost("", "login", url.Values{"key": {testKey}})
	require.Len(s.t, answer.Cookies(), 1)
	return answer.Cookies()[0].Name + "=" + answer.Cookies()[0].Value
}

// consolePost sends a form as a page of the console does.
func (s *served) consolePost(cookie, path string, form url.Values) *http.Response {
	r, err := http.NewRequest(http.MethodPost, s.admin.URL+"/console/"+path, strings.NewReader(form.Encode()))
	require.NoError(s.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", s.admin.URL)
	r.Header.Set("Cookie", cookie)
	client := *s.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := client.Do(r)
	require.NoError(s.t, err)
	_ = answer.Body.Close()
	return answer
}
