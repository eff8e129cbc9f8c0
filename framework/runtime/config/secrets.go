package config

import (
	"crypto/sha256"
	"errors"
	"os"
	"regexp"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// maxSecretFile is the largest size in bytes of a file that a setting is read from.
const maxSecretFile = 64 << 10

// variable matches ${NAME}, ${NAME:-default}, and $$ for a dollar sign.
var variable = regexp.MustCompile(`\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}`)

// resolveSecrets returns v with ${VARIABLE} in its texts replaced from the environment. A text file:PATH is replaced by the content of
// the file, without the last line break, and credential:NAME by a credential of systemd.
func (r *reader) resolveSecrets(v event.Value, place string) event.Value {
	return mapTexts(v, place, r.resolveText)
}

// resolveText is resolveSecrets for one text.
func (r *reader) resolveText(text, place string) string {
	if r.blocked[place] {
		r.problems.Add(place, "refers to a file of the server, which can be added or changed only in the config file itself: use ${NAME} here")
		return ""
	}
	if path, ok := strings.CutPrefix(text, filePrefix); ok {
		return r.readSecretFile(path, place)
	}
	if _, ok := SealedName(text); ok && !strings.HasPrefix(place, "/destinations/") {
		r.problems.Add(place, "cannot be a secret in the state: use ${VARIABLE} or file:PATH")
		return ""
	}
	if name, ok := strings.CutPrefix(text, credentialPrefix); ok {
		return r.readCredential(name, place)
	}
	return variable.ReplaceAllStringFunc(text, func(found string) string {
		if found == "$$" {
			return "$"
		}
		parts := variable.FindStringSubmatch(found)
		value, ok := r.env.Lookup(parts[1])
		switch {
		case ok && value != "":
			r.config.secrets = append(r.config.secrets, value)
			return value
		case parts[2] != "":
			return parts[3]
		}
		r.problems.Add(place, "needs the environment variable %s, which is not set", parts[1])
		return ""
	})
}

func (r *reader) readSecretFile(path, place string) string {
	content, err := r.env.ReadFile(path)
	switch {
	case err != nil:
		r.problems.Add(place, "cannot be read: %v", err)
		return ""
	case len(content) > maxSecretFile:
		r.problems.Add(place, "is read from a file larger than %d KB", maxSecretFile>>10)
		return ""
	}
	r.config.secretFiles = append(r.config.secretFiles, secretFile{path, sha256.Sum256(content)})
	content, err = event.WithoutBOM(content)
	if err != nil {
		r.problems.Add(place, "cannot be read: %v", err)
		return ""
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
	r.config.secrets = append(r.config.secrets, value)
	return value
}

// ResolveSecret returns text with ${VARIABLE} replaced, or the content that file:PATH or credential:NAME refers to, as for a setting of a
// config.
func ResolveSecret(text string, env Env) (string, error) {
	if env.Lookup == nil {
		env.Lookup = os.LookupEnv
	}
	if env.ReadFile == nil {
		env.ReadFile = os.ReadFile
	}
	r := reader{env: env, config: &Config{}}
	value := r.resolveText(text, "")
	if len(r.problems) > 0 {
		return "", errors.New(r.problems[0].Message)
	}
	return value, nil
}
