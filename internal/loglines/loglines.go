// Package loglines collects what is logged while a test runs, so that the test can read it at any time.
package loglines

import (
	"bytes"
	"log/slog"
	"sync"
)

// Buffer is a buffer that can be read while others write. Its zero value is empty.
type Buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write appends to the buffer. It returns no error.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String returns what was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// NewLogger returns a logger that writes its lines from a level on as text.
func (b *Buffer) NewLogger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: level}))
}
