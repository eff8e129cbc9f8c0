package delivery

import (
	"context"
	"time"
)

// checkpointInterval is how often changed checkpoints are written.
const checkpointInterval = 100 * time.Millisecond

// runMaintenance writes checkpoints, sends heartbeats, rebalances partitions and trims streams until the Runner stops.
func (r *Runner) runMaintenance() {
	ticker := time.NewTicker(checkpointInterval)
	defer ticker.Stop()
	var rebalancedAt, heartbeatAt, trimmedAt, measuredAt time.Time
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-ticker.C:
		}
		r.writeCheckpoints()
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
