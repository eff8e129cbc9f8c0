package config

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
)

var (
	// referencePattern matches a text that only refers to a secret: to an environment variable without a default, a file, or a secret in the
	// state. A command can contain secrets itself.
	referencePattern = regexp.MustCompile(`^(\$\{[A-Za-z_][A-Za-z0-9_]*\}$|file:|credential:|secret:)`)
	// passwordPattern matches a URL with a password.
	passwordPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://[^/@\s]*:([^/@\s]+)@`)
)

const (
	minCommented = 8 // length of a secret that is hidden wherever it occurs in a text, also in comments
	minNumber    = 4 // digits of a number that can be a secret
)

// LiteralSecrets returns the secrets that the value of a config contains as plain text, longest first. It errs on the side of too many.
func LiteralSecrets(root event.Value) []string {
	var list []string
	mapSecrets(root, func(v event.Value) event.Value {
		list = append(list, v.Text())
		return v
	})
	slices.SortFunc(list, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return slices.Compact(list)
}

// RedactSecrets replaces secrets in a text.
func RedactSecrets(text string, secrets []string) string {
	for _, s := range secrets {
		text = strings.ReplaceAll(text, s, httpx.Hidden)
	}
	return text
}

// RedactText returns the text of a config with its secrets replaced, and otherwise unchanged.
func RedactText(name string, text []byte) ([]byte, error) {
	doc, err := yamldoc.Parse(name, text)
	if err != nil {
		return nil, err
	}
	hidden := mapSecrets(doc.Value(), func(event.Value) event.Value { return event.NewString(httpx.Hidden) })
	if text, err = yamldoc.EditScalars(name, text, hidden); err != nil {
		return nil, err
	}
	long := slices.DeleteFunc(LiteralSecrets(doc.Value()), func(s string) bool { return len(s) < minCommented })
	return []byte(RedactSecrets(string(text), long)), nil
}

// RestoreSecrets returns a text of RedactText with its secrets as another config has them at the same places. The elements of lists are
// compared by their ids. missing are the JSON pointers of those that the other config does not have.
func RestoreSecrets(name string, redacted []byte, current event.Value) (text []byte, missing []string, err error) {
	doc, err := yamldoc.Parse(name, redacted)
	if err != nil {
		return nil, nil, err
	}
	known := map[string]event.Value{}
	mapLeaves(current, "", "", func(_, stable string, v event.Value) event.Value { known[stable] = v; return v })
	root := mapLeaves(doc.Value(), "", "", func(pointer, stable string, v event.Value) event.Value {
		if !strings.Contains(v.Str(), httpx.Hidden) {
			return v
		}
		if value, ok := known[stable]; ok && v.Str() == httpx.Hidden {
			return value
		}
		missing = append(missing, pointer)
		return v
	})
	text, err = yamldoc.EditScalars(name, redacted, root)
	return text, missing, err
}

// mapSecrets returns the value of a config with each secret that it contains as plain text replaced by the result of f.
func mapSecrets(root event.Value, f func(event.Value) event.Value) event.Value {
	return yamldoc.MapMembers(root, "", func(key, place string, v event.Value) event.Value {
		if key != "destinations" {
			return mapSecretsIn(v, slices.Contains([]string{"sources", "state", "admin", "nats"}, key), false, f)
		}
		return yamldoc.MapItems(v, place, func(place string, in event.Value) event.Value {
			return yamldoc.MapMembers(in, place, func(key, _ string, v event.Value) event.Value {
				return mapSecretsIn(v, key == "settings" || key == "auth", false, f)
			})
		})
	})
}

// mapSecretsIn is mapSecrets for a part of a config. named says that the names of keys tell what is secret. URLs with a password always are.
func mapSecretsIn(v event.Value, named, secret bool, f func(event.Value) event.Value) event.Value {
	switch v.Kind() {
	case event.Object:
		header := named && httpx.IsSecretName(v.Get("name").Str())
		return yamldoc.MapMembers(v, "", func(key, _ string, m event.Value) event.Value {
			return mapSecretsIn(m, named, secret || named && isSecretKey(key) || header && key == "value", f)
		})
	case event.Array:
		return yamldoc.MapItems(v, "", func(_ string, item event.Value) event.Value { return mapSecretsIn(item, named, secret, f) })
	case event.String:
		if isSecretText(v.Str(), secret) {
			return f(v)
		}
	case event.Number:
		if secret && len(v.Text()) >= minNumber {
			return f(v)
		}
	}
	return v
}

// isSecretText reports whether a text contains a secret. at says that it is at a place for secrets.
func isSecretText(text string, at bool) bool {
	if password := passwordPattern.FindStringSubmatch(text); password != nil {
		return !referencePattern.MatchString(password[1])
	}
	return at && text != "" && !referencePattern.MatchString(text)
}

// isSecretKey reports whether values of a key of the config are secret: names of secrets, and keys and URLs of the config itself, such as
// state.url, which can contain a password.
func isSecretKey(key string) bool {
	return httpx.IsSecretName(key) || key == "url" || strings.Contains(strings.ToLower(key), "key")
}

// mapLeaves returns v with each text and number replaced by the result of f, which gets its JSON pointer and a place that does
// not depend on the order of lists whose elements have ids.
func mapLeaves(v event.Value, pointer, stable string, f func(pointer, stable string, v event.Value) event.Value) event.Value {
	switch v.Kind() {
	case event.String, event.Number:
		return f(pointer, stable, v)
	case event.Object:
		return yamldoc.MapMembers(v, pointer, func(key, place string, m event.Value) event.Value {
			return mapLeaves(m, place, stable+fault.PointerKey(key), f)
		})
	case event.Array:
		return yamldoc.MapItems(v, pointer, func(place string, item event.Value) event.Value {
			element := strings.TrimPrefix(place, pointer)
			if id := item.Get("id"); id.Kind() != event.Absent {
				element = elementPlace(id)
			}
			return mapLeaves(item, place, stable+element, f)
		})
	}
	return v
}
