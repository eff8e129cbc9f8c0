package delivery

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	lettersNear    = 0.8             // the share of a bound of dead letters from which on it is warned of
	parkedAgain    = 0.95            // the share of the bound of parked events below which parking goes on
	warnedEvery    = time.Hour       // how often a bound that is near is logged
	measuredEvery  = time.Second     // how often the bounds are looked at
	leastTrimmed   = 8 << 20         // bytes that are trimmed at least on a short disk: the server frees disk by blocks of this size
	fruitlessTrims = 2 * time.Second // how long trimming waits after it has found nothing to delete
)

// bounds is how far what is kept is from its bounds.
type bounds struct {
	mu          sync.Mutex
	parkedFull  time.Time // since when no more is parked; zero if there is room
	parkedBytes uint64
	deadBytes   uint64
	free        int64     // of the disk, a moment ago; only the Runner's loop uses it
	nearBound   string    // the bound of dead letters that is near: "age" or "size"; "" if neither is
	warned      time.Time // when that was last logged
	fruitless   time.Time // when nothing could be deleted though the disk was short; only the Runner's loop uses it
}

// parkingFull reports whether no more events can be parked: their bound is reached, or the disk is short.
func (r *Runner) parkingFull() bool {
	if !r.queue.hasRoomToPark() {
		return true
	}
	r.bounds.mu.Lock()
	defer r.bounds.mu.Unlock()
	return !r.bounds.parkedFull.IsZero()
}

// trimShortDisk deletes delivered events while the disk is short. If there are none to delete, it looks again after a while.
func (r *Runner) trimShortDisk(ctx context.Context) {
	if r.diskFalls() {
		return
	}
	for r.queue.diskNeeded() > 0 && time.Since(r.bounds.fruitless) > fruitlessTrims {
		trimming, cancel := context.WithTimeout(ctx, r.config.Lease/5)
		trimmed, err := r.trim(trimming)
		cancel()
		if err != nil {
			r.log.Debug("trimming the log of a short disk", "error", err)
		}
		if !trimmed {
			r.bounds.fruitless = time.Now()
		}
	}
}

// diskFalls reports whether the disk fills so fast that it may be full before events have been deleted, as when another process
// fills it: see deletesSafely.
func (r *Runner) diskFalls() bool {
	if r.queue.embedded == nil {
		return false
	}
	free, _, err := diskSpace(r.queue.config.Dir)
	fell := r.bounds.free - free
	r.bounds.free = free
	return err != nil || fell > free
}

// measureParked finds out whether more events can be parked.
func (r *Runner) measureParked(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.config.Lease/5)
	defer cancel()
	info, err := r.queue.streams[parkStream].Info(ctx)
	if err != nil {
		return // what was found last stands
	}
	r.noteParked(info.State.Bytes, !r.queue.hasRoomToPark(), time.Now())
}

// noteParked takes the size of the parked events into account, and whether the disk is short.
func (r *Runner) noteParked(bytes uint64, short bool, now time.Time) {
	b := &r.bounds
	b.mu.Lock()
	defer b.mu.Unlock()
	b.parkedBytes = bytes
	most := float64(r.config.ParkedBytes)
	switch full := !b.parkedFull.IsZero(); {
	case !full && (short || float64(bytes) >= most):
		b.parkedFull = now
		r.log.Error("no more events are parked, so instances with parked events take no more: replay or drop them with landfall dead, or raise delivery.parked.maxBytes",
			"bytes", bytes, "bound", r.config.ParkedBytes, "diskShort", short)
	case full && !short && float64(bytes) < most*parkedAgain:
		b.parkedFull = time.Time{}
		r.log.Info("events can be parked again", "bytes", bytes, "bound", r.config.ParkedBytes)
	}
}

