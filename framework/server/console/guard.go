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
	cookieName  = "landfall-console"
	sessionTime = 12 * time.Hour
	maxSessions = 100
	maxForm     = 4 << 20 // bytes of a request
)

// policy allows what is embedded here and nothing else: no script or style in a page, none from elsewhere.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'"

// protect bounds every request, refuses changes that a page from elsewhere asks for, and tells browsers what they may do.
func protect(next http.Handler) http.Handler {
	origins := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := origins.Check(r); err != nil || changes(r) && !fromPage(r) {
			http.Error(w, "This came from another page than the console's, so nothing was changed.", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func changes(r *http.Request) bool { return r.Method != http.MethodGet && r.Method != http.MethodHead }

// fromPage tells whether a browser says where a request comes from. Programs have the admin's API.
func fromPage(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != ""
}

// guard lets in requests of a session, and, as long as no key is set, those of this machine.
func (c *Console) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if actor, ok := c.actor(r); ok {
			next.ServeHTTP(w, r.WithContext(access.WithActor(r.Context(), actor)))
			return
		}
		if r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") != "cors" {
			http.Redirect(w, r, Path+"login", http.StatusSeeOther)
			return
		}
		http.Error(w, "The session is over: sign in again.", http.StatusUnauthorized)
	})
}

// actor returns who makes a request, if it is let in.
func (c *Console) actor(r *http.Request) (access.Actor, bool) {
	if name, ok := c.sessions.find(r, c.Guard.Key()); ok {
		return access.Actor{Who: "console session " + name, From: c.Guard.Client(r).String()}, true
	}
	if c.Guard.AllowsLocal(r) {
		return c.Guard.LocalActor(r), true
	}
	return access.Actor{}, false
}

// sessions are the sign-ins that have not ended. Each ends with the key that it was opened with.
type sessions struct {
	mu   sync.Mutex
	open map[string]session
}

type session struct {
	key  [sha256.Size]byte
	end  time.Time
	name string // for the audit log
}

// find returns the name of a request's session.
func (s *sessions) find(r *http.Request, key string) (name string, ok bool) {
	cookie, err := r.Cookie(cookieName)
	if err != nil || key == "" {
		return "", false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.open[cookie.Value]
	return found.name, ok && found.key == sha256.Sum256([]byte(key)) && time.Now().Before(found.end)
}

// begin opens a session.
func (s *sessions) begin(key string) (id string) {
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
	s.open[id] = session{sha256.Sum256([]byte(key)), now.Add(sessionTime), rand.Text()[:6]}
	return id
}

func (s *sessions) end(r *http.Request) {
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

func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	c.show(w, r, http.StatusOK, "login", page{Title: "Sign in", Data: loginView{NoKey: !c.Guard.HasKey()}})
}

func (c *Console) signIn(w http.ResponseWriter, r *http.Request) {
	key := c.Guard.Key()
	if _, err := c.Guard.SignIn(r, r.PostFormValue("key")); err != nil {
		status, view := http.StatusUnauthorized, loginView{NoKey: key == "", Error: "That is not the admin key."}
		var limited *access.LimitedError
		if errors.As(err, &limited) {
			limited.SetRetryAfter(w.Header())
			status, view.Error = http.StatusTooManyRequests, fmt.Sprintf("Too many tries from your address. Wait %s seconds.", w.Header().Get("Retry-After"))
		}
		c.show(w, r, status, "login", page{Title: "Sign in", Data: view})
		return
	}
	id := c.sessions.begin(key)
	secure := r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: id, Path: Path, MaxAge: int(sessionTime.Seconds()), HttpOnly: true, Secure: secure, SameSite: http.SameSiteStrictMode,
	})
	http.Redirect(w, r, Path, http.StatusSeeOther)
}

func (c *Console) signOut(w http.ResponseWriter, r *http.Request) {
	c.sessions.end(r)
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: Path, MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, Path+"login", http.StatusSeeOther)
}
