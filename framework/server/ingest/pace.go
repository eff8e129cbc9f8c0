package ingest

import (
	"io"
	"net/http"
	"time"
)

// paced reads a body that must come at a minimum rate: after a grace period, a client that sends less than rate bytes a second on
// average is cut off. Without it a client could hold a connection and a buffer for as long as the slowest read is waited for.
type paced struct {
	body     io.Reader
	control  *http.ResponseController
	began    time.Time
	grace    time.Duration
	rate     int
	received int
	deadline time.Time // as it was set last
}

func newPaced(w http.ResponseWriter, body io.Reader, grace time.Duration, rate int) *paced {
	return &paced{body: body, control: http.NewResponseController(w), began: time.Now(), grace: grace, rate: rate}
}

func (p *paced) Read(into []byte) (int, error) {
	earned := time.Duration(float64(p.received) / float64(p.rate) * float64(time.Second))
	if deadline := p.began.Add(p.grace + earned); deadline.Sub(p.deadline) > time.Second {
		p.deadline = deadline
		_ = p.control.SetReadDeadline(deadline) // what is not a connection, as in tests, has no deadline
	}
	n, err := p.body.Read(into)
	p.received += n
	return n, err
}

// end lifts the deadline: the server watches the connection while the request is handled, and would take a deadline that passes
// for a client that has gone away.
func (p *paced) end() { _ = p.control.SetReadDeadline(time.Time{}) }
