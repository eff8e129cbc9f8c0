package console

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/landfall-dev/landfall/framework/httpx"
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

// guard lets in this machine where nobody stands between, and who has shown the key. A name that somebody made to lead to this
// machine is not this machine's.
func (c *Console) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if httpx.Local(r) || c.sessions.known(r, c.key()) {
			next.ServeHTTP(w, r)
			return
		}
		if r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") != "cors" {
			http.Redirect(w, r, Path+"login", http.StatusSeeOther)
			return
		}
		http.Error(w, "The session is over: sign in again.", http.StatusUnauthorized)
	})
}

func (c *Console) key() string {
	if c.Key == nil {
		return ""
	}
	return c.Key()
}

// sessions are of who has shown the key, as it was then.
type sessions struct {
	mu    sync.Mutex
	open  map[string]session
	tries *rate.Limiter
}

type session struct {
	key [sha256.Size]byte
	end time.Time
}

func (s *sessions) known(r *http.Request, key string) bool {
	cookie, err := r.Cookie(cookieName)
	if err != nil || key == "" {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.open[cookie.Value]
	return ok && found.key == sha256.Sum256([]byte(key)) && time.Now().Before(found.end)
}

// begin opens a session for who has the key, however many try; else it says what is wrong.
func (s *sessions) begin(given, key string) (id, wrong string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open, s.tries = map[string]session{}, rate.NewLimiter(rate.Every(time.Second), 5)
	}
	if !s.tries.Allow() {
		return "", "Too many tries. Wait a few seconds."
	}
	if !httpx.Opens(given, key) {
		return "", "That is not the admin key."
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
	s.open[id] = session{sha256.Sum256([]byte(key)), now.Add(sessionTime)}
	return id, ""
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
	c.show(w, r, http.StatusOK, "login", page{Title: "Sign in", Data: loginView{NoKey: c.key() == ""}})
}

func (c *Console) signIn(w http.ResponseWriter, r *http.Request) {
	id, wrong := c.sessions.begin(r.PostFormValue("key"), c.key())
	if wrong != "" {
		c.show(w, r, http.StatusUnauthorized, "login", page{Title: "Sign in", Data: loginView{NoKey: c.key() == "", Error: wrong}})
		return
	}
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
