// Package memlog implements eventlog.Log in memory, for tests and simulations. It behaves like natslog in everything that the
// interface promises: conditional and atomic writes, sequences, limits, and readers that wait. Several connections share a Store,
// as processes share a cluster.
package memlog

import (
	"cmp"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// Options configure a Store. Zero fields have working defaults.
type Options struct {
	Now        func() time.Time // the clock of the messages' times: time.Now
	MaxMessage int64            // maximum bytes in the data of a message: 8 MB
	Shared     bool             // connections stand for processes on a cluster, not for the only process
}

// Store holds the streams. It is safe for concurrent use.
type Store struct {
	options Options

	mu      sync.Mutex // guards everything below, including the streams and their readers
	streams map[string]*streamLog
}

// New returns an empty Store.
func New(o Options) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.MaxMessage = cmp.Or(o.MaxMessage, 8<<20)
	return &Store{options: o, streams: map[string]*streamLog{}}
}

// Connect returns a connection to the store. Closing it leaves the store and the other connections as they are.
func (s *Store) Connect() *Log {
	return &Log{store: s, closed: make(chan struct{}), readers: map[*reader]struct{}{}}
}

// streamLocked returns a stream. The mutex is held.
func (s *Store) streamLocked(name string) (*streamLog, error) {
	if t := s.streams[name]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("%w: %s", eventlog.ErrNoStream, name)
}

// prepareLocked creates or updates a stream. The mutex is held.
func (s *Store) prepareLocked(c eventlog.StreamConfig) error {
	t := s.streams[c.Name]
	var stored *eventlog.Info
	if t != nil {
		info := t.infoLocked()
		stored = &info
	}
	var labels map[string]string
	if c.Labels != nil {
		var err error
		if labels, err = c.Labels(stored); err != nil {
			return fmt.Errorf("the stream %s: %w", c.Name, err)
		}
	}
	if t == nil {
		t = newStream(s.options.Now())
		s.streams[c.Name] = t
	}
	t.config = c
	if c.Labels != nil {
		t.labels = maps.Clone(labels)
	}
	return nil
}
