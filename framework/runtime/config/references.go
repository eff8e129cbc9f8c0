package config

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// Prefixes of texts that refer to secrets in files, and to the outputs of commands.
const (
	filePrefix       = "file:"
	credentialPrefix = "credential:"
	execPrefix       = "exec:"
)

// credentialsDir is the environment variable with the directory of the credentials that systemd passes to a service.
const credentialsDir = "CREDENTIALS_DIRECTORY"

// isLocalReference reports whether a text of a config refers to a file or a command on the machine. Such references can be added and
// changed only in the config file itself, since they would otherwise allow users of the console to read files and to run programs.
func isLocalReference(text string) bool {
	return strings.HasPrefix(text, filePrefix) || strings.HasPrefix(text, credentialPrefix) || strings.HasPrefix(text, execPrefix)
}

// secretFile is a file that a config was resolved with.
type secretFile struct {
	path string            // relative to the config
	sum  [sha256.Size]byte // of its content
}

// readCredential returns a credential that systemd passes to the service.
func (r *reader) readCredential(name, place string) string {
	dir, _ := r.env.Lookup(credentialsDir)
	switch {
	case name == "" || name == "." || name == ".." || strings.ContainsAny(name, `/\`):
		r.problems.Add(place, "should be credential: and the name of a credential, without a directory")
		return ""
	case dir == "":
		r.problems.Add(place, "is a credential of systemd, but %s is not set: add LoadCredential=%s:PATH to the unit, or use file:PATH", credentialsDir, name)
		return ""
	}
	return r.readSecretFile(filepath.Join(dir, name), place)
}

// newReferences returns why references in a config are refused, by their JSON pointers: those to files, to commands and to sealed secrets of
// other instances that another config does not have at the same place. The elements of a list are compared by their ids.
func newReferences(base, changed event.Value) map[string]string {
	known := map[string]string{}
	walkReferences(base, func(_, stable, text string) { known[stable] = text })
	refused := map[string]string{}
	walkReferences(changed, func(pointer, stable, text string) {
		name, sealed := SealedName(text)
		owner, _, _ := strings.Cut(name, "/")
		switch {
		case known[stable] == text:
		case !sealed:
			refused[pointer] = "refers to a file or a command of the server, which can be added or changed only in the config file itself: use ${NAME} here"
		case !strings.HasPrefix(stable, "/destinations"+elementPlace(event.NewString(owner))+"/"):
			refused[pointer] = fmt.Sprintf("is a secret of the instance %s, which only that instance can use: use ${NAME} here, or type the secret in the setup in six steps", owner)
		}
	})
	return refused
}

// elementPlace returns the place of the element of a list that has an id.
func elementPlace(id event.Value) string { return "/id=" + fault.PointerKey(id.JSON()) }

// walkReferences calls f for each reference to a file, a command or a sealed secret, with its JSON pointer and with a place that does not depend
// on the order of lists whose elements have ids.
func walkReferences(root event.Value, f func(pointer, stable, text string)) {
	mapLeaves(root, "", "", func(pointer, stable string, v event.Value) event.Value {
		if _, sealed := SealedName(v.Str()); sealed || isLocalReference(v.Str()) {
			f(pointer, stable, v.Str())
		}
		return v
	})
}

// Fingerprint identifies a text of the config and the present content of the secret files that the config was loaded with. A file that
// cannot be read counts as unchanged.
func (c *Config) Fingerprint(text string) string {
	return c.fingerprint([]byte(text), func(file secretFile) [sha256.Size]byte {
		content, err := readAtMost(c.ResolvePath(file.path))
		if err != nil {
			return file.sum
		}
		return sha256.Sum256(content)
	})
}

// LoadedFingerprint is the Fingerprint at the time when the config was loaded.
func (c *Config) LoadedFingerprint() string {
	return c.fingerprint(c.text, func(file secretFile) [sha256.Size]byte { return file.sum })
}

func (c *Config) fingerprint(text []byte, sumOf func(secretFile) [sha256.Size]byte) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%x", sha256.Sum256(text))
	for _, file := range c.secretFiles {
		fmt.Fprintf(&b, "\x00%s\x00%x", file.path, sumOf(file))
	}
	return b.String()
}

// readAtMost reads a secret file. Of one that is too large, it returns the beginning.
func readAtMost(path string) ([]byte, error) {
	return textfile.ReadAtMost(path, maxSecretFile)
}
