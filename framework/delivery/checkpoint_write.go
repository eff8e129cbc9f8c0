package delivery

import (
	"context"
	"errors"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// pendingCheckpoint is a checkpoint to write.
type pendingCheckpoint struct {
	partition  *partition
	subject    string
	checkpoint checkpoint
	revision   uint64 // that it replaces
}

// writeCheckpoints writes, in batches if they are many, the checkpoints that have changed and those whose lease needs renewal.
func (r *Runner) writeCheckpoints() {
	var list []pendingCheckpoint
	r.eachWorker(func(w *worker) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, p := range w.partitions {
			age := time.Since(p.renewedAt)
			rare := !p.dirty || len(p.openPages) > 256 // those of events that no subscription matches, and large ones, are written less often
			if p.abandoned || p.closing || age < r.settings.Lease/5 && (!p.dirty && !p.hasRead || rare && age < time.Second) {
				continue
			}
			p.dirty, p.hasRead = false, false
			list = append(list, pendingCheckpoint{p, checkpointSubject(w.id, p.number), p.currentCheckpointLocked(r.name), p.revision})
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
	if !r.queue.writesSingly(len(list)) {
		messages := make([]eventlog.Write, len(list))
		for i, d := range list {
			messages[i] = d.checkpoint.toMessage(d.subject, d.revision)
		}
		if last, err := r.queue.store.Append(ctx, checkpointsStream, messages); err == nil {
			for i, d := range list {
				revision := last - uint64(len(list)-1-i)
				r.leases.recordWrite(messages[i], revision)
				d.partition.leaseRenewed(revision, began, d.checkpoint)
			}
			return
		}
	}
	for _, d := range list {
		revision, err := r.leases.writeCheckpoint(ctx, r.name, d.subject, d.revision, d.checkpoint)
		switch {
		case err == nil:
			d.partition.leaseRenewed(revision, began, d.checkpoint)
		case errors.Is(err, errLeaseLost):
			if r.abandonPartition(d.partition) {
				r.log.Warn("another process has taken over a partition", "instance", d.partition.worker.id, "partition", d.partition.number)
			}
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