// awaitParkingRoom holds a partition with parked keys back while no more can be parked. An order in the log that is still to be
// read lifts that: it may be the one that makes room.
func (p *partition) awaitParkingRoom() error {
	w := p.worker
	for {
		w.mu.Lock()
		p.blocked = len(p.parked) > 0 && w.runner.parkingFull()
		blocked, next := p.blocked, p.next
		w.mu.Unlock()
		if !blocked {
			return nil
		}
		last, err := w.runner.queue.streams[eventsStream].GetLastMsgForSubject(p.ctx, askSubject(w.id, p.n))
		if err == nil && last.Sequence >= next {
			return nil
		}
		if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
			return err
		}
		if err := pause(p.ctx, measuredEvery); err != nil {
			return err
		}
	}
}

// expireLetters deletes dead letters beyond their bounds, the oldest first. On a cluster one process does.
func (r *Runner) expireLetters(ctx context.Context) error {
	if alive := r.roster.alive(r.config.Lease); len(alive) > 0 && alive[0] != r.name {
		return nil
	}
	stream := r.queue.streams[deadStream]
	info, err := stream.Info(ctx)
	if err != nil {
		return err
	}
	cut := time.Now().Add(-r.config.LetterRetention)
	to, err := firstAfter(ctx, stream, info.State, cut)
	if err != nil {
		return err
	}
	if err := r.purgeLetters(ctx, "age", info.State, to); err != nil {
		return err
	}
	for range 10 { // letters differ in size, so the share of their number is an estimate
		if info, err = stream.Info(ctx); err != nil {
			return err
		}
		state, most := info.State, uint64(r.config.LetterBytes)
		if state.Bytes <= most || state.Msgs == 0 {
			break
		}
		share := float64(state.Bytes-most/10*9) / float64(state.Bytes)
		to := state.FirstSeq + max(uint64(share*float64(state.LastSeq-state.FirstSeq)), 1)
		if err := r.purgeLetters(ctx, "size", state, to); err != nil {
			return err
		}
	}
	r.warnOfLetters(info.State, time.Now())
	return nil
}

// purgeLetters deletes the dead letters before a sequence.
func (r *Runner) purgeLetters(ctx context.Context, bound string, was jetstream.StreamState, to uint64) error {
	if was.Msgs == 0 || to <= was.FirstSeq || !r.queue.deletesSafely() {
		return nil
	}
	stream := r.queue.streams[deadStream]
	if err := stream.Purge(ctx, jetstream.WithPurgeSequence(to)); err != nil {
		return err
	}
	info, err := stream.Info(ctx)
	if err != nil {
		return err
	}
	written := info.State.LastSeq - was.LastSeq // meanwhile
	if gone := int64(was.Msgs+written) - int64(info.State.Msgs); gone > 0 {
		r.metrics.expired.WithLabelValues(bound).Add(float64(gone))
		r.log.Warn("dead letters were deleted at their bound: see delivery.letters", "bound", bound, "letters", gone)
	}
	return nil
}

// warnOfLetters takes note of a bound that is near, and logs it now and then.
func (r *Runner) warnOfLetters(s jetstream.StreamState, now time.Time) {
	b := &r.bounds
	b.mu.Lock()
	defer b.mu.Unlock()
	b.deadBytes, b.nearBound = s.Bytes, ""
	switch {
	case s.Msgs == 0:
	case float64(s.Bytes) > lettersNear*float64(r.config.LetterBytes):
		b.nearBound = "size"
	case float64(now.Sub(s.FirstTime)) > lettersNear*float64(r.config.LetterRetention):
		b.nearBound = "age"
	}
	if b.nearBound == "" || now.Sub(b.warned) < warnedEvery {
		return
	}
	b.warned = now
	r.log.Warn("the oldest dead letters will be deleted soon: replay or drop them with landfall dead, or raise delivery.letters",
		"bound", b.nearBound, "bytes", s.Bytes, "maxBytes", r.config.LetterBytes, "oldest", s.FirstTime.UTC(), "retention", r.config.LetterRetention)
}
