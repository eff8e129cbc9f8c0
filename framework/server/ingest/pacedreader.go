package ingest

import (
	"io"
	"net/http"
	"time"
)

// pacedReader reads a body with a minimum rate: after a grace period, reading fails for a client that sends less than rate bytes per
// second on average. Otherwise a slow client could hold a connection and a buffer for very long.
type pacedReader struct {
	body     io.Reader
	control  *http.ResponseController
	started  time.Time
	grace    time.Duration
	rate     int
	received int
	deadline time.Time // last deadline that was set
}

func newPacedReader(w http.ResponseWriter, body io.Reader, grace time.Duration, rate int) *pacedReader {
	return &pacedReader{body: body, control: http.NewResponseController(w), started: time.Now(), grace: grace, rate: rate}
}

func (p *pacedReader) Read(into []byte) (int, error) {
	earned := time.Duration(float64(p.received) / float64(p.rate) * float64(time.Second))
	if deadline := p.started.Add(p.grace + earned); deadline.Sub(p.deadline) > time.Second {
		p.deadline = deadline
		_ = p.control.SetReadDeadline(deadline) // fails in tests without a connection
	}
	n, err := p.body.Read(into)
	p.received += n
	return n, err
}

// clearDeadline removes the read deadline. The server reads from the connection while a request is handled, and would take an expired
// deadline for a disconnect.
func (p *pacedReader) clearDeadline() { _ = p.control.SetReadDeadline(time.Time{}) }
