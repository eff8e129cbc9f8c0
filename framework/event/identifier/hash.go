package identifier

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// Key hashes identifiers with a secret. The zero Key is not usable.
type Key struct{ secret []byte }

// keyPurpose separates these hashes from everything else that is made with the same secret.
const keyPurpose = "landfall identifiers v1"

// NewKey returns the Key of a secret, such as state.key of the config.
func NewKey(secret string) Key {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte(keyPurpose))
	return Key{mac.Sum(nil)}
}

// Hash returns the hash of an identifier. White space around it and the case of e-mail addresses do not matter.
func (k Key) Hash(id string) string {
	id = strings.TrimSpace(id)
	if IsEmail(id) {
		id = strings.ToLower(id)
	}
	return k.sum("id:" + id)
}

// ID identifies the key without revealing it, to find out that hashes were made with another one.
func (k Key) ID() string { return k.sum("key")[:16] }

func (k Key) sum(text string) string {
	mac := hmac.New(sha256.New, k.secret)
	_, _ = mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

// Set is a set of identifiers of which only the hashes are known. A nil Set is empty.
type Set struct {
	key    Key
	hashes map[string]struct{}
}

// NewSet returns the Set of hashes that were made with a key.
func NewSet(key Key, hashes []string) *Set {
	s := &Set{key: key, hashes: make(map[string]struct{}, len(hashes))}
	for _, h := range hashes {
		s.hashes[h] = struct{}{}
	}
	return s
}

// Len returns the number of identifiers.
func (s *Set) Len() int {
	if s == nil {
		return 0
	}
	return len(s.hashes)
}

// Has reports whether the set has an identifier.
func (s *Set) Has(id string) bool {
	if s.Len() == 0 {
		return false
	}
	_, ok := s.find(id)
	return ok
}

// find returns the hash of an identifier, and whether the set has it.
func (s *Set) find(id string) (hash string, ok bool) {
	if id == "" {
		return "", false
	}
	hash = s.key.Hash(id)
	_, ok = s.hashes[hash]
	return hash, ok
}

// HasUserOf reports whether the set has an identifier of an event's user. E-mail addresses count anywhere in the event, since
// mappings can make identifiers of them.
func (s *Set) HasUserOf(v event.Value) bool {
	found := false
	s.EachOf(v, func(string) bool { found = true; return false })
	return found
}

// EachOf calls visit for the hash of each identifier of an event's user that the set has, until it returns false.
func (s *Set) EachOf(v event.Value, visit func(hash string) (more bool)) {
	if s.Len() == 0 {
		return
	}
	for _, id := range Of(v) {
		if hash, ok := s.find(id); ok && !visit(hash) {
			return
		}
	}
	eachText(v, func(text string) bool {
		if !IsEmail(text) {
			return true
		}
		hash, ok := s.find(text)
		return !ok || visit(hash)
	})
}

// HasIdentity reports whether the set has a part of an identity of a ledger, such as external_id:u1 or user_alias:email:ann@example.com.
func (s *Set) HasIdentity(identity string) bool {
	found := false
	s.EachOfIdentity(identity, func(string) bool { found = true; return false })
	return found
}

// EachOfIdentity calls visit for the hash of each part of an identity that the set has, until it returns false.
func (s *Set) EachOfIdentity(identity string, visit func(hash string) (more bool)) {
	if s.Len() == 0 {
		return
	}
	for _, id := range partsOf(identity) {
		if hash, ok := s.find(id); ok && !visit(hash) {
			return
		}
	}
}

// partsOf returns the texts that may be the user's identifier in an identity of a ledger, which has the form KIND:NAME or KIND:LABEL:NAME.
// A name may contain colons.
func partsOf(identity string) []string {
	parts := []string{identity}
	for range 2 {
		_, rest, ok := strings.Cut(parts[len(parts)-1], ":")
		if !ok {
			break
		}
		parts = append(parts, rest)
	}
	return parts
}
