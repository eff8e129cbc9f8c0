package delivery

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/internal/diskspace"
	"github.com/landfall-dev/landfall/internal/pause"
)

const (
	nearLimitShare     = 0.8             // share of a dead letter limit from which a warning is given
	parkingResumeShare = 0.95            // share of MaxParkedBytes below which parking resumes
	warnInterval       = time.Hour       // how often a near limit is logged
	measureInterval    = time.Second     // how often the parked events are measured
	minTrimBytes       = 8 << 20         // least bytes to trim on a short disk: the server frees disk in blocks of this size
	trimRetryDelay     = 2 * time.Second // wait after trimming has found nothing to delete
)

// limits is how close the stored dead letters are to their limits.
type limits struct {
	lastFreeBytes     int64     // of the disk, at the last look; used by runMaintenance only
	lastFruitlessTrim time.Time // when nothing could be deleted on a short disk; used by runMaintenance only

	mu               sync.Mutex // guards the fields below
	parkingFullSince time.Time  // since when no events are parked; zero if they can be
	diskShort        bool       // parkingFullSince is set because the disk is short
	parkedBytes      uint64
	deadBytes        uint64
	nearLimit        string    // the limit of dead letters that is near: "age" or "size"; "" for none
	warnedAt         time.Time // when nearLimit was last logged
}

// isParkingFull reports whether no more events can be parked: the limit is reached, or the disk is short.
func (r *Runner) isParkingFull() bool {
	if !r.queue.canPark() {
		return true
	}
	r.limits.mu.Lock()
	defer r.limits.mu.Unlock()
	return !r.limits.parkingFullSince.IsZero()
}

// trimShortDisk deletes delivered events while the disk is short. If there are none, it waits before it tries again.
func (r *Runner) trimShortDisk(ctx context.Context) {
	if r.isDiskFillingFast() {
		return
	}
	for r.queue.diskNeeded() > 0 && time.Since(r.limits.lastFruitlessTrim) > trimRetryDelay {
		trimCtx, cancel := context.WithTimeout(ctx, r.settings.Lease/5)
		trimmed, err := r.trimLog(trimCtx)
		cancel()
		if err != nil {
			r.log.Debug("trimming the log because the disk is short", "error", err)
		}
		if !trimmed {
			r.limits.lastFruitlessTrim = time.Now()
		}
	}
}

// isDiskFillingFast reports whether the disk may be full before events are deleted, for example because another process fills it:
// see canDeleteSafely.
func (r *Runner) isDiskFillingFast() bool {
	if !r.queue.hasDisk() {
		return false
	}
	free, _, err := diskspace.Of(r.queue.config.Dir)
	fell := r.limits.lastFreeBytes - free
	r.limits.lastFreeBytes = free
	return err != nil || fell > free
}

// measureParked updates whether more events can be parked.
func (r *Runner) measureParked(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.settings.Lease/5)
	defer cancel()
	info, err := r.queue.store.Info(ctx, parkStream)
	if err != nil {
		return // the last result stays in effect
	}
	r.updateParkingLimit(info.Bytes, !r.queue.canPark(), time.Now())
}

// updateParkingLimit updates whether events can be parked from the size of the parked ones and whether the disk is short.
func (r *Runner) updateParkingLimit(bytes uint64, short bool, now time.Time) {
	b := &r.limits
	b.mu.Lock()
	defer b.mu.Unlock()
	b.parkedBytes = bytes
	limit := float64(r.settings.MaxParkedBytes)
	switch full := !b.parkingFullSince.IsZero(); {
	case !full && (short || float64(bytes) >= limit):
		b.parkingFullSince = now
		b.diskShort = short
		r.log.Error("no more events can be parked, so instances with parked events read no new ones: "+b.nextLocked(), "bytes", bytes, "bound", r.settings.MaxParkedBytes, "diskShort", short)
	case full && !short && float64(bytes) < limit*parkingResumeShare:
		b.parkingFullSince = time.Time{}
		r.log.Info("events can be parked again", "bytes", bytes, "bound", r.settings.MaxParkedBytes)
	}
}

// nextLocked says what to do if no more events can be parked. The mutex is held.
func (b *limits) nextLocked() string {
	if b.diskShort {
		return "free space on the disk of the data directory"
	}
	return "replay or drop them with landfall dead, or raise delivery.parked.maxBytes"
}

