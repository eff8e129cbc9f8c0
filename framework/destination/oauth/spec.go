package oauth

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// The grants.
const (
	AuthorizationCode = "authorization_code" // a user agrees in a browser, which is redirected to this machine
	DeviceCode        = "device_code"        // a user agrees in a browser on any device (RFC 8628)
	ClientCredentials = "client_credentials" // no user is involved
)

// Spec describes how a destination issues tokens.
type Spec struct {
	Grant           string
	AuthorizeURL    string
	DeviceURL       string
	TokenURL        string
	RevokeURL       string // RFC 7009; "" if tokens cannot be revoked
	Scopes          []string
	Audience        string
	RedirectHost    string            // the host of the redirect URI; 127.0.0.1 by default, localhost for remotes that accept nothing else
	PKCE            bool              // S256; on by default
	InBody          bool              // the client secret is sent in the body, not in a header
	Parameters      map[string]string // additional parameters of the authorization request
	TokenParameters map[string]string // additional parameters of token requests
	ClientID        string            // of the definition, such as a setting; "" if each instance has its own in auth
	ClientSecret    string
}

// specKeys are the keys of a Spec in a definition and in the auth of an instance.
var specKeys = []string{"grant", "authorizeUrl", "deviceUrl", "tokenUrl", "revokeUrl", "scopes", "audience", "redirectHost", "pkce", "clientAuthentication", "parameters", "tokenParameters", "clientId", "clientSecret"}

// MissingKey returns the first required key that v lacks, or "".
func MissingKey(v event.Value) string {
	needs := []string{"tokenUrl"}
	switch grantOf(v) {
	case AuthorizationCode:
		needs = append(needs, "authorizeUrl")
	case DeviceCode:
		needs = append(needs, "deviceUrl")
	}
	for _, key := range needs {
		if text := v.Get(key); !text.Exists() || text.IsString() && text.Str() == "" {
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

// ParseSpec parses the spec of a definition merged with an instance's auth. Texts with {{settings.key}} are templates. The
// error is a fault.Problems with pointers into v.
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
	if key := MissingKey(v); key != "" {
		problems.Add("/"+key, "should be a URL, but there is none")
		return nil, problems
	}
	s := &Spec{
		Grant: grantOf(v), AuthorizeURL: v.Get("authorizeUrl").Str(), DeviceURL: v.Get("deviceUrl").Str(), TokenURL: v.Get("tokenUrl").Str(),
		RevokeURL: v.Get("revokeUrl").Str(), Audience: v.Get("audience").Str(), RedirectHost: v.Get("redirectHost").Str(), PKCE: v.Get("pkce").Kind() != event.False,
		InBody: v.Get("clientAuthentication").Str() == "body", Parameters: stringMap(v.Get("parameters")), TokenParameters: stringMap(v.Get("tokenParameters")),
		ClientID: v.Get("clientId").Text(), ClientSecret: v.Get("clientSecret").Text(),
	}
	for _, scope := range v.Get("scopes").Items() {
		s.Scopes = append(s.Scopes, scope.Text())
	}
	for _, key := range urlKeys() {
		if text := v.Get(key).Str(); text != "" && !isSafeURL(text) {
			problems.Add("/"+key, unsafeURL, text)
		}
	}
	return s, problems.Err()
}

const unsafeURL = "should be an https URL, or one of this machine, but is %q"

func urlKeys() []string { return []string{"authorizeUrl", "deviceUrl", "tokenUrl", "revokeUrl"} }

// CheckURLs returns a problem for each URL of a definition's spec that is not safe whatever {{…}} inserts. A URL that begins with {{…}} is only
// known once it is resolved.
func CheckURLs(v event.Value) (problems fault.Problems) {
	for _, key := range urlKeys() {
		text := v.Get(key).Str()
		if text != "" && !strings.HasPrefix(text, "{{") && !isSafeURL(inserted.ReplaceAllString(text, "x")) {
			problems.Add("/"+key, unsafeURL, text)
		}
	}
	return problems
}

// inserted matches what a template inserts.
var inserted = regexp.MustCompile(`\{\{[^}]*\}\}`)

// isSafeURL reports whether secrets may be sent to a URL.
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

// SelectSpec returns the members of v that belong to a Spec.
func SelectSpec(v event.Value) event.Value {
	var members []event.Member
	for key, m := range v.Members() {
		if slices.Contains(specKeys, key) {
			members = append(members, event.Member{Key: key, Value: m})
		}
	}
	return event.NewObject(members)
}

// loginRequired returns an error that only a login resolves. Events wait until then.
func loginRequired(format string, args ...any) *fault.Error {
	return &fault.Error{Code: fault.CodeLogin, Status: 401, Retry: true, Message: fmt.Sprintf(format, args...)}
}
