package delivery

// Kill ends a Runner as a crash does: no verdict is applied, no checkpoint is written and no lease is released.
func (r *Runner) Kill() {
	r.setMu.Lock()
	defer r.setMu.Unlock()
	r.cancel()
	r.goroutines.Wait()
	r.eachWorker(func(w *worker) {
		w.mu.Lock()
		w.stopping = true
		var parts []*partition
		for _, p := range w.partitions {
			parts = append(parts, p)
		}
		w.mu.Unlock()
		for _, p := range parts {
			r.abandonPartition(p)
			<-p.done
		}
		w.cancel()
		w.goroutines.Wait()
	})
}
