package oauth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"
)

// Token is an OAuth token. Access and Refresh are secrets.
type Token struct {
	Access    string    `json:"-"`
	Refresh   string    `json:"-"`
	Scopes    []string  `json:"scopes,omitempty"`
	Expires   time.Time `json:"expires,omitzero"` // zero if unknown
	Login     time.Time `json:"login,omitzero"`
	Refreshed time.Time `json:"refreshed,omitzero"`
	Refused   string    `json:"refused,omitempty"` // why the remote refuses to refresh the token; a user must log in
}

// issuedAt returns the time at which the access token was issued.
func (t *Token) issuedAt() time.Time {
	if t.Refreshed.After(t.Login) {
		return t.Refreshed
	}
	return t.Login
}

// Record is a token as it is stored: the secrets sealed, the rest as plain JSON. The zero Record means that there is no token.
type Record struct{ Sealed, About string }

// Store stores a record for each instance.
type Store interface {
	// Get returns the record of an instance.
	Get(ctx context.Context, instance string) (Record, error)
	// Update replaces the record by the result of f, and prevents other updates in the meantime, also by other machines. The
	// result is durable when Update returns nil. The context of f ends before another update can start.
	Update(ctx context.Context, instance string, f func(context.Context, Record) (Record, error)) error
}

// NewMemoryStore returns a Store that is kept in memory only.
func NewMemoryStore() Store { return &memoryStore{records: map[string]Record{}} }

type memoryStore struct {
	updateMu sync.Mutex
	mu       sync.Mutex
	records  map[string]Record
}

func (m *memoryStore) Get(_ context.Context, instance string) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.records[instance], nil
}

func (m *memoryStore) Update(ctx context.Context, instance string, f func(context.Context, Record) (Record, error)) error {
	m.updateMu.Lock()
	defer m.updateMu.Unlock()
	was, _ := m.Get(ctx, instance)
	r, err := f(ctx, was)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records[instance] = r
	return nil
}

// Box encrypts tokens with NaCl's secretbox.
type Box struct{ key [32]byte }

// NewKey returns a new key for a Box, as text.
func NewKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return base64.StdEncoding.EncodeToString(key)
}

// NewBox returns a Box with a key of 32 bytes in base64 or hex.
func NewBox(key string) (*Box, error) {
	key = strings.TrimSpace(key)
	b := &Box{}
	for _, decode := range []func(string) ([]byte, error){base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString, base64.URLEncoding.DecodeString, base64.RawURLEncoding.DecodeString, hex.DecodeString} {
		if raw, err := decode(key); err == nil && len(raw) == len(b.key) {
			copy(b.key[:], raw)
			return b, nil
		}
	}
	return nil, errors.New("should be 32 bytes in base64: `landfall auth key` makes one")
}

// secrets is the sealed part. Instance prevents a record from being used for another instance.
type secrets struct{ Instance, Access, Refresh string }

func (b *Box) sealToken(instance string, t Token) (Record, error) {
	plain, err := json.Marshal(secrets{instance, t.Access, t.Refresh})
	if err != nil {
		return Record{}, err
	}
	about, err := json.Marshal(t)
	if err != nil {
		return Record{}, err
	}
	return Record{Sealed: b.seal(plain), About: string(about)}, nil
}

// openToken returns the token of a record. If it cannot be opened, a user must log in: the error has fault.CodeLogin.
func (b *Box) openToken(instance string, r Record) (Token, error) {
	var t Token
	if r == (Record{}) {
		return t, nil
	}
	if err := json.Unmarshal([]byte(r.About), &t); err != nil {
		return t, loginRequired("the stored token is damaged: run landfall auth login --config FILE --instance %s", instance)
	}
	if raw, err := base64.StdEncoding.DecodeString(r.Sealed); err != nil || len(raw) < nonceSize {
		return t, loginRequired("the stored token is damaged: run landfall auth login --config FILE --instance %s", instance)
	}
	plain, ok := b.open(r.Sealed)
	var s secrets
	if !ok || json.Unmarshal(plain, &s) != nil || s.Instance != instance {
		return t, loginRequired("the stored token cannot be decrypted with the key in state.key: restore the key that it was encrypted with, or run landfall auth login --config FILE --instance %s", instance)
	}
	t.Access, t.Refresh = s.Access, s.Refresh
	return t, nil
}
