package config

import (
	"crypto/sha256"
	"errors"
	"regexp"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// maxSecretFile is the largest size in bytes of a file that a setting is read from.
const maxSecretFile = 64 << 10

// variable matches ${NAME}, ${NAME:-default}, and $$ for a dollar sign.
var variable = regexp.MustCompile(`\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}`)

// resolveSecrets returns v with ${VARIABLE} in its texts replaced from the environment. A text file:PATH is replaced by the content of
// the file, without the last line break, credential:NAME by a credential of systemd, and exec:COMMAND by what the command prints.
func (r *reader) resolveSecrets(v event.Value, place string) event.Value {
	return mapTexts(v, place, r.resolveText)
}

// resolveText is resolveSecrets for one text.
func (r *reader) resolveText(text, place string) string {
	if why := r.blocked[place]; why != "" {
		r.problems.Add(place, "%s", why)
		return ""
	}
	if command, ok := strings.CutPrefix(text, execPrefix); ok {
		return r.runCommand(command, place)
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
	replaced := variable.ReplaceAllStringFunc(text, func(found string) string {
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
	if _, sealed := SealedName(replaced); sealed && replaced != text && r.env.Base.Kind() != event.Absent {
		r.problems.Add(place, "becomes a reference to a secret in the state by its variable: write the reference itself")
		return ""
	}
	return replaced
}

func (r *reader) readSecretFile(path, place string) string {
	content, ok := r.readFile(path, place)
	if !ok {
		return ""
	}
	return r.secretValue(content, place)
}

// readFile returns the content of a file that the config refers to, whose changes reload the config.
func (r *reader) readFile(path, place string) (content []byte, ok bool) {
	content, err := r.env.ReadFile(path)
	switch {
	case err != nil:
		r.problems.Add(place, "cannot be read: %s: %s", path, fault.FileReason(err))
		return nil, false
	case len(content) > maxSecretFile:
		r.problems.Add(place, "is read from a file larger than %d KB", maxSecretFile>>10)
		return nil, false
	}
	r.config.secretFiles = append(r.config.secretFiles, secretFile{path, sha256.Sum256(content)})
	return content, true
}

// secretValue returns the secret that a file contains or a command prints: all but the last line break.
func (r *reader) secretValue(content []byte, place string) string {
	text, ok := r.decodeText(content, place)
	if !ok {
		return ""
	}
	value := strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	if strings.TrimSpace(value) == "" {
		r.problems.Add(place, "is read from a file that is empty: write the value into it, or leave the setting out")
		return ""
	}
	r.config.secrets = append(r.config.secrets, value)
	return value
}

// decodeText returns the text in the content of a file or the output of a command.
func (r *reader) decodeText(content []byte, place string) (text string, ok bool) {
	content, err := event.WithoutBOM(content)
	if err != nil {
		r.problems.Add(place, "cannot be read: %v", err)
		return "", false
	}
	return string(content), true
}

// ResolveSecret returns text with ${VARIABLE} replaced, or the content that file:PATH or credential:NAME refers to, as for a setting of a
// config.
func ResolveSecret(text string, env Env) (string, error) {
	r := reader{env: env.withDefaults(""), config: &Config{}}
	value := r.resolveText(text, "")
	if len(r.problems) > 0 {
		return "", errors.New(r.problems[0].Message)
	}
	return value, nil
}

// runCommand returns what a command prints. Problems name the program only, since its arguments can be secret.
func (r *reader) runCommand(command, place string) string {
	if r.env.Base.Kind() == event.Absent && !r.fromFile {
		r.problems.Add(place, "is a command, which is run only in the config file itself: use ${NAME} here")
		return ""
	}
	words, err := splitCommand(command)
	if err != nil {
		r.problems.Add(place, "%v: exec: is followed by a program and its arguments", err)
		return ""
	}
	output, err := r.env.Commands.readOutput(command)
	switch {
	case err != nil:
		r.problems.Add(place, "the command %s fails: %v", words[0], err)
		return ""
	case len(strings.TrimSpace(string(output))) == 0:
		r.problems.Add(place, "the command %s prints nothing", words[0])
		return ""
	}
	return r.secretValue(output, place)
}
