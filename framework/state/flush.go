package state

import (
	"context"
	"errors"
	"sync"
	"time"
)

// flusher moves unmerged writes to member files, one audience after the other, in the background: writers wait only if they are far ahead.
type flusher struct {
	writing  sync.Mutex // held while a file is written
	replaced int64      // identities in files that were replaced since reuseParts has made their space available; writing guards it

	mu      sync.Mutex
	running chan struct{}      // closed at the end of the flush in the background; nil if there is none
	cancel  context.CancelFunc // ends it early
	closed  bool
	failed  map[recentKey]flushFailure // the audiences whose last flush has failed
}

// flushFailure is the error of a flush.
type flushFailure struct {
	err error
	at  time.Time
}

const (
	fileRatio  = 3           // a file is merged with newer rows if it has at most this many times as many
	retryFlush = time.Second // after a flush of the audience has failed
	farAhead   = 2           // writers wait above this many times the limits
)

var errClosed = errors.New("the state is closed")

// flushes reports whether the unmerged writes of an audience go to files, as mergesToFile does. They do not while the audience is merged in portions.
func (s *Store) flushes(ctx context.Context, key recentKey) (bool, error) {
	recent := s.recentOf(key.instance, key.audience)
	if recent.isMerging() {
		return false, nil
	}
	if recent.unmergedSize() >= s.limits.flush {
		return s.hasVersion(ctx, s.hot, filesVersion)
	}
	audience, _ := recent.position()
	return hasMemberFiles(ctx, s.hot, audience)
}

// limitByFlush starts a flush, before a write to an audience, if there are too many unmerged writes and they go to files. It waits while there are far too
// many. If they do not go to files, it returns the audience that is to be merged to the tables instead.
func (s *Store) limitByFlush(ctx context.Context, written recentKey) (toTables recentKey, err error) {
	for {
		key, tooMany := s.mergeCandidate(written)
		if !tooMany {
			return recentKey{}, nil
		}
		running := s.flusher.current()
		if running == nil {
			if flushes, err := s.flushes(ctx, key); err != nil || !flushes {
				return key, err
			}
			running, err = s.startFlush(key)
		}
		if !s.isFarAhead(written) {
			return recentKey{}, nil
		}
		if err != nil {
			return recentKey{}, err
		}
		select {
		case <-running:
		case <-ctx.Done():
			return recentKey{}, ctx.Err()
		}
	}
}

// isFarAhead reports whether a writer of an audience has to wait for a flush.
func (s *Store) isFarAhead(written recentKey) bool {
	return s.recentOf(written.instance, written.audience).unmergedSize() >= farAhead*s.limits.unmerged ||
		s.unmergedTotal.Load() >= farAhead*s.limits.unmergedTotal
}

// current returns a channel that is closed when the flush in the background has ended, or nil if there is none.
func (f *flusher) current() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.running
}

// failing returns the audiences whose last flush failed less than retryFlush ago.
func (f *flusher) failing() map[recentKey]bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	keys := map[recentKey]bool{}
	for key := range f.failed {
		keys[key] = f.failureLocked(key) != nil
	}
	return keys
}

// failureLocked returns the error of an audience's last flush if it failed less than retryFlush ago.
func (f *flusher) failureLocked(key recentKey) error {
	if failed, ok := f.failed[key]; ok && time.Since(failed.at) < retryFlush {
		return failed.err
	}
	return nil
}

// startFlush starts a flush of an audience in the background, unless one is running, and returns a channel that is closed at its end.
func (s *Store) startFlush(key recentKey) (<-chan struct{}, error) {
	f := &s.flusher
	f.mu.Lock()
	defer f.mu.Unlock()
	switch err := f.failureLocked(key); {
	case f.running != nil:
		return f.running, nil
	case f.closed:
		return nil, errClosed
	case err != nil:
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.running, f.cancel = make(chan struct{}), cancel
	go func() { f.finish(key, s.flushRecent(ctx, key)) }()
	return f.running, nil
}

// finish records the result of the flush in the background, which has ended.
func (f *flusher) finish(key recentKey, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cancel()
	delete(f.failed, key)
	if err != nil {
		if f.failed == nil {
			f.failed = map[recentKey]flushFailure{}
		}
		f.failed[key] = flushFailure{err, time.Now()}
	}
	close(f.running)
	f.running = nil
}

// close cancels the flush in the background, whose writes stay unmerged, and prevents further ones.
func (f *flusher) close() {
	f.mu.Lock()
	f.closed = true
	if f.running != nil {
		f.cancel()
	}
	f.mu.Unlock()
	f.wait()
}

// wait waits for the end of the flush in the background.
func (f *flusher) wait() {
	if running := f.current(); running != nil {
		<-running
	}
}

// flushRecent moves the unmerged writes of an audience that the process has in memory to a file. Their rows stay in memory.
func (s *Store) flushRecent(ctx context.Context, key recentKey) error {
	s.flusher.writing.Lock()
	defer s.flusher.writing.Unlock()
	recent := s.recentOf(key.instance, key.audience)
	m := recent.beginMerge()
	if m == nil {
		return nil
	}
	m.key = key
	ok, err := s.writeMembers(&memberWrite{ctx: ctx, audience: m.audience, merged: m.merged, until: m.until, saving: func() { recent.saveMerge(m) }})
	switch {
	case err != nil:
		recent.abandonMerge()
	case ok:
		recent.finishMerge(m)
		s.limitRead()
	default: // another process has changed the audience
		recent.forget()
	}
	return err
}

// mergesToFile reports whether the unmerged writes of an audience are merged to a file: they are many, or its rows are in files.
func (s *Store) mergesToFile(ctx context.Context, q querier, audience int64) (bool, error) {
	var size int64
	err := q.QueryRowContext(ctx, `SELECT COALESCE(SUM(LENGTH(changes)), 0) FROM unmerged WHERE audience = $1`, audience).Scan(&size)
	if err != nil {
		return false, err
	}
	if size >= s.limits.flush {
		return s.hasVersion(ctx, q, filesVersion)
	}
	return hasMemberFiles(ctx, q, audience)
}

// mergeToFile merges the unmerged writes of an audience to a file. ok is false if another process has changed the audience meanwhile.
func (s *Store) mergeToFile(ctx context.Context, audience int64) (ok bool, err error) {
	s.flusher.writing.Lock()
	defer s.flusher.writing.Unlock()
	merged, pending, err := s.mergeState(ctx, audience)
	if err != nil || !pending {
		return true, ignoreMissing(err)
	}
	return s.writeMembers(&memberWrite{ctx: ctx, audience: audience, merged: merged})
}
