package budget

import (
	"context"
	"errors"
	"sync"
)

// ErrConflict is wrapped by Store.Save if another process has saved a newer revision.
var ErrConflict = errors.New("another process has changed the budget")

// Store keeps small texts by name for all processes that share budgets.
type Store interface {
	// Load returns a text and its revision, which is 0 if there is none.
	Load(ctx context.Context, name string) (data []byte, revision uint64, err error)
	// Save replaces a revision of a text and returns the new one. The error wraps ErrConflict if the newest revision is another.
	Save(ctx context.Context, name string, data []byte, revision uint64) (uint64, error)
	// Shared reports whether other processes may use the store.
	Shared() bool
}

// MemoryStore is a Store in memory.
type MemoryStore struct {
	mu      sync.Mutex
	entries map[string]memoryEntry
}

type memoryEntry struct {
	data     []byte
	revision uint64
}

// NewMemoryStore returns an empty MemoryStore for the budgets of one process.
func NewMemoryStore() *MemoryStore { return &MemoryStore{entries: map[string]memoryEntry{}} }

// Load implements Store.
func (s *MemoryStore) Load(_ context.Context, name string) ([]byte, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[name]
	return e.data, e.revision, nil
}

// Save implements Store.
func (s *MemoryStore) Save(_ context.Context, name string, data []byte, revision uint64) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[name].revision != revision {
		return 0, ErrConflict
	}
	s.entries[name] = memoryEntry{append([]byte(nil), data...), revision + 1}
	return revision + 1, nil
}

// Shared implements Store.
func (s *MemoryStore) Shared() bool { return false }
