package natslog

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
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/internal/pause"
)

const (
	storageCheckInterval = time.Second      // how often suspect streams are checked
	probeTimeout         = 3 * time.Second  // timeout of a test write
	probeBytes           = 1 << 20          // size of the file of a disk test
	minReopenWait        = time.Second      // wait after the first restart that did not help
	maxReopenWait        = 30 * time.Second // longest wait between restarts
	storageLogInterval   = time.Minute      // how often an unwritable disk is logged
)

// storageMonitor watches whether the streams can be written. After a write error, such as a full disk, the streams of the
// embedded server answer no write until they are reopened. The monitor detects that, and restarts the server when the disk
// accepts writes again. On a cluster it only reports.
type storageMonitor struct {
	log    *Log
	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{}
	done   chan struct{}

	mu           sync.Mutex
	suspectSince map[string]time.Time // since when writes to a stream are unanswered
	failedSince  map[string]time.Time // since when test writes to a stream fail, too
	diskErr      error                // why the disk accepts no writes; nil if it does
}

func newStorageMonitor(l *Log) *storageMonitor {
	s := &storageMonitor{
		log: l, wake: make(chan struct{}, 1), done: make(chan struct{}), suspectSince: map[string]time.Time{}, failedSince: map[string]time.Time{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	go s.watchLoop()
	return s
}

// close stops the monitor.
func (s *storageMonitor) close() {
	s.cancel()
	<-s.done
}

// probeSubject returns the subject of test writes to an embedded stream. Nothing reads them.
func probeSubject(stream string) string { return "probe." + stream }

// probeMessage returns a test write. A stream of the embedded server stores it. The streams of a cluster are shared, so there the
// message expects another stream: the leader of the stream refuses it, which is an answer, and nothing is stored.
func (l *Log) probeMessage(stream string) *nats.Msg {
	if l.embedded != nil {
		return nats.NewMsg(probeSubject(stream))
	}
	subject := probeSubject(stream)
	l.mu.RLock()
	known := l.streams[stream]
	l.mu.RUnlock()
	if known != nil {
		subject = strings.NewReplacer(">", "probe", "*", "probe").Replace(known.CachedInfo().Config.Subjects[0])
	}
	m := nats.NewMsg(subject)
	m.Header.Set(jetstream.ExpectedStreamHeader, probeSubject(stream))
	return m
}

// noteResult records the result of a write to a stream.
func (s *storageMonitor) noteResult(stream string, err error) {
	if err != nil && !isUnanswered(err) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		delete(s.suspectSince, stream)
		delete(s.failedSince, stream)
		return
	}
	if _, ok := s.suspectSince[stream]; !ok {
		s.suspectSince[stream] = time.Now()
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// isUnanswered reports whether a write was not answered, as by a stream with a write error.
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

// writeFailure returns why a stream cannot be written and since when, nil if it can, as far as known.
func (s *storageMonitor) writeFailure(stream string) (since time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	since, ok := s.failedSince[stream]
	switch {
	case !ok:
		return time.Time{}, nil
	case s.diskErr != nil:
		return since, fmt.Errorf("%w: %w", eventlog.ErrUnwritable, s.diskErr)
	}
	return since, fmt.Errorf("%w: the stream %s does not answer", eventlog.ErrUnwritable, stream)
}

func (s *storageMonitor) suspectStreams() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.suspectSince))
}

// watchLoop checks suspect streams until close.
func (s *storageMonitor) watchLoop() {
	defer close(s.done)
	var next, logged time.Time // earliest next restart; when the disk was last logged
	wait := minReopenWait
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.wake:
		}
		for len(s.suspectStreams()) > 0 && s.ctx.Err() == nil {
			broken := s.checkStreams(&logged)
			if len(broken) > 0 && s.log.embedded != nil && !time.Now().Before(next) {
				s.reopenServer(broken)
				next, wait = time.Now().Add(wait), min(2*wait, maxReopenWait)
			}
			_ = pause.For(s.ctx, storageCheckInterval)
		}
		wait = minReopenWait
	}
}

// checkStreams tests the disk and the suspect streams. It returns the streams that stay unwritable although the disk is writable.
func (s *storageMonitor) checkStreams(logged *time.Time) (broken []string) {
	err := s.probeDisk()
	s.mu.Lock()
	s.diskErr = err
	if err != nil {
		for stream, since := range s.suspectSince {
			s.failedSince[stream] = since
		}
	}
	s.mu.Unlock()
	if err != nil {
		if time.Since(*logged) > storageLogInterval {
			*logged = time.Now()
			s.log.config.Logger.Error("the disk accepts no writes, so nothing is accepted or delivered: free space on it, then delivery resumes automatically", "error", err)
		}
		return nil
	}
	for _, stream := range s.suspectStreams() {
		if err := s.probeStream(stream); err != nil && s.ctx.Err() == nil {
			s.mu.Lock()
			s.failedSince[stream] = s.suspectSince[stream]
			s.mu.Unlock()
			broken = append(broken, stream)
		}
	}
	return broken
}

// probeStream makes a test write to a stream; any answer is a success.
func (s *storageMonitor) probeStream(stream string) error {
	ctx, cancel := context.WithTimeout(s.ctx, probeTimeout)
	defer cancel()
	_, err := s.log.js.PublishMsg(ctx, s.log.probeMessage(stream))
	if err != nil && isUnanswered(err) {
		return err
	}
	s.noteResult(stream, nil)
	return nil
}

// probeDisk writes a file to the data directory of the embedded server.
func (s *storageMonitor) probeDisk() error {
	if s.log.embedded == nil {
		return nil
	}
	name := filepath.Join(s.log.config.Dir, "write-test")
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

// reopenServer restarts the embedded server to reopen streams with a write error.
func (s *storageMonitor) reopenServer(broken []string) {
	log := s.log.config.Logger
	log.Error("the log accepts no writes after an error of its storage: reopening it", "streams", broken)
	if err := s.log.embedded.restart(); err != nil {
		log.Error("the log's storage cannot be reopened: trying again", "error", err)
		return
	}
	if err := s.log.waitForConnection(); err != nil {
		log.Error("no connection to the reopened log: trying again", "error", err)
		return
	}
	for _, stream := range broken {
		if err := s.probeStream(stream); err != nil {
			log.Error("the reopened log accepts no writes: trying again", "stream", stream, "error", err)
			return
		}
	}
	log.Info("the log accepts writes again")
}
