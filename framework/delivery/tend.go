package delivery

import (
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// checkpoint is how often books are written where something has changed.
const checkpoint = 100 * time.Millisecond

// run writes the books and sees to the partitions until the Runner stops.
func (r *Runner) run() {
	ticker := time.NewTicker(checkpoint)
	defer ticker.Stop()
	var tended, greeted, trimmed, measured time.Time
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-ticker.C:
		}
		r.writeBooks()
		if time.Since(greeted) > r.config.Lease/10 {
			greeted = time.Now()
			ctx, cancel := context.WithTimeout(r.ctx, r.config.Lease/5)
			if err := r.roster.greet(ctx, r.name, "here"); err != nil {
				r.log.Debug("saying that this process is here", "error", err)
			}
			cancel()
		}
		if time.Since(tended) > min(time.Second, r.config.Lease/20) {
			tended = time.Now()
			r.watchLog()
			r.tend()
			r.recall()
		}
		if time.Since(measured) > min(measuredEvery, r.config.Trim) {
			measured = time.Now()
			r.measureParked(r.ctx)
		}
		r.trimShortDisk(r.ctx)
		if time.Since(trimmed) > r.config.Trim {
			trimmed = time.Now()
			if _, err := r.trim(r.ctx); err != nil {
				r.log.Debug("trimming the log", "error", err)
			}
			if err := r.expireLetters(r.ctx); err != nil {
				r.log.Debug("deleting dead letters beyond their bounds", "error", err)
			}
		}
	}
}

// all are the workers and their partitions at this moment.
func (r *Runner) all(f func(*worker)) {
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

// due is a book that is to be written.
type due struct {
	part    *partition
	subject string
	book    book
}

// writeBooks writes the books in which something has changed, and those whose lease would run out, all at once.
func (r *Runner) writeBooks() {
	var list []due
	r.all(func(w *worker) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, p := range w.parts {
			age := time.Since(p.written)
			large := len(p.window) > 256 // a book that is long to write is written less often
			if p.lost || p.closing || age < r.config.Lease/5 && (!p.dirty || large && age < time.Second) {
				continue
			}
			p.dirty = false
			list = append(list, due{p, bookSubject(w.id, p.n), p.note(r.name)})
		}
	})
	for len(list) > 0 {
		n := min(len(list), maxMessages)
		r.writeSome(list[:n])
		list = list[n:]
	}
}

func (r *Runner) writeSome(list []due) {
	ctx, cancel := context.WithTimeout(r.ctx, r.config.Lease/5)
	defer cancel()
	began := time.Now()
	if len(list) > 1 {
		messages := make([]*nats.Msg, len(list))
		for i, d := range list {
			messages[i] = d.book.message(d.subject, d.part.revision)
		}
		if last, err := r.queue.publishBatch(ctx, booksStream, messages); err == nil {
			for i, d := range list {
				revision := last - uint64(len(list)-1-i)
				r.roster.see(d.subject, revision, messages[i].Data)
				d.part.renewed(revision, began, d.book)
			}
			return
		}
	}
	for _, d := range list {
		revision, err := r.roster.write(ctx, r.name, d.subject, d.part.revision, d.book)
		switch {
		case err == nil:
			d.part.renewed(revision, began, d.book)
		case errors.Is(err, errStolen):
			r.log.Warn("another process has a partition", "instance", d.part.worker.id, "partition", d.part.n)
			r.lose(d.part)
		case r.ctx.Err() == nil:
			r.log.Warn("writing a book", "instance", d.part.worker.id, "partition", d.part.n, "error", err)
			d.part.worker.mu.Lock()
			d.part.dirty = true
			d.part.worker.mu.Unlock()
		}
	}
}

// renewed takes note of a book that has been written.
func (p *partition) renewed(revision uint64, began time.Time, b book) {
	w := p.worker
	w.mu.Lock()
	defer w.mu.Unlock()
	p.revision, p.written, p.valid = revision, began, began.Add(w.runner.config.Lease)
	w.idle.Broadcast()
}

