package delivery

import (
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// checkpointInterval is how often changed checkpoints are written.
const checkpointInterval = 100 * time.Millisecond

// runMaintenance writes checkpoints, sends heartbeats, rebalances partitions and trims streams until the Runner stops.
func (r *Runner) runMaintenance() {
	ticker := time.NewTicker(checkpointInterval)
	defer ticker.Stop()
	var tended, greeted, trimmed, measured time.Time
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-ticker.C:
		}
		r.writeCheckpoints()
		if time.Since(greeted) > r.settings.Lease/10 {
			greeted = time.Now()
			ctx, cancel := context.WithTimeout(r.ctx, r.settings.Lease/5)
			if err := r.leases.sendHeartbeat(ctx, r.name, "here"); err != nil {
				r.log.Debug("sending a heartbeat", "error", err)
			}
			cancel()
		}
		if time.Since(tended) > min(time.Second, r.settings.Lease/20) {
			tended = time.Now()
			r.watchLog()
			r.rebalance()
			r.unparkEvicted()
		}
		if time.Since(measured) > min(measureInterval, r.settings.TrimInterval) {
			measured = time.Now()
			r.measureParked(r.ctx)
		}
		r.trimShortDisk(r.ctx)
		if time.Since(trimmed) > r.settings.TrimInterval {
			trimmed = time.Now()
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

// pendingCheckpoint is a checkpoint to write.
type pendingCheckpoint struct {
	partition  *partition
	subject    string
	checkpoint checkpoint
}

// writeCheckpoints writes, in batches, the checkpoints that have changed and those whose lease needs renewal.
func (r *Runner) writeCheckpoints() {
	var list []pendingCheckpoint
	r.eachWorker(func(w *worker) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, p := range w.partitions {
			age := time.Since(p.renewedAt)
			large := len(p.openPages) > 256 // large checkpoints are written less often
			if p.abandoned || p.closing || age < r.settings.Lease/5 && (!p.dirty || large && age < time.Second) {
				continue
			}
			p.dirty = false
			list = append(list, pendingCheckpoint{p, checkpointSubject(w.id, p.number), p.currentCheckpoint(r.name)})
		}
	})
	for len(list) > 0 {
		n := min(len(list), maxMessages)
		r.writeCheckpointBatch(list[:n])
		list = list[n:]
	}
}

func (r *Runner) writeCheckpointBatch(list []pendingCheckpoint) {
	ctx, cancel := context.WithTimeout(r.ctx, r.settings.Lease/5)
	defer cancel()
	began := time.Now()
	if len(list) > 1 {
		messages := make([]*nats.Msg, len(list))
		for i, d := range list {
			messages[i] = d.checkpoint.toMessage(d.subject, d.partition.revision)
		}
		if last, err := r.queue.publishBatch(ctx, checkpointsStream, messages); err == nil {
			for i, d := range list {
				revision := last - uint64(len(list)-1-i)
				r.leases.recordMessage(d.subject, revision, messages[i].Data)
				d.partition.leaseRenewed(revision, began, d.checkpoint)
			}
			return
		}
	}
	for _, d := range list {
		revision, err := r.leases.writeCheckpoint(ctx, r.name, d.subject, d.partition.revision, d.checkpoint)
		switch {
		case err == nil:
			d.partition.leaseRenewed(revision, began, d.checkpoint)
		case errors.Is(err, errLeaseLost):
			r.log.Warn("another process has taken over a partition", "instance", d.partition.worker.id, "partition", d.partition.number)
			r.abandonPartition(d.partition)
		case r.ctx.Err() == nil:
			r.log.Warn("writing a checkpoint", "instance", d.partition.worker.id, "partition", d.partition.number, "error", err)
			d.partition.worker.mu.Lock()
			d.partition.dirty = true
			d.partition.worker.mu.Unlock()
		}
	}
}

// leaseRenewed records that a checkpoint was written, which extends the lease.
func (p *partition) leaseRenewed(revision uint64, began time.Time, cp checkpoint) {
	w := p.worker
	w.mu.Lock()
	defer w.mu.Unlock()
	p.revision, p.renewedAt, p.leaseUntil = revision, began, began.Add(w.runner.settings.Lease)
	w.changed.Broadcast()
}

// rebalance acquires the partitions that are assigned to this process, and releases those that are assigned to others.
func (r *Runner) rebalance() {
	r.rebalanceMu.Lock()
	defer r.rebalanceMu.Unlock()
	alive := r.leases.aliveMembers(r.settings.Lease)
	if !slices.Contains(alive, r.name) {
		alive = append(alive, r.name)
		slices.Sort(alive)
	}
	r.eachWorker(func(w *worker) {
		for n := range r.queue.partitions {
			w.mu.Lock()
			p, stopping := w.partitions[n], w.stopping
			over := p != nil && p.leaseRemaining() <= 0
			closing := p != nil && p.closing
			w.mu.Unlock()
			mine := assignedMember(w.id, n, alive) == r.name
			switch {
			case stopping || closing:
			case over:
				r.log.Warn("a lease has expired", "instance", w.id, "partition", n)
				r.abandonPartition(p)
			case p == nil && mine:
				r.acquirePartition(w, n)
			case p != nil && !mine:
				ctx, cancel := context.WithTimeout(r.ctx, r.settings.Lease/2)
				r.goroutines.Go(func() { defer cancel(); r.releasePartition(ctx, p) })
			}
		}
	})
}

// assignedMember returns the member that should own a partition.
func assignedMember(instance string, partition int, alive []string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(instance))
	return alive[(uint64(h.Sum32())+uint64(partition))%uint64(len(alive))]
}

