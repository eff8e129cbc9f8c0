package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	storageCheck   = time.Second      // how often a suspected stream is checked
	probeTimeout   = 3 * time.Second  // how long the answer to a test write may take
	probeBytes     = 1 << 20          // of the file that tests whether the disk takes writes
	reopenFirst    = time.Second      // the wait after a first reopening that did not help
	reopenMost     = 30 * time.Second // and the longest
	storageLogging = time.Minute      // how often a disk that stays unwritable is logged
)

// storage watches whether the streams can be written. After a write error, such as a full disk, the embedded server's streams
// answer no write until they are opened again: storage notices that, and reopens the server when the disk takes writes again.
// On a cluster it only reports.
type storage struct {
	queue  *Queue
	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{}
	ended  chan struct{}

	mu      sync.Mutex
	suspect map[string]time.Time // since when a stream's writes have gone unanswered
	failed  map[string]time.Time // since when a test write has failed, too
	disk    error                // why the disk takes no writes
	reopens int                  // since the queue was opened
}

func newStorage(q *Queue) *storage {
	s := &storage{
		queue: q, wake: make(chan struct{}, 1), ended: make(chan struct{}), suspect: map[string]time.Time{}, failed: map[string]time.Time{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	go s.run()
	return s
}

// close ends the watch.
func (s *storage) close() {
	s.cancel()
	<-s.ended
}

// probeSubject is where test writes of an embedded stream go. Nothing reads them.
func probeSubject(stream string) string { return "probe." + stream }

// note takes the result of a write to a stream into account.
func (s *storage) note(stream string, err error) {
	if err != nil && !isUnanswered(err) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		delete(s.suspect, stream)
		delete(s.failed, stream)
		return
	}
	if _, ok := s.suspect[stream]; !ok {
		s.suspect[stream] = time.Now()
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// isUnanswered reports whether a write got no answer, which is what a stream with a write error does.
func isUnanswered(err error) bool {
	for _, target := range []error{
		context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, jetstream.ErrNoStreamResponse, jetstream.ErrJetStreamNotEnabled,
		jetstream.ErrJetStreamNotEnabledForAccount, jetstream.ErrStreamNotFound,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// ErrUnwritable is wrapped by errors of a log that takes no writes. It may take them later.
var ErrUnwritable = errors.New("the log takes no writes")

// failure describes why a stream cannot be written and since when; nil if it can, as far as is known.
func (s *storage) failure(stream string) (since time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	since, ok := s.failed[stream]
	switch {
	case !ok:
		return time.Time{}, nil
	case s.disk != nil:
		return since, fmt.Errorf("%w: %w", ErrUnwritable, s.disk)
	}
	return since, fmt.Errorf("%w: the stream %s does not answer", ErrUnwritable, stream)
}

func (s *storage) suspects() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.suspect))
}

// run checks suspected streams until close.
func (s *storage) run() {
	defer close(s.ended)
	var next, logged time.Time // when the server may be reopened, and when the disk was last logged
	wait := reopenFirst
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.wake:
		}
		for len(s.suspects()) > 0 && s.ctx.Err() == nil {
			broken := s.check(&logged)
			if len(broken) > 0 && s.queue.embedded != nil && !time.Now().Before(next) {
				s.reopen(broken)
				next, wait = time.Now().Add(wait), min(2*wait, reopenMost)
			}
			_ = pause(s.ctx, storageCheck)
		}
		wait = reopenFirst
	}
}

// check tests the disk and the suspected streams, and returns those that could be written but are not.
func (s *storage) check(logged *time.Time) (broken []string) {
	err := s.probeDisk()
	s.mu.Lock()
	s.disk = err
	if err != nil {
		for stream, since := range s.suspect {
			s.failed[stream] = since
		}
	}
	s.mu.Unlock()
	if err != nil {
		if time.Since(*logged) > storageLogging {
			*logged = time.Now()
			s.queue.config.Log.Error("the disk takes no writes, so nothing is accepted or delivered: free space on it; delivery goes on by itself then", "error", err)
		}
		return nil
	}
	for _, stream := range s.suspects() {
		if err := s.probe(stream); err != nil && s.ctx.Err() == nil {
			s.mu.Lock()
			s.failed[stream] = s.suspect[stream]
			s.mu.Unlock()
			broken = append(broken, stream)
		}
	}
	return broken
}

// probe makes a test write to a stream. Any answer will do. On a cluster, whose streams take no test writes, the next real write
// is the test.
func (s *storage) probe(stream string) error {
	if s.queue.embedded == nil {
		return errors.New("its writes are not answered")
	}
	ctx, cancel := context.WithTimeout(s.ctx, probeTimeout)
	defer cancel()
	_, err := s.queue.js.Publish(ctx, probeSubject(stream), nil)
	if err != nil && isUnanswered(err) {
		return err
	}
	s.note(stream, nil)
	return nil
}

// probeDisk writes a file where the embedded server keeps its own.
func (s *storage) probeDisk() error {
	if s.queue.embedded == nil {
		return nil
	}
	name := filepath.Join(s.queue.config.Dir, "write-test")
	defer os.Remove(name)
	file, err := os.Create(name)
	if err == nil {
		_, err = file.Write(make([]byte, probeBytes))
		err = cmp.Or(err, file.Sync(), file.Close())
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("writing to the data directory: %w", path.Err)
	}
	return err
}

// reopen restarts the embedded server, whose streams have a write error.
func (s *storage) reopen(broken []string) {
	log := s.queue.config.Log
	log.Error("the log takes no writes after an error of its storage: reopening it", "streams", broken)
	s.mu.Lock()
	s.reopens++
	s.mu.Unlock()
	if err := s.queue.embedded.restart(); err != nil {
		log.Error("the log's storage cannot be reopened, which is tried again", "error", err)
		return
	}
	if err := s.awaitConnection(); err != nil {
		log.Error("no connection to the reopened log, which is tried again", "error", err)
		return
	}
	for _, stream := range broken {
		if err := s.probe(stream); err != nil {
			log.Error("the reopened log takes no writes, which is tried again", "stream", stream, "error", err)
			return
		}
	}
	log.Info("the log takes writes again")
}

// awaitConnection waits until the client is connected to the restarted server.
func (s *storage) awaitConnection() error {
	ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
	defer cancel()
	for !s.queue.conn.IsConnected() {
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
