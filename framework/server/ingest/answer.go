package ingest

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"
)

// reply is the body of an answer.
type reply struct {
	Success  bool       `json:"success"`
	Error    string     `json:"error,omitempty"`
	Rejected []Rejected `json:"rejected,omitempty"`
	// RejectedEvents is the number of events that were not taken, if Rejected lists only the first of them.
	RejectedEvents int `json:"rejectedEvents,omitempty"`
	// ReplacedTimes are the events that were taken with another time than their own.
	ReplacedTimes []ReplacedTime `json:"replacedTimes,omitempty"`
}

// ReplacedTime is an event that was taken although its own time could not be used. Its originalTimestamp keeps that.
type ReplacedTime struct {
	Index     int    `json:"index"`
	MessageID string `json:"messageId,omitempty"`
	Timestamp string `json:"timestamp,omitempty"` // what it has now, if that is not its own
	Reason    string `json:"reason"`
}

// Rejected is an event of a batch that was not taken although others may have been.
type Rejected struct {
	Index     int    `json:"index"`
	MessageID string `json:"messageId,omitempty"`
	Error     string `json:"error"`
	large     bool
}

// refusal says why a request is not taken.
type refusal struct {
	outcome string // as it is counted
	events  int    // that it concerns; 0 if they have not been counted
	status  int
	message string        // for the client
	wait    time.Duration // how long the client should wait; 0 if it need not come again
	hangUp  bool          // the connection is of no more use
}

// maxRetryAfter bounds what a client is told to wait.
const maxRetryAfter = time.Hour

// send answers with the refusal.
func (f *refusal) send(w http.ResponseWriter) {
	if f.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="write key"`)
	}
	if f.wait > 0 {
		seconds := math.Ceil(min(f.wait, maxRetryAfter).Seconds())
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(seconds))))
	}
	if f.hangUp {
		w.Header().Set("Connection", "close")
	}
	answer(w, f.status, reply{Error: f.message})
}

func answer(w http.ResponseWriter, status int, r reply) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(r) // a client that has gone away needs no answer
}