// acquirePartition takes the lease of a partition if it is free, and starts reading.
func (r *Runner) acquirePartition(w *worker, n int) {
	subject := checkpointSubject(w.id, n)
	s, ok := r.leases.latestOf(subject)
	cp := parseCheckpoint(s.data)
	if !ok || cp.Owner != "" && cp.Owner != r.name && time.Since(s.changedAt) < r.settings.Lease {
		return
	}
	ctx, cancel := context.WithTimeout(r.ctx, r.settings.Lease/5)
	defer cancel()
	view, ok := r.checkpointFits(ctx, storedCheckpoint{subject, w.id, n, s.revision, cp}, s.changedAt)
	if !ok {
		return
	}
	cp.Owner, cp.LogCreated = r.name, view.created
	began := time.Now()
	revision, err := r.leases.writeCheckpoint(ctx, r.name, subject, s.revision, cp)
	if err != nil {
		return
	}
	p := w.newPartition(n, cp, revision, began.Add(r.settings.Lease))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopping {
		p.cancel()
		p.mapping.releaseSlot()
		return
	}
	w.partitions[n] = p
	go p.readLoop()
}

// abandonPartition stops a partition whose lease may be lost: no more verdicts are applied and nothing is written.
func (r *Runner) abandonPartition(p *partition) {
	w := p.worker
	w.mu.Lock()
	defer w.mu.Unlock()
	p.closing, p.abandoned = true, true
	p.cancel()
	delete(w.partitions, p.number)
	w.changed.Broadcast()
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
	p.cancel()
	for (p.inFlight > 0 || p.pendingWrites > 0) && ctx.Err() == nil {
		w.changed.Wait()
	}
	p.abandoned = true
	cp, revision := p.currentCheckpoint(""), p.revision
	w.mu.Unlock()
	<-p.done
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := r.leases.writeCheckpoint(last, r.name, checkpointSubject(w.id, p.number), revision, cp); err != nil && !errors.Is(err, errLeaseLost) {
		r.log.Warn("releasing a partition", "instance", w.id, "partition", p.number, "error", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.partitions, p.number)
}

// unparkEvicted resumes keys that were evicted or spilled, as far as their partitions have capacity.
func (r *Runner) unparkEvicted() {
	r.eachWorker(func(w *worker) {
		w.mu.Lock()
		w.dropIdleLanes()
		lists := map[int][]string{}
		var quiet []*partition
		for n, p := range w.partitions {
			if p.closing {
				continue
			}
			p.requestPortions()
			if p.isIdleWithParked() {
				quiet = append(quiet, p)
			}
			if keys := p.keysToUnpark(); len(keys) > 0 {
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