// waitUntilCanPark stops reading a partition with parked keys while no more events can be parked. It returns if a command is
// waiting in the log, which may drop or replay parked events.
func (p *partition) waitUntilCanPark() error {
	w := p.worker
	for {
		w.mu.Lock()
		p.parkingBlocked = len(p.parked.keys) > 0 && w.runner.isParkingFull()
		blocked, next := p.parkingBlocked, p.nextPage
		w.mu.Unlock()
		if !blocked {
			return nil
		}
		p.cursor.setBlocked()
		last, err := w.runner.queue.store.Last(p.ctx, eventsStream, commandSubject(w.id, p.number))
		if err == nil && last.Sequence >= next {
			return nil
		}
		if err != nil && !errors.Is(err, eventlog.ErrNotFound) {
			return err
		}
		if err := pause.For(p.ctx, measureInterval); err != nil {
			return err
		}
	}
}

// expireDeadLetters deletes the oldest dead letters beyond their limits. On a cluster only the first member does.
func (r *Runner) expireDeadLetters(ctx context.Context) error {
	if alive := r.leases.aliveMembers(); len(alive) > 0 && alive[0] != r.name {
		return nil
	}
	info, err := r.queue.store.Info(ctx, deadStream)
	if err != nil {
		return err
	}
	if r.settings.MayDeleteByAge() {
		to, err := r.queue.firstRetained(ctx, deadStream, info, r.settings.DeadLetterRetention)
		if err == nil {
			err = r.purgeDeadLetters(ctx, "age", info, to)
		}
		if err != nil {
			return err
		}
	}
	for range 10 { // dead letters differ in size, so a share of their number is an estimate
		if info, err = r.queue.store.Info(ctx, deadStream); err != nil {
			return err
		}
		limit := uint64(r.settings.MaxDeadLetterBytes)
		if info.Bytes <= limit || info.Messages == 0 {
			break
		}
		share := float64(info.Bytes-limit/10*9) / float64(info.Bytes)
		to := info.FirstSeq + max(uint64(share*float64(info.LastSeq-info.FirstSeq)), 1)
		if err := r.purgeDeadLetters(ctx, "size", info, to); err != nil {
			return err
		}
	}
	r.warnNearLimit(info, time.Now())
	return nil
}

// purgeDeadLetters deletes the dead letters before a sequence.
func (r *Runner) purgeDeadLetters(ctx context.Context, bound string, was eventlog.Info, to uint64) error {
	if was.Messages == 0 || to <= was.FirstSeq || !r.queue.canDeleteSafely() {
		return nil
	}
	if err := r.queue.store.PurgeBefore(ctx, deadStream, to); err != nil {
		return err
	}
	info, err := r.queue.store.Info(ctx, deadStream)
	if err != nil {
		return err
	}
	written := info.LastSeq - was.LastSeq // in the meantime
	if deleted := int64(was.Messages+written) - int64(info.Messages); deleted > 0 {
		r.metrics.expired.WithLabelValues(bound).Add(float64(deleted))
		r.log.Warn("dead letters were deleted at their limit: see delivery.letters", "bound", bound, "letters", deleted)
	}
	return nil
}

// warnNearLimit records whether a limit of dead letters is near, and logs it once an hour.
func (r *Runner) warnNearLimit(s eventlog.Info, now time.Time) {
	b := &r.limits
	b.mu.Lock()
	defer b.mu.Unlock()
	b.deadBytes, b.nearLimit = s.Bytes, ""
	switch {
	case s.Messages == 0:
	case float64(s.Bytes) > nearLimitShare*float64(r.settings.MaxDeadLetterBytes):
		b.nearLimit = "size"
	case float64(now.Sub(s.FirstTime)) > nearLimitShare*float64(r.settings.DeadLetterRetention):
		b.nearLimit = "age"
	}
	if b.nearLimit == "" || now.Sub(b.warnedAt) < warnInterval {
		return
	}
	b.warnedAt = now
	r.log.Warn("the oldest dead letters will be deleted soon: replay or drop them with landfall dead, or raise delivery.letters",
		"bound", b.nearLimit, "bytes", s.Bytes, "maxBytes", r.settings.MaxDeadLetterBytes, "oldest", s.FirstTime.UTC(), "retention", r.settings.DeadLetterRetention)
}