// tend takes partitions that are this process's to have, and gives back those that are another's.
func (r *Runner) tend() {
	r.tending.Lock()
	defer r.tending.Unlock()
	alive := r.roster.alive(r.config.Lease)
	if !slices.Contains(alive, r.name) {
		alive = append(alive, r.name)
		slices.Sort(alive)
	}
	r.all(func(w *worker) {
		for n := range r.queue.partitions {
			w.mu.Lock()
			p, stopping := w.parts[n], w.stopping
			over := p != nil && p.validFor() <= 0
			closing := p != nil && p.closing
			w.mu.Unlock()
			mine := assigned(w.id, n, alive) == r.name
			switch {
			case stopping || closing:
			case over:
				r.log.Warn("a lease has run out", "instance", w.id, "partition", n)
				r.lose(p)
			case p == nil && mine:
				r.acquire(w, n)
			case p != nil && !mine:
				ctx, cancel := context.WithTimeout(r.ctx, r.config.Lease/2)
				r.running.Go(func() { defer cancel(); r.release(ctx, p) })
			}
		}
	})
}

// assigned is the process that should have a partition.
func assigned(instance string, partition int, alive []string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(instance))
	return alive[(uint64(h.Sum32())+uint64(partition))%uint64(len(alive))]
}

// acquire takes a partition if nobody has it.
func (r *Runner) acquire(w *worker, n int) {
	subject := bookSubject(w.id, n)
	s, ok := r.roster.look(subject)
	b := readBook(s.data)
	if !ok || b.Owner != "" && b.Owner != r.name && time.Since(s.at) < r.config.Lease {
		return
	}
	ctx, cancel := context.WithTimeout(r.ctx, r.config.Lease/5)
	defer cancel()
	view, ok := r.fits(ctx, storedCheckpoint{subject, w.id, n, s.revision, b}, s.at)
	if !ok {
		return
	}
	b.Owner, b.Log = r.name, view.created
	began := time.Now()
	revision, err := r.roster.write(ctx, r.name, subject, s.revision, b)
	if err != nil {
		return
	}
	p := w.newPartition(n, b, revision, began.Add(r.config.Lease))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopping {
		p.cancel()
		p.mapping.release()
		return
	}
	w.parts[n] = p
	go p.run()
}

// lose ends the work on a partition that may be another's: nothing is decided any more.
func (r *Runner) lose(p *partition) {
	w := p.worker
	w.mu.Lock()
	defer w.mu.Unlock()
	p.closing, p.lost = true, true
	p.cancel()
	delete(w.parts, p.n)
	w.idle.Broadcast()
}

// release gives a partition back: what is under way ends, until ctx does, and its book is written and free.
func (r *Runner) release(ctx context.Context, p *partition) {
	w := p.worker
	stop := context.AfterFunc(ctx, func() {
		w.mu.Lock() // who has seen that ctx goes on is waiting by now
		defer w.mu.Unlock()
		w.idle.Broadcast()
	})
	defer stop()
	w.mu.Lock()
	if p.closing {
		w.mu.Unlock()
		return
	}
	p.closing = true
	p.cancel()
	for (p.flying > 0 || p.aside > 0) && ctx.Err() == nil {
		w.idle.Wait()
	}
	p.lost = true
	b, revision := p.note(""), p.revision
	w.mu.Unlock()
	<-p.ended
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := r.roster.write(last, r.name, bookSubject(w.id, p.n), revision, b); err != nil && !errors.Is(err, errStolen) {
		r.log.Warn("giving a partition back", "instance", w.id, "partition", p.n, "error", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.parts, p.n)
}

// recall lets keys go on that were parked for want of room.
func (r *Runner) recall() {
	r.all(func(w *worker) {
		w.mu.Lock()
		w.forget()
		lists := map[int][]string{}
		var quiet []*partition
		for n, p := range w.parts {
			if p.closing {
				continue
			}
			p.refillAll()
			if p.quietWithParked() {
				quiet = append(quiet, p)
			}
			if keys := p.roomyKeys(); len(keys) > 0 {
				lists[n] = keys
			}
		}
		w.mu.Unlock()
		for _, p := range quiet {
			if err := p.reconcileParked(); err != nil {
				r.log.Debug("looking for parked events", "instance", w.id, "partition", p.n, "error", err)
			}
		}
		for n, keys := range lists {
			ctx, cancel := context.WithTimeout(r.ctx, 5*time.Second)
			if err := r.queue.ask(ctx, w.id, n, opResume, order{Keys: keys}); err != nil {
				r.log.Warn("recalling parked events", "instance", w.id, "error", err)
			}
			cancel()
		}
	})
}
