package httpx

import (
	"cmp"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Hidden replaces a secret.
const Hidden = "[hidden]"

// minSecret is the minimum length of values that are hidden wherever they occur. A shorter one would occur by chance, and is
// hidden only by its name.
const minSecret = 4

// maxCredentials is the maximum number of values added while a Redactor is in use; the oldest are dropped.
const maxCredentials = 64

// Redactor hides secrets: by name, and by value wherever it occurs. It is safe for concurrent use.
type Redactor struct {
	names  map[string]bool
	values []string

	mu       sync.RWMutex
	added    []string
	replacer *strings.Replacer
}

// NewRedactor returns a Redactor for these names, in addition to the usual ones, and these values.
func NewRedactor(names, values []string) *Redactor {
	r := &Redactor{names: map[string]bool{}, values: values}
	for _, name := range names {
		r.names[plainName(name)] = true
	}
	r.replacer = newReplacer(values)
	return r
}

var withoutSeparators = strings.NewReplacer("-", "", "_", "")

func plainName(name string) string { return withoutSeparators.Replace(strings.ToLower(name)) }

// newReplacer returns a replacer that hides values as they are and in their URL and JSON encodings.
func newReplacer(values []string) *strings.Replacer {
	var forms []string
	for _, v := range values {
		if len(v) < minSecret {
			continue
		}
		quoted, _ := json.Marshal(v)
		forms = append(forms, v, url.QueryEscape(v), url.PathEscape(v), string(quoted[1:len(quoted)-1]), inJSON(v))
	}
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	forms = slices.Compact(forms)
	pairs := make([]string, 0, 2*len(forms))
	for _, form := range forms {
		pairs = append(pairs, form, Hidden)
	}
	return strings.NewReplacer(pairs...)
}

func inJSON(v string) string {
	quoted := event.AppendString(nil, v)
	return string(quoted[1 : len(quoted)-1])
}

// AddValue adds a value to hide from now on, such as a new token.
func (r *Redactor) AddValue(value string) { r.addValue(value) }

// addValue adds a value that was not known when the Redactor was made, such as a fresh token.
func (r *Redactor) addValue(value string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(value) < minSecret || slices.Contains(r.added, value) {
		return
	}
	if len(r.added) == maxCredentials {
		r.added = r.added[1:]
	}
	r.added = append(slices.Clone(r.added), value)
	r.replacer = newReplacer(append(slices.Clone(r.values), r.added...))
}

// Redact hides the values in any text.
func (r *Redactor) Redact(text string) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.replacer.Replace(text)
}

// isSecret reports whether name names a secret.
func (r *Redactor) isSecret(name string) bool { return IsSecretName(name) || r.names[plainName(name)] }

// hideCredentials adds the values of headers that carry secrets.
func (r *Redactor) hideCredentials(header http.Header) {
	for name, values := range header {
		for _, v := range values {
			if !r.isSecret(name) {
				continue
			}
			if _, bare, ok := strings.Cut(v, " "); ok {
				v = bare // after a scheme such as Bearer
			}
			r.addValue(v)
		}
	}
}

// hideValue hides a header's value but keeps a scheme such as Bearer.
func hideValue(value string) string {
	if scheme, _, ok := strings.Cut(value, " "); ok && len(scheme) <= 10 {
		return scheme + " " + Hidden
	}
	return Hidden
}

// Header returns a redacted copy of a header.
func (r *Redactor) Header(header http.Header) http.Header {
	shown := http.Header{}
	for name, values := range header {
		for _, v := range values {
			if r.isSecret(name) {
				v = hideValue(v)
			}
			shown[name] = append(shown[name], r.Redact(v))
		}
	}
	return shown
}

// URL returns the text of a URL without its secrets.
func (r *Redactor) URL(u *url.URL) string {
	shown := *u
	if u.User != nil {
		shown.User = url.User(Hidden)
	}
	if u.RawQuery != "" {
		shown.RawQuery = r.redactForm(u.RawQuery)
	}
	return r.Redact(strings.ReplaceAll(shown.String(), url.PathEscape(Hidden), Hidden))
}

// redactForm hides the values of secret names in a query or a form.
func (r *Redactor) redactForm(text string) string {
	parts := strings.Split(text, "&")
	for i, part := range parts {
		name, _, ok := strings.Cut(part, "=")
		plain, err := url.QueryUnescape(name)
		if ok && (err != nil || r.isSecret(plain)) {
			parts[i] = name + "=" + Hidden
		}
	}
	return strings.Join(parts, "&")
}

// Body returns a body without its secrets. JSON stays valid JSON.
func (r *Redactor) Body(contentType string, raw []byte) []byte {
	return r.bodyStart(contentType, raw, math.MaxInt)
}

