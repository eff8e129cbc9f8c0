package destination

import (
	"net/http"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/reference"
)

// Scheme is how requests are authenticated.
type Scheme string

// schemeEntry is an entry of the table of schemes.
type schemeEntry struct {
	name     Scheme
	summary  string
	settings []string // the settings that a definition needs
	token    tokenUse
	// authorize adds credentials from the settings to a request; nil if the scheme adds none.
	authorize func(r *http.Request, settings event.Value)
}

// tokenUse is how a scheme uses access tokens.
type tokenUse int

const (
	optionalToken tokenUse = iota // only if the definition says so
	hostToken                     // the host or the config provides a token
	loginToken                    // a login provides a token, as the definition describes
)

// schemes lists all schemes. It is read-only.
var schemes = []schemeEntry{
	{name: "none", summary: "requests carry no credentials"},
	{name: "basic", summary: "HTTP basic authentication with the settings `username` and `password`", settings: []string{"username", "password"}, authorize: setBasicAuth},
	{name: "custom", summary: "the requests of the definition or of the code use the settings"},
	{name: "oauth2", summary: "a bearer token, which `landfall auth login` gets from the URLs of the definition", token: loginToken},
	{name: "oauth-managed", summary: "a bearer token, which the host or the config provides", token: hostToken},
}

func setBasicAuth(r *http.Request, settings event.Value) {
	r.SetBasicAuth(settings.Get("username").Text(), settings.Get("password").Text())
}

// Schemes lists the authentication schemes.
func Schemes() []reference.Entry {
	list := make([]reference.Entry, len(schemes))
	for i, s := range schemes {
		list[i] = reference.Entry{Name: string(s.name), Summary: s.summary}
	}
	return list
}

// entry returns the entry of a scheme. An unknown scheme counts as none.
func (s Scheme) entry() *schemeEntry {
	for i := range schemes {
		if schemes[i].name == s {
			return &schemes[i]
		}
	}
	return &schemes[0]
}

// Summary describes the scheme in one phrase.
func (s Scheme) Summary() string { return s.entry().summary }

// NeedsToken reports whether every request needs an access token.
func (s Scheme) NeedsToken() bool { return s.entry().token != optionalToken }

// NeedsLogin reports whether the access tokens come from a login.
func (s Scheme) NeedsLogin() bool { return s.entry().token == loginToken }

// Authorize returns a function that adds the scheme's credentials to a request, or nil if the scheme adds none.
func (s Scheme) Authorize() func(r *http.Request, settings event.Value) { return s.entry().authorize }
