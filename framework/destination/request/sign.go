package request

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// signature signs a finished request with an HMAC in a header or in a parameter of the URL.
type signature struct {
	secret, algorithm, encoding, prefix *mapping.Mapping
	to                                  signaturePlace
	text                                *mapping.Mapping // the text that is signed; nil for the body
	timestamp                           signaturePlace   // where the time of the request is sent
	form                                string           // of the timestamp
}

// signaturePlace is a header or a parameter of the URL. Both are nil if a value is not sent.
type signaturePlace struct{ header, query *mapping.Mapping }

var (
	algorithms    = []string{"sha1", "sha256", "sha512", "md5"}
	signEncodings = []string{"hex", "base64"}
)

// The forms of a timestamp.
const (
	inSeconds      = "seconds"
	inMilliseconds = "milliseconds"
	inISO          = "iso"
)

// signedKeys are the keys of request, which the text of a signature may read.
var signedKeys = []string{"method", "url", "host", "path", "query", "parameters", "headers", "body", "timestamp"}

func (c *compiler) compileSignature(v event.Value, place string) *signature {
	if v.Kind() == event.Absent {
		return nil
	}
	s := &signature{
		secret:    c.compileMapping(v.Get("secret"), place+"/secret"),
		algorithm: c.compileChoice(v.Get("algorithm"), place+"/algorithm", "sha256", algorithms),
		encoding:  c.compileChoice(v.Get("encoding"), place+"/encoding", "hex", signEncodings),
		prefix:    c.compileMapping(v.Get("prefix"), place+"/prefix"),
		to:        c.compilePlace(v, place, "signature"),
	}
	if t := v.Get("timestamp"); t.Exists() {
		s.timestamp, s.form = c.compilePlace(t, place+"/timestamp", "time"), t.Get("form").Str()
	}
	c.names[signedRequest] = signedKeys
	s.text = c.compileMapping(v.Get("text"), place+"/text")
	delete(c.names, signedRequest)
	return s
}

// compilePlace compiles where a value is sent: in either a header or a parameter.
func (c *compiler) compilePlace(v event.Value, place, what string) signaturePlace {
	if v.Get("header").Exists() == v.Get("query").Exists() {
		c.problems.Add(place, "needs either header or query, the name under which the %s is sent", what)
	}
	return signaturePlace{header: c.compileMapping(v.Get("header"), place+"/header"), query: c.compileMapping(v.Get("query"), place+"/query")}
}

// signRequest signs a request whose URL is absolute, at a time. It does nothing if the secret is empty, if the request already has the
// signature, or if a body is signed and there is none.
func (s *signature) signRequest(b *Built, scope event.Value, now time.Time) error {
	if s == nil || b.Body == nil && s.text == nil {
		return nil
	}
	secret, err := resolveText(s.secret, scope)
	if err != nil || secret == "" {
		return err
	}
	if signed, err := s.to.isSet(b, scope); signed || err != nil {
		return err
	}
	var values [3]string
	for i, m := range []*mapping.Mapping{s.algorithm, s.encoding, s.prefix} {
		if values[i], err = resolveText(m, scope); err != nil {
			return err
		}
	}
	algorithm, encoding, prefix := values[0], values[1], values[2]
	switch {
	case !slices.Contains(algorithms, algorithm):
		return fault.Invalid("a signature's algorithm should be %s, but is %q", strings.Join(algorithms, ", "), algorithm)
	case !slices.Contains(signEncodings, encoding):
		return fault.Invalid("a signature's encoding should be %s, but is %q", strings.Join(signEncodings, ", "), encoding)
	}
	timestamp := formatTimestamp(s.form, now)
	if err := s.timestamp.set(b, scope, timestamp); err != nil {
		return err
	}
	text, err := s.signedText(b, scope, timestamp)
	if err != nil {
		return err
	}
	return s.to.set(b, scope, prefix+computeHMAC(algorithm, encoding, secret, text))
}

// signedText returns the bytes that are signed.
func (s *signature) signedText(b *Built, scope event.Value, timestamp string) ([]byte, error) {
	if s.text == nil {
		return b.Body, nil
	}
	u, err := url.Parse(b.URL)
	if err != nil {
		return nil, fault.Invalid("%q is not a URL", fault.ShownURL(b.URL))
	}
	texts := func(values map[string][]string, nameOf func(string) string) event.Value {
		var members []event.Member
		for _, name := range sortedKeys(values) {
			members = append(members, event.Member{Key: nameOf(name), Value: event.NewString(strings.Join(values[name], ","))})
		}
		return event.NewObject(members)
	}
	parts := []event.Value{
		event.NewString(b.Method), event.NewString(b.URL), event.NewString(u.Host), event.NewString(u.EscapedPath()), event.NewString(u.RawQuery),
		texts(u.Query(), func(name string) string { return name }), texts(b.Header, strings.ToLower), event.NewString(string(b.Body)), event.NewString(timestamp),
	}
	members := make([]event.Member, len(parts))
	for i, v := range parts {
		members[i] = event.Member{Key: signedKeys[i], Value: v}
	}
	text, err := resolveText(s.text, withMembers(scope, event.Member{Key: signedRequest, Value: event.NewObject(members)}))
	return []byte(text), err
}

// names returns the names under which the value is sent; at most one is set.
func (p signaturePlace) names(scope event.Value) (header, query string, err error) {
	if header, err = resolveText(p.header, scope); err != nil {
		return "", "", err
	}
	query, err = resolveText(p.query, scope)
	return header, query, err
}

// isSet reports whether a request has a value at the place.
func (p signaturePlace) isSet(b *Built, scope event.Value) (bool, error) {
	header, query, err := p.names(scope)
	if err != nil {
		return false, err
	}
	u, err := url.Parse(b.URL)
	return header != "" && b.Header.Get(header) != "" || query != "" && err == nil && u.Query().Has(query), nil
}

// set adds a value to a request. It does nothing for no place.
func (p signaturePlace) set(b *Built, scope event.Value, value string) error {
	header, query, err := p.names(scope)
	switch {
	case err != nil:
		return err
	case p.header != nil:
		if !httpguts.ValidHeaderFieldName(header) || !httpguts.ValidHeaderFieldValue(value) {
			return fault.Invalid("the signature cannot be sent in the header %q: the name or the value is not valid", header)
		}
		if b.Header == nil {
			b.Header = http.Header{}
		}
		b.Header.Set(header, value)
	case p.query != nil:
		u, err := url.Parse(b.URL)
		if err != nil {
			return fault.Invalid("%q is not a URL", fault.ShownURL(b.URL))
		}
		addQuery(u, url.Values{query: {value}})
		b.URL = u.String()
	}
	return nil
}

func formatTimestamp(form string, now time.Time) string {
	switch form {
	case inMilliseconds:
		return strconv.FormatInt(now.UnixMilli(), 10)
	case inISO:
		return now.UTC().Format("2006-01-02T15:04:05Z")
	}
	return strconv.FormatInt(now.Unix(), 10)
}

func computeHMAC(algorithm, encoding, secret string, text []byte) string {
	hashes := map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New, "md5": md5.New}
	mac := hmac.New(hashes[algorithm], []byte(secret))
	mac.Write(text)
	if encoding == "base64" {
		return base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return hex.EncodeToString(mac.Sum(nil))
}
