package delivery

// Kill ends a Runner as a crash does: nothing is decided or written from now on, and no lease is given back.
func (r *Runner) Kill() {
	r.setting.Lock()
	defer r.setting.Unlock()
	r.cancel()
	r.running.Wait()
	r.all(func(w *worker) {
		w.mu.Lock()
		w.stopping = true
		var parts []*partition
		for _, p := range w.parts {
			parts = append(parts, p)
		}
		w.mu.Unlock()
		for _, p := range parts {
			r.lose(p)
			<-p.ended
		}
		w.cancel()
		w.background.Wait()
	})
}
