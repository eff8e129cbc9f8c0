package delivery

import (
	"context"
	"errors"
	"time"
)

// rebalance acquires the partitions that are assigned to this process, and releases those that are assigned to others. If the log is
// slow, it leaves the rest to the next call, because leases are not renewed meanwhile.
func (r *Runner) rebalance() {
	r.rebalanceMu.Lock()
	defer r.rebalanceMu.Unlock()
	members := r.leases.membership(r.name, r.queue.partitions)
	var acquired []*partition
	began := time.Now()
	r.eachWorker(func(w *worker) {
		mine := members.assignedTo(r.name, w.id, r.queue.partitions)
		for n := range r.queue.partitions {
			w.mu.Lock()
			p, stopping := w.partitions[n], w.stopping
			over := p != nil && p.leaseRemainingLocked() <= 0
			closing := p != nil && p.closing
			w.mu.Unlock()
			switch {
			case stopping || closing:
			case over:
				r.log.Warn("a lease has expired", "instance", w.id, "partition", n)
				r.abandonPartition(p)
			case p == nil && mine[n] && time.Since(began) < r.settings.Lease/20:
				if p := r.acquirePartition(w, n); p != nil {
					acquired = append(acquired, p)
				}
			case p != nil && !mine[n]:
				ctx, cancel := context.WithTimeout(r.ctx, r.settings.Lease/2)
				r.goroutines.Go(func() { defer cancel(); r.releasePartition(ctx, p) })
			}
		}
	})
	for _, p := range acquired { // once all have their cursors, so that they share feeds
		go p.readLoop()
	}
}

// acquirePartition takes the lease of a partition if it is free. It returns the partition, which is to be read, or nil.
func (r *Runner) acquirePartition(w *worker, n int) *partition {
	subject := checkpointSubject(w.id, n)
	s, ok := r.leases.latestOf(subject)
	cp := parseCheckpoint(s.data)
	if !ok || cp.Owner != "" && cp.Owner != r.name && time.Since(s.changedAt) < r.settings.Lease {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.ctx, r.settings.Lease/5)
	defer cancel()
	view, ok := r.checkpointFits(ctx, storedCheckpoint{subject, w.id, n, s.revision, cp}, s.changedAt)
	if !ok {
		return nil
	}
	cp.Owner, cp.LogCreated = r.name, view.created
	began := time.Now()
	revision, err := r.leases.writeCheckpoint(ctx, r.name, subject, s.revision, cp)
	if err != nil {
		return nil
	}
	p := w.newPartition(n, cp, revision, began.Add(r.settings.Lease))
	p.openCursor()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopping {
		p.cursor.close()
		p.owner.CloseLocked()
		p.cancel()
		p.mapping.releaseSlot()
		return nil
	}
	w.partitions[n] = p
	return p
}

// abandonPartition stops a partition whose lease may be lost: no more verdicts are applied and nothing is written. It returns false if the
// partition had stopped already, as one that was released.
func (r *Runner) abandonPartition(p *partition) (stopped bool) {
	w := p.worker
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.abandoned {
		return false
	}
	p.closing = true
	p.abandonLocked()
	p.owner.CloseLocked()
	p.cancel()
	w.removePartitionLocked(p)
	w.changed.Broadcast()
	return true
}

// removePartitionLocked removes a partition, unless it was acquired again since.
func (w *worker) removePartitionLocked(p *partition) {
	if w.partitions[p.number] == p {
		delete(w.partitions, p.number)
	}
}

// releasePartition gives up the lease of a partition. It waits for requests in flight until ctx ends, and writes the last
// checkpoint.
func (r *Runner) releasePartition(ctx context.Context, p *partition) {
	w := p.worker
	stop := context.AfterFunc(ctx, func() {
		w.mu.Lock() // a waiter that checked ctx before is in Wait by now
		defer w.mu.Unlock()
		w.changed.Broadcast()
	})
	defer stop()
	w.mu.Lock()
	if p.closing {
		w.mu.Unlock()
		return
	}
	p.closing = true
	p.owner.DrainLocked()
	p.cancel()
	for (p.owner.InFlightLocked() > 0 || p.pendingWrites > 0) && ctx.Err() == nil {
		w.changed.Wait()
	}
	p.abandonLocked()
	p.owner.CloseLocked()
	cp, revision := p.currentCheckpointLocked(""), p.revision
	w.mu.Unlock()
	<-p.done
	writeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := r.leases.writeCheckpoint(writeCtx, r.name, checkpointSubject(w.id, p.number), revision, cp); err != nil && !errors.Is(err, errLeaseLost) {
		r.log.Warn("releasing a partition", "instance", w.id, "partition", p.number, "error", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removePartitionLocked(p)
}
