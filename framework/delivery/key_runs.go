package delivery

import "github.com/landfall-dev/landfall/framework/runtime"

// Changes of an audience supersede each other: if a request has several changes of one user, the destination sends the newest and
// skips the others. Tasks that wait behind the first change of a user are therefore sent along with it, as a run, and a hot user
// needs one request for many events. Other events of a key are sent one after the other: if the first of two in a request failed,
// the second would overtake it.

// extendRuns adds to a batch the tasks that wait behind its tasks, up to its limits.
func extendRuns(batch []*task) {
	first := batch[0].item
	n, bytes := len(batch), 0
	for _, t := range batch {
		t.inRequest, t.run = true, nil
		bytes += t.bytes
	}
	for _, t := range batch {
		if !t.item.Independent {
			continue
		}
		// The part of the run that was in a failed request is sent again whatever the limits, as the remote may have applied its
		// newest change.
		for f := t.next; f != nil && (len(t.run) < t.runCarried || t.maxBatch == 0 && n < first.BatchSize) && f.item.Subscription == first.Subscription && f.item.BatchKey == first.BatchKey; f = f.next {
			if len(t.run) >= t.runCarried && (first.BatchBytes > 0 && bytes+f.bytes > first.BatchBytes || f.attempts > 0) {
				break
			}
			t.run, f.inRequest = append(t.run, f), true
			n++
			bytes += f.bytes
		}
	}
}

// expandRuns returns the tasks of a batch, each followed by its run.
func expandRuns(batch []*task) []*task {
	var sent []*task
	for _, t := range batch {
		sent = append(append(sent, t), t.run...)
	}
	return sent
}

// settleRuns settles the decided tasks of each run. It returns the other tasks, each the first of its key, with their verdicts:
// tasks without a run, and the first undecided task of each run.
func (w *worker) settleRuns(batch []*task, verdicts []runtime.Verdict) (rest []*task, restVerdicts []runtime.Verdict) {
	at := 0
	for _, t := range batch {
		runVerdicts := verdicts[at : at+1+len(t.run)]
		at += len(runVerdicts)
		if len(t.run) == 0 || t.partition.abandoned {
			rest, restVerdicts = append(rest, t), append(restVerdicts, runVerdicts[0])
			t.run = nil
			continue
		}
		if i := w.settleRun(t, runVerdicts); i >= 0 {
			first := t
			if i > 0 {
				first = t.run[i-1]
			}
			rest, restVerdicts = append(rest, first), append(restVerdicts, runVerdicts[i])
		}
		t.run = nil
	}
	return rest, restVerdicts
}

// settleRun settles the decided tasks of one run and relinks the others. It returns the index of the first of these, or -1.
func (w *worker) settleRun(t *task, verdicts []runtime.Verdict) (first int) {
	run := append([]*task{t}, t.run...)
	c, tail := t.partition.chains[t.key], run[len(run)-1].next
	var kept, decided []*task
	var finals []runtime.Verdict
	first = -1
	for i, m := range run {
		if o := verdicts[i].Outcome; o == runtime.Retry || o == runtime.Pending {
			if first < 0 {
				first = i
			} else {
				m.attempts++
			}
			kept = append(kept, m)
			continue
		}
		m.attempts++
		decided, finals = append(decided, m), append(finals, verdicts[i])
		c.n--
		c.bytes -= m.bytes
	}
	w.relinkChain(t.key, c, kept, tail, t.partition)
	for i, m := range decided {
		m.next = nil
		w.settleTask(m, finals[i])
	}
	t.partition.requestPortion(t.key)
	return first
}

// relinkChain makes the kept tasks, followed by the tail, the chain of a key. If no task is kept, it enqueues the tail.
func (w *worker) relinkChain(key string, c *chain, kept []*task, tail *task, p *partition) {
	if len(kept) > 0 {
		kept[0].runCarried = len(kept) - 1
	}
	if tail == nil && len(kept) > 0 {
		c.last = kept[len(kept)-1]
	}
	for i := len(kept) - 1; i >= 0; i-- {
		kept[i].next = tail
		tail = kept[i]
	}
	if c.first = tail; tail == nil {
		delete(p.chains, key)
	} else if len(kept) == 0 {
		w.enqueue(tail, false)
	}
}
