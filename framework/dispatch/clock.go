package dispatch

import "time"

// Clock tells the time and calls functions later.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f in a goroutine after d. The result stops that, as time.Timer.Stop does.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) AfterFunc(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }

// timer is a call in the future.
type timer struct {
	at   time.Time
	stop func() bool
}

// Stop prevents the call. It does nothing if the timer is nil.
func (t *timer) Stop() {
	if t != nil {
		t.stop()
	}
}

// callAt calls f with the lock held at a time, unless the timer or the dispatcher is stopped before.
func (d *Dispatcher[T]) callAt(at time.Time, f func()) *timer {
	t := &timer{at: at}
	d.timers[t] = true
	t.stop = d.config.Clock.AfterFunc(at.Sub(d.config.Clock.Now()), func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.timers[t] {
			delete(d.timers, t)
			f()
		}
	})
	return t
}

// cancelTimer stops a timer that is no longer needed. It does nothing if the timer is nil.
func (d *Dispatcher[T]) cancelTimer(t *timer) {
	if t != nil {
		t.Stop()
		delete(d.timers, t)
	}
}
