package state

import (
	"context"
	"sync"
	"time"
)

// flusher moves unmerged writes to files of members, one audience after the other, in the background: writers wait only if they are far ahead.
type flusher struct {
	writing sync.Mutex // held while a file is written

	mu      sync.Mutex
	running chan struct{} // closed at the end of the flush in the background; nil if there is none
	closed  bool
	err     error     // of the last flush in the background
	failed  time.Time // when
}

const (
	fileRatio  = 3           // a file is merged with the new rows if it has at most so many times as many
	retryFlush = time.Second // after a flush has failed
	farAhead   = 2           // writers wait above so many times the limits
)

// flushes reports whether the unmerged writes of an audience go to files, as mergesToFile does.
func (s *Store) flushes(ctx context.Context, key recentKey) (bool, error) {
	recent := s.recentOf(key.instance, key.audience)
	if recent.unmergedSize() >= s.limits.flush {
		return s.hasVersion(ctx, s.hot, filesVersion)
	}
	audience, _ := recent.position()
	return hasMemberFiles(ctx, s.hot, audience)
}

// limitByFlush starts a flush, before a write to an audience, if there are too many unmerged writes and they go to files. It reports whether they do.
func (s *Store) limitByFlush(ctx context.Context, written recentKey) (bool, error) {
	key, tooMany := s.mergeCandidate(written)
	if !tooMany {
		return false, nil
	}
	running, err := s.flusher.busy()
	if running == nil && err == nil {
		flushes, err := s.flushes(ctx, key)
		if err != nil || !flushes {
			return false, err
		}
		running = s.startFlush(key)
	}
	if s.recentOf(written.instance, written.audience).unmergedSize() < farAhead*s.limits.unmerged && s.unmergedTotal.Load() < farAhead*s.limits.unmergedTotal {
		return true, nil
	}
	if err != nil {
		return true, err
	}
	select {
	case <-running:
		_, err := s.flusher.busy()
		return true, err
	case <-ctx.Done():
		return true, ctx.Err()
	}
}

// busy returns a channel that is closed when the flush in the background has ended, or nil if there is none. If the last one has failed just now, it
// returns its error: the next one should wait.
func (f *flusher) busy() (<-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running == nil && f.err != nil && time.Since(f.failed) < retryFlush {
		return nil, f.err
	}
	return f.running, nil
}

// startFlush starts a flush of an audience in the background, unless one is running, and returns a channel that is closed at its end.
func (s *Store) startFlush(key recentKey) <-chan struct{} {
	f := &s.flusher
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running != nil {
		return f.running
	}
	done := make(chan struct{})
	if f.closed {
		close(done)
		return done
	}
	f.running = done
	go func() {
		err := s.flushRecent(key)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.running, f.err, f.failed = nil, err, time.Now()
		close(done)
	}()
	return done
}

// close waits for the flush in the background, and prevents others.
func (f *flusher) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.wait()
}

// wait waits for the end of the flush in the background.
func (f *flusher) wait() {
	if running, _ := f.busy(); running != nil {
		<-running
	}
}

// flushRecent moves the unmerged writes of an audience that the process has in memory to a file. Their rows stay in memory.
func (s *Store) flushRecent(key recentKey) error {
	s.flusher.writing.Lock()
	defer s.flusher.writing.Unlock()
	recent := s.recentOf(key.instance, key.audience)
	m := recent.beginMerge()
	if m == nil {
		return nil
	}
	m.key = key
	ctx := context.Background()
	ok, err := s.writeMembers(&memberWrite{ctx: ctx, audience: m.audience, merged: m.merged, until: m.until})
	switch {
	case err != nil:
		recent.abandonMerge()
	case ok:
		recent.finishMerge(m)
	default: // another process has changed the audience
		recent.forget()
	}
	return err
}
