package destination

import (
	"context"
	"sync"
)

// State is what an instance remembers between batches, by key; each instance has its own. It is safe for concurrent use. An error
// that may pass is a retryable *fault.Error.
type State interface {
	// Get is the value of a key; ok is false where none was put.
	Get(ctx context.Context, key string) (value string, ok bool, err error)
	// Put sets the value of a key. It is durable when Put returns, as far as the state is.
	Put(ctx context.Context, key, value string) error
	// Swap sets the value of a key where it is old, all at once with looking, also where several processes share the state;
	// "" stands for no value on both sides. ok is false where it was not old, and then nothing has changed.
	Swap(ctx context.Context, key, old, value string) (ok bool, err error)
}

// NewMemoryState is a State that ends with the process.
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
