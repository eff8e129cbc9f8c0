package oauth

import (
	"fmt"
	"net"
	"net/url"
	"slices"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// The ways to a token.
const (
	AuthorizationCode = "authorization_code" // somebody agrees in a browser, which comes back to this machine
	DeviceCode        = "device_code"        // somebody agrees in a browser anywhere (RFC 8628)
	ClientCredentials = "client_credentials" // nobody is asked
)

// Spec is how a destination gives tokens.
type Spec struct {
	Grant           string
	AuthorizeURL    string
	DeviceURL       string
	TokenURL        string
	RevokeURL       string // RFC 7009; "" where tokens cannot be taken back
	Scopes          []string
	Audience        string
	RedirectHost    string            // where the browser comes back to; 127.0.0.1 by default, localhost for remotes that take that alone
	PKCE            bool              // S256; on unless it is turned off
	InBody          bool              // the client's secret stands in the body, not in the header
	Parameters      map[string]string // further ones of the request to agree
	TokenParameters map[string]string // further ones of each request for a token
}

// specKeys are those of a Spec in a definition, and in the auth of an instance.
var specKeys = []string{"grant", "authorizeUrl", "deviceUrl", "tokenUrl", "revokeUrl", "scopes", "audience", "redirectHost", "pkce", "clientAuthentication", "parameters", "tokenParameters"}

// MissingKey is the key that v needs and does not have, "" where it is whole.
func MissingKey(v event.Value) string {
	needs := []string{"tokenUrl"}
	switch grantOf(v) {
	case AuthorizationCode:
		needs = append(needs, "authorizeUrl")
	case DeviceCode:
		needs = append(needs, "deviceUrl")
	}
	for _, key := range needs {
		if v.Get(key).Str() == "" {
			return key
		}
	}
	return ""
}

func grantOf(v event.Value) string {
	if g := v.Get("grant").Str(); g != "" {
		return g
	}
	return AuthorizationCode
}

// ParseSpec reads what a definition says, with an instance's auth over it. Texts with {{settings.key}} are templates. The error
// is a fault.Problems with pointers below v.
func ParseSpec(v, settings event.Value) (*Spec, error) {
	var problems fault.Problems
	if key := MissingKey(v); key != "" {
		problems.Add("", "needs %s for the grant %s", key, grantOf(v))
		return nil, problems
	}
	m, err := mapping.Compile(mapping.ConvertTemplates(v))
	if err != nil {
		return nil, err
	}
	v, err = m.Resolve(event.NewObject([]event.Member{{Key: "settings", Value: settings}}))
	if err != nil {
		return nil, fault.Problems{{Message: err.Error()}}
	}
	s := &Spec{
		Grant: grantOf(v), AuthorizeURL: v.Get("authorizeUrl").Str(), DeviceURL: v.Get("deviceUrl").Str(), TokenURL: v.Get("tokenUrl").Str(),
		RevokeURL: v.Get("revokeUrl").Str(), Audience: v.Get("audience").Str(), RedirectHost: v.Get("redirectHost").Str(), PKCE: v.Get("pkce").Kind() != event.False,
		InBody: v.Get("clientAuthentication").Str() == "body", Parameters: stringMap(v.Get("parameters")), TokenParameters: stringMap(v.Get("tokenParameters")),
	}
	for _, scope := range v.Get("scopes").Items() {
		s.Scopes = append(s.Scopes, scope.Text())
	}
	for _, key := range []string{"authorizeUrl", "deviceUrl", "tokenUrl", "revokeUrl"} {
		if text := v.Get(key).Str(); text != "" && !isSafeURL(text) {
			problems.Add("/"+key, "should be an https URL, or one of this machine, but is %q", text)
		}
	}
	return s, problems.Err()
}

// isSafeURL tells whether secrets may go to a URL.
func isSafeURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	local := u.Hostname() == "localhost"
	if ip := net.ParseIP(u.Hostname()); ip != nil {
		local = ip.IsLoopback()
	}
	return u.Scheme == "https" || u.Scheme == "http" && local
}

func stringMap(v event.Value) map[string]string {
	all := map[string]string{}
	for key, m := range v.Members() {
		all[key] = m.Text()
	}
	return all
}

// SelectSpec is what v says in the keys of a Spec.
func SelectSpec(v event.Value) event.Value {
	var members []event.Member
	for key, m := range v.Members() {
		if slices.Contains(specKeys, key) {
			members = append(members, event.Member{Key: key, Value: m})
		}
	}
	return event.NewObject(members)
}

// loginRequired is the error where only a person can help: what waits is kept until then.
func loginRequired(format string, args ...any) *fault.Error {
	return &fault.Error{Code: fault.CodeLogin, Status: 401, Retry: true, Message: fmt.Sprintf(format, args...)}
}
