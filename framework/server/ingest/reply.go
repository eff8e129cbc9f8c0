package ingest

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
)

// reply is the JSON body of a response.
type reply struct {
	Success  bool       `json:"success"`
	Error    string     `json:"error,omitempty"`
	Rejected []Rejected `json:"rejected,omitempty"`
	// RejectedEvents is the number of rejected events if Rejected is incomplete.
	RejectedEvents int `json:"rejectedEvents,omitempty"`
	// ReplacedTimes are the events that were accepted with another time than their own.
	ReplacedTimes []ReplacedTime `json:"replacedTimes,omitempty"`
}

// ReplacedTime is an accepted event whose own time could not be used. The event's originalTimestamp still has that time.
type ReplacedTime struct {
	Index     int    `json:"index"`
	MessageID string `json:"messageId,omitempty"`
	Timestamp string `json:"timestamp,omitempty"` // the replacement
	Reason    string `json:"reason"`
}

// Rejected is an event of a request that was not accepted. Other events of the same request may have been.
type Rejected struct {
	Index     int         `json:"index"`
	MessageID string      `json:"messageId,omitempty"`
	Error     string      `json:"error"`
	Cause     fault.Cause `json:"cause,omitempty"` // CauseSuppressed for the event of a suppressed user; otherwise ""
	large     bool
}

// refusal is the reason for refusing a request, with its response.
type refusal struct {
	outcome    string // label of the metric
	events     int    // number of events; 0 if they have not been counted
	status     int
	message    string        // for the client
	retryAfter time.Duration // when the client should retry; 0 if it should not
	closeConn  bool          // close the connection
}

// maxRetryAfter is the longest Retry-After that is sent.
const maxRetryAfter = time.Hour

// writeTo responds with the refusal.
func (f *refusal) writeTo(w http.ResponseWriter) {
	if f.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="write key"`)
	}
	if f.retryAfter > 0 {
		seconds := math.Ceil(min(f.retryAfter, maxRetryAfter).Seconds())
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(seconds))))
	}
	if f.closeConn {
		w.Header().Set("Connection", "close")
	}
	writeReply(w, f.status, reply{Error: f.message})
}

// writeReply responds with a reply as JSON.
func writeReply(w http.ResponseWriter, status int, r reply) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(r) // the client may have disconnected
}
