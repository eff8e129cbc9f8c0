package destination

import (
	"context"
	"sync"
)

// State is durable key-value data of an instance; each instance has its own. It is safe for concurrent use. A temporary error
// is a retryable *fault.Error.
type State interface {
	// Get returns the value of a key; ok is false if the key has no value.
	Get(ctx context.Context, key string) (value string, ok bool, err error)
	// Put sets the value of a key. The value is durable when Put returns, if the implementation is durable.
	Put(ctx context.Context, key, value string) error
	// Swap atomically replaces the value old of a key, also if several processes share the state. "" stands for no value, as
	// old and as value. If the value is not old, ok is false and nothing changes.
	Swap(ctx context.Context, key, old, value string) (ok bool, err error)
}

// NewMemoryState returns a State that is kept in memory only.
func NewMemoryState() State { return &memoryState{values: map[string]string{}} }

type memoryState struct {
	mu     sync.Mutex
	values map[string]string
}

func (s *memoryState) Get(_ context.Context, key string) (string, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := s.values[key]
	return value, ok, nil
}

func (s *memoryState) Put(_ context.Context, key, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[key] = value
	return nil
}

func (s *memoryState) Swap(_ context.Context, key, old, value string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values[key] != old {
		return false, nil
	}
	if value == "" {
		delete(s.values, key)
	} else {
		s.values[key] = value
	}
	return true, nil
}