// bodyStart is Body for the first bytes. If Body returns more than most bytes, bodyStart returns a part that begins with these and has more,
// which costs less if the body is JSON.
func (r *Redactor) bodyStart(contentType string, raw []byte, most int) []byte {
	if v, err := event.ParseString(string(raw)); err == nil {
		return r.appendStart(nil, v, false, most)
	}
	text := string(raw)
	if strings.HasPrefix(contentType, "application/x-www-form-urlencoded") {
		text = r.redactForm(text)
	}
	return []byte(r.Text(text))
}

// Text hides the secrets in a text: those in its URLs, and the values of JSON keys with the names of secrets. The text may be cut off.
func (r *Redactor) Text(text string) string {
	return r.redactURLs(jsonPair.ReplaceAllStringFunc(text, r.redactPair))
}

// Parts of a URL in a text.
var (
	urlUser  = regexp.MustCompile(`://[^/?#\s"'<>\\]+@`) // the user and the password before its host
	urlQuery = regexp.MustCompile(`[?#][^?#\s"'<>\\]+`)  // its query or fragment
)

// redactURLs hides the values in a text, and the secrets of its URLs.
func (r *Redactor) redactURLs(text string) string {
	text = r.Redact(text)
	if !strings.Contains(text, "://") {
		return text
	}
	text = urlUser.ReplaceAllLiteralString(text, "://"+Hidden+"@")
	return urlQuery.ReplaceAllStringFunc(text, func(found string) string { return found[:1] + r.redactForm(found[1:]) })
}

// jsonPair matches a JSON key with a string value anywhere in a text.
var jsonPair = regexp.MustCompile(`"([^"\\]{1,64})"\s*:\s*"(?:[^"\\]|\\.)*(?:"|$)`)

// redactPair hides the value of a secret name.
func (r *Redactor) redactPair(found string) string {
	if name := jsonPair.FindStringSubmatch(found)[1]; r.isSecret(name) {
		return `"` + name + `":"` + Hidden + `"`
	}
	return found
}

// Value returns the JSON value of a name without its secrets.
func (r *Redactor) Value(name string, v event.Value) event.Value {
	secret := r.isSecret(name)
	if v.Kind() != event.Array && v.Kind() != event.Object {
		return r.redactScalar(v, secret)
	}
	shown, err := event.ParseValue(r.appendStart(nil, v, secret, math.MaxInt))
	if err != nil { // what is nested too deeply to be parsed
		return event.NewString(Hidden)
	}
	return shown
}

// appendStart appends a JSON value without its secrets. Below a secret name everything but null and booleans is hidden. If out has more than most
// bytes then, the end is missing.
func (r *Redactor) appendStart(out []byte, v event.Value, secret bool, most int) []byte {
	switch v.Kind() {
	case event.Array:
		out = append(out, '[')
		for i, item := range v.Items() {
			if len(out) > most {
				break
			}
			if i > 0 {
				out = append(out, ',')
			}
			out = r.appendStart(out, item, secret, most)
		}
		return append(out, ']')
	case event.Object:
		out = append(out, '{')
		separator := ""
		for key, m := range v.Members() {
			if len(out) > most {
				break
			}
			out = append(event.AppendString(append(out, separator...), r.Redact(key)), ':')
			out = r.appendStart(out, m, secret || r.isSecret(key), most)
			separator = ","
		}
		return append(out, '}')
	}
	return r.redactScalar(v, secret).AppendJSON(out)
}

// redactScalar returns a value that is no array or object without its secrets, or what replaces it.
func (r *Redactor) redactScalar(v event.Value, secret bool) event.Value {
	switch {
	case v.Kind() == event.String && !secret:
		return event.NewString(r.redactURLs(v.Str()))
	case v.Kind() == event.String, v.Kind() == event.Number && (secret || r.Redact(v.Digits()) != v.Digits()):
		return event.NewString(Hidden)
	}
	return v
}

// Error returns err with redacted text. A *fault.Error stays one, and errors.Is still finds the end of a context.
func (r *Redactor) Error(err error) error {
	if err == nil {
		return nil
	}
	var known *fault.Error
	if errors.As(err, &known) {
		shown := *known
		shown.Message = r.Redact(known.Error())
		shown.Err = hiddenCause{known.Err, r.Redact(known.Error())}
		return &shown
	}
	return hiddenCause{err, r.Redact(err.Error())}
}

// hiddenCause is an error with another text. errors.Is sees its cause, errors.As does not.
type hiddenCause struct {
	cause error
	text  string
}

func (e hiddenCause) Error() string { return e.text }

// Is reports whether the hidden cause is target.
func (e hiddenCause) Is(target error) bool { return errors.Is(e.cause, target) }
