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
