package delivery

import (
	"context"
	"time"
)

// checkpointInterval is how often changed checkpoints are written, unless that takes more than a twentieth of the time.
const checkpointInterval = 100 * time.Millisecond

// checkpointDelay returns how long after the last write of checkpoints the next one begins, if that write took a time.
func (r *Runner) checkpointDelay(took time.Duration) time.Duration {
	return max(checkpointInterval, min(20*took, 500*time.Millisecond, r.settings.Lease/20))
}

// runMaintenance writes checkpoints, sends heartbeats, rebalances partitions and trims streams until the Runner stops.
func (r *Runner) runMaintenance() {
	ticker := time.NewTicker(checkpointInterval)
	defer ticker.Stop()
	var rebalancedAt, heartbeatAt, trimmedAt, measuredAt, nextCheckpoints time.Time
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-ticker.C:
		}
		if began := time.Now(); !began.Before(nextCheckpoints) {
			r.writeCheckpoints()
			nextCheckpoints = began.Add(r.checkpointDelay(time.Since(began)) - checkpointInterval/2) // a tick may be early
		}
		if time.Since(heartbeatAt) > r.settings.Lease/10 {
			heartbeatAt = time.Now()
			ctx, cancel := context.WithTimeout(r.ctx, r.settings.Lease/5)
			if err := r.leases.sendHeartbeat(ctx, r.name, memberAlive); err != nil {
				r.log.Debug("sending a heartbeat", "error", err)
			}
			cancel()
		}
		if time.Since(rebalancedAt) > min(time.Second, r.settings.Lease/20) {
			rebalancedAt = time.Now()
			r.watchLog()
			r.rebalance()
			r.unparkEvicted()
		}
		if time.Since(measuredAt) > min(measureInterval, r.settings.TrimInterval) {
			measuredAt = time.Now()
			r.measureParked(r.ctx)
		}
		r.trimShortDisk(r.ctx)
		if time.Since(trimmedAt) > r.settings.TrimInterval {
			trimmedAt = time.Now()
			if _, err := r.trimLog(r.ctx); err != nil {
				r.log.Debug("trimming the log", "error", err)
			}
			if err := r.expireDeadLetters(r.ctx); err != nil {
				r.log.Debug("deleting dead letters beyond their bounds", "error", err)
			}
		}
	}
}

// eachWorker calls f for each current worker.
func (r *Runner) eachWorker(f func(*worker)) {
	r.mu.Lock()
	workers := make([]*worker, 0, len(r.workers))
	for _, w := range r.workers {
		workers = append(workers, w)
	}
	r.mu.Unlock()
	for _, w := range workers {
		f(w)
	}
}

// unparkEvicted resumes keys that were evicted or spilled, as far as their partitions have capacity.
func (r *Runner) unparkEvicted() {
	r.eachWorker(func(w *worker) {
		w.mu.Lock()
		lists := map[int][]string{}
		var quiet []*partition
		for n, p := range w.partitions {
			if p.closing {
				continue
			}
			p.requestPortionsLocked()
			if p.isIdleWithParkedLocked() {
				quiet = append(quiet, p)
			}
			if keys := p.keysToUnparkLocked(); len(keys) > 0 {
				lists[n] = keys
			}
		}
		w.mu.Unlock()
		for _, p := range quiet {
			if err := p.reconcileParked(); err != nil {
				r.log.Debug("looking for parked events", "instance", w.id, "partition", p.number, "error", err)
			}
		}
		for n, keys := range lists {
			ctx, cancel := context.WithTimeout(r.ctx, 5*time.Second)
			if err := r.queue.sendCommand(ctx, w.id, n, opResume, command{Keys: keys}); err != nil {
				r.log.Warn("resuming evicted events", "instance", w.id, "error", err)
			}
			cancel()
		}
	})
}
