package console

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// has reports whether a request with the session's cookie has access while the admin key is key.
func (s *sessions) has(id, key string) bool {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.AddCookie(&http.Cookie{Name: cookieName, Value: id})
	_, ok := s.findSession(r, key)
	return ok
}

func TestSessionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sessions{}
		id := s.createSession("key")
		assert.True(t, s.has(id, "key"))
		assert.False(t, s.has(id, "new key"), "another key ends all sessions")
		assert.False(t, s.has(id, ""), "without a key there are no sessions")
		assert.False(t, s.has("", "key"))
		time.Sleep(sessionLifetime - time.Second)
		assert.True(t, s.has(id, "key"))
		time.Sleep(time.Second)
		assert.False(t, s.has(id, "key"))
		time.Sleep(time.Second)
		s.createSession("key")
		assert.Len(t, s.open, 1, "expired sessions are removed")
	})
}

func TestSessionsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sessions{}
		var ids []string
		for range maxSessions + 1 {
			ids = append(ids, s.createSession("key"))
			time.Sleep(time.Second)
		}
		assert.Len(t, s.open, maxSessions)
		assert.False(t, s.has(ids[0], "key"), "the oldest makes way")
		for _, id := range ids[1:] {
			assert.True(t, s.has(id, "key"))
		}
	})
}
