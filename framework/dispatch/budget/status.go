package budget

import "time"

// Status describes a Budget at one moment.
type Status struct {
	Name        string         `json:"name"`
	Windows     []WindowStatus `json:"windows,omitempty"`
	Waiting     int            `json:"waiting"`              // requests of this process
	PausedUntil time.Time      `json:"pausedUntil,omitzero"` // as the remote asked
	RemoteLeft  *int64         `json:"remoteLeft,omitempty"` // requests that the remote has left, as it said
	RemoteReset time.Time      `json:"remoteReset,omitzero"` // when its window ends
	Failure     string         `json:"failure,omitempty"`    // of the store, which delays requests
}

// WindowStatus describes one window of a Budget.
type WindowStatus struct {
	Unit    string        `json:"unit"` // requests or bytes
	Per     time.Duration `json:"perNs"`
	Aligned bool          `json:"aligned"`
	Limit   int64         `json:"limit"`
	Used    int64         `json:"used"` // by this process, and reserved by others
	Left    int64         `json:"left"`
	Resets  time.Time     `json:"resets"` // when all of it is available again, if no more is sent
}

// Status returns the present numbers. Those of other processes are at most as old as the last request.
func (b *Budget) Status() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	s := Status{Name: b.name, Waiting: b.waiting.count()}
	if until := b.pauseEnd(now); until.After(now) {
		s.PausedUntil = until
	}
	if b.remoteUntil.After(now) {
		left := max(b.remoteLeft, 0)
		s.RemoteLeft, s.RemoteReset = &left, b.remoteUntil
	}
	if b.failure != nil {
		s.Failure = b.failure.Error()
	}
	for _, m := range b.meters {
		s.Windows = append(s.Windows, b.windowStatus(m, now))
	}
	return s
}

func (b *Budget) windowStatus(m *meter, now time.Time) WindowStatus {
	m.advance(now)
	s := WindowStatus{Unit: "requests", Per: m.window.Per, Aligned: m.window.Aligned, Limit: m.window.Limit, Resets: now}
	if m.bytes {
		s.Unit = "bytes"
	}
	for slot, n := range b.stored.Meters[m.name] {
		if slot <= m.at-m.span || n[0] == 0 {
			continue
		}
		if slot <= m.at {
			s.Used += n[0]
		}
		if end := m.startOf(slot + m.span); end.After(s.Resets) {
			s.Resets = end
		}
	}
	s.Used = max(s.Used-m.tokens[Live]-m.tokens[Background], 0)
	s.Left = max(s.Limit-s.Used, 0)
	return s
}

// GateStatus describes a Gate at one moment.
type GateStatus struct {
	Budget      Status    `json:"budget"`
	InFlight    int       `json:"inFlight"`
	Concurrency int       `json:"concurrency"`        // how many requests may be in flight
	Most        int       `json:"mostConcurrency"`    // how many may be at most
	DownSince   time.Time `json:"downSince,omitzero"` // since when the remote is down
	NextProbe   time.Time `json:"nextProbe,omitzero"` // when the next request finds out whether it still is
}

// Status returns the present numbers.
func (g *Gate) Status() GateStatus {
	s := GateStatus{Budget: g.budget.Status()}
	g.mu.Lock()
	defer g.mu.Unlock()
	c := &g.concurrency
	s.InFlight, s.Concurrency, s.Most = c.inFlight[Live]+c.inFlight[Background], c.present(), c.most
	s.DownSince = g.breaker.since
	if !s.DownSince.IsZero() {
		s.NextProbe = g.breaker.probeAt
	}
	return s
}
