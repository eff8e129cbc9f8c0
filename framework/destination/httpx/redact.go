package httpx

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Hidden stands where a secret was.
const Hidden = "[hidden]"

// minSecret is the length from which a value is looked for wherever it may stand. A shorter one would make holes in
// everything, and is only hidden by the name it goes by.
const minSecret = 4

// maxCredentials bounds the credentials that a Redactor learns while it runs; the oldest are forgotten.
const maxCredentials = 64

// Redactor hides secrets in what people get to see: by the names they go by, and by their values wherever these stand.
type Redactor struct {
	names  map[string]bool
	values []string

	mu       sync.RWMutex
	added    []string
	replacer *strings.Replacer
}

// NewRedactor makes a Redactor that knows, beside the usual ones, these names and these values.
func NewRedactor(names, values []string) *Redactor {
	r := &Redactor{names: map[string]bool{}, values: values}
	for _, name := range names {
		r.names[plainName(name)] = true
	}
	r.replacer = newReplacer(values)
	return r
}

func plainName(name string) string {
	return strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(name))
}

// newReplacer hides values as they are, and as they stand in URLs and in JSON.
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

// AddValue adds a value that must not show from now on.
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

// isSecret tells whether a name is one that secrets go by.
func (r *Redactor) isSecret(name string) bool { return IsSecretName(name) || r.names[plainName(name)] }

// hideCredentials learns what stands in headers that carry secrets.
func (r *Redactor) hideCredentials(header http.Header) {
	for name, values := range header {
		for _, v := range values {
			if !r.isSecret(name) {
				continue
			}
			if _, bare, ok := strings.Cut(v, " "); ok {
				v = bare // behind a scheme such as Bearer
			}
			r.addValue(v)
		}
	}
}

// hideValue is a header's value hidden; a scheme such as Bearer stays.
func hideValue(value string) string {
	if scheme, _, ok := strings.Cut(value, " "); ok && len(scheme) <= 10 {
		return scheme + " " + Hidden
	}
	return Hidden
}

// Header is a copy of a header without its secrets.
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

// URL is a URL without its secrets.
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

// Body is a body without its secrets: JSON stays JSON.
func (r *Redactor) Body(contentType string, raw []byte) []byte {
	if v, err := event.ParseString(string(raw)); err == nil {
		return r.redactValue(v, false).AppendJSON(nil)
	}
	text := jsonPair.ReplaceAllStringFunc(string(raw), r.redactPair)
	if strings.HasPrefix(contentType, "application/x-www-form-urlencoded") {
		text = r.redactForm(text)
	}
	return []byte(r.Redact(text))
}

// jsonPair is a key and a text as JSON has them, somewhere in a text.
var jsonPair = regexp.MustCompile(`"([^"\\]{1,64})"\s*:\s*"(?:[^"\\]|\\.)*"`)

// redactPair hides the text behind a secret name.
func (r *Redactor) redactPair(found string) string {
	if name := jsonPair.FindStringSubmatch(found)[1]; r.isSecret(name) {
		return `"` + name + `":"` + Hidden + `"`
	}
	return found
}

// redactValue is a JSON value without its secrets; under a secret name everything is hidden but null and booleans.
func (r *Redactor) redactValue(v event.Value, secret bool) event.Value {
	switch v.Kind() {
	case event.String:
		if secret {
			return event.NewString(Hidden)
		}
		return event.NewString(r.Redact(v.Str()))
	case event.Number:
		if secret || r.Redact(v.Digits()) != v.Digits() {
			return event.NewString(Hidden)
		}
	case event.Array:
		items := make([]event.Value, 0, v.Len())
		for _, item := range v.Items() {
			items = append(items, r.redactValue(item, secret))
		}
		return event.NewArray(items)
	case event.Object:
		members := make([]event.Member, 0, v.Len())
		for key, m := range v.Members() {
			members = append(members, event.Member{Key: r.Redact(key), Value: r.redactValue(m, secret || r.isSecret(key))})
		}
		return event.NewObject(members)
	}
	return v
}

// Error is err with its text redacted. A *fault.Error stays one, and the end of a context is still seen by errors.Is.
func (r *Redactor) Error(err error) error {
	if err == nil {
		return nil
	}
	var known *fault.Error
	if errors.As(err, &known) {
		shown := *known
		shown.Message = r.Redact(known.Error())
		shown.Cause = hiddenCause{known.Cause, r.Redact(known.Error())}
		return &shown
	}
	return hiddenCause{err, r.Redact(err.Error())}
}

// hiddenCause is an error whose text is another; errors.Is sees through it, errors.As does not.
type hiddenCause struct {
	cause error
	text  string
}

func (e hiddenCause) Error() string { return e.text }

// Is tells whether the hidden cause is target.
func (e hiddenCause) Is(target error) bool { return errors.Is(e.cause, target) }
