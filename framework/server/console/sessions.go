package console

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/server/access"
)

const (
	cookieName      = "landfall-console"
	sessionLifetime = 12 * time.Hour
	maxSessions     = 100
	maxForm         = 4 << 20 // bytes of a request body
)

// policy allows only the embedded assets: no inline script or style, and nothing from other hosts.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'"

// protectRequests limits request bodies, rejects cross-origin changes and sets the security headers.
func protectRequests(next http.Handler) http.Handler {
	origins := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := origins.Check(r); err != nil || isChange(r) && !hasBrowserOrigin(r) {
			http.Error(w, "Nothing was changed: the request did not come from a page of this console.", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isChange(r *http.Request) bool { return r.Method != http.MethodGet && r.Method != http.MethodHead }

// hasBrowserOrigin reports whether the request carries the origin headers that browsers send. Programs use the admin API instead.
func hasBrowserOrigin(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != ""
}

// requireSession allows requests with a session and, if no admin key is set, requests from this machine.
func (c *Console) requireSession(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if actor, ok := c.requestActor(r); ok {
			next.ServeHTTP(w, r.WithContext(access.WithActor(r.Context(), actor)))
			return
		}
		if r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") != "cors" {
			http.Redirect(w, r, Path+"login", http.StatusSeeOther)
			return
		}
		http.Error(w, "Your session has expired. Sign in again.", http.StatusUnauthorized)
	})
}

// requestActor returns the actor of a request; false if the request is not allowed.
func (c *Console) requestActor(r *http.Request) (access.Actor, bool) {
	if name, ok := c.sessions.findSession(r, c.Guard.Key()); ok {
		return access.Actor{Who: "console session " + name, From: c.Guard.Client(r).String()}, true
	}
	if c.Guard.AllowsLocal(r) {
		return c.Guard.LocalActor(r), true
	}
	return access.Actor{}, false
}

// sessions are the open sessions. A session is valid only while the admin key is the one it was opened with.
type sessions struct {
	mu   sync.Mutex
	open map[string]session
}

type session struct {
	key  [sha256.Size]byte
	end  time.Time
	name string // for the audit log
}

// findSession returns the name of the request's session; false if it has no valid one.
func (s *sessions) findSession(r *http.Request, key string) (name string, ok bool) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return "", false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.open[cookie.Value]
	return found.name, ok && found.key == sha256.Sum256([]byte(key)) && time.Now().Before(found.end)
}

// createSession opens a session and returns its id. It drops expired sessions, and the oldest one if there are too many.
func (s *sessions) createSession(key string) (id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[string]session{}
	}
	now, oldest := time.Now(), ""
	for id, known := range s.open {
		if now.After(known.end) {
			delete(s.open, id)
		} else if oldest == "" || known.end.Before(s.open[oldest].end) {
			oldest = id
		}
	}
	if len(s.open) >= maxSessions {
		delete(s.open, oldest)
	}
	id = rand.Text()
	s.open[id] = session{sha256.Sum256([]byte(key)), now.Add(sessionLifetime), rand.Text()[:6]}
	return id
}

func (s *sessions) endSession(r *http.Request) {
	if cookie, err := r.Cookie(cookieName); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.open, cookie.Value)
	}
}

type loginView struct {
	NoKey bool
	Error string
}

// handleLogin shows the login page. A link with a token, which landfall serve prints, signs in at once.
func (c *Console) handleLogin(w http.ResponseWriter, r *http.Request) {
	if token := r.URL.Query().Get("token"); token != "" {
		c.signIn(w, r, token)
		return
	}
	c.renderPage(w, r, http.StatusOK, "login", page{Title: "Sign in", Data: loginView{NoKey: !c.Guard.HasKey()}})
}

func (c *Console) handleSignIn(w http.ResponseWriter, r *http.Request) {
	c.signIn(w, r, r.PostFormValue("key"))
}

// signIn opens a session for the admin key or the token of this server.
func (c *Console) signIn(w http.ResponseWriter, r *http.Request, given string) {
	key := c.Guard.Key()
	if _, err := c.Guard.SignIn(r, given); err != nil {
		status, view := http.StatusUnauthorized, loginView{NoKey: key == "", Error: "That is not the admin key."}
		var limited *access.LimitedError
		if errors.As(err, &limited) {
			limited.SetRetryAfter(w.Header())
			status, view.Error = http.StatusTooManyRequests, fmt.Sprintf("Too many attempts from your address. Wait %s seconds.", w.Header().Get("Retry-After"))
		}
		c.renderPage(w, r, status, "login", page{Title: "Sign in", Data: view})
		return
	}
	id := c.sessions.createSession(key)
	secure := r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: id, Path: Path, MaxAge: int(sessionLifetime.Seconds()), HttpOnly: true, Secure: secure, SameSite: http.SameSiteStrictMode,
	})
	http.Redirect(w, r, Path, http.StatusSeeOther)
}

func (c *Console) handleSignOut(w http.ResponseWriter, r *http.Request) {
	c.sessions.endSession(r)
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: Path, MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, Path+"login", http.StatusSeeOther)
}
