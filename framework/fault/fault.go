// Package fault defines errors: Error, which says why an event was not delivered; Problem, a mistake in something that a user
// wrote, with its position; and the classification of HTTP statuses.
//
// A handler returns [Invalid], [FromStatus] or an [Error] of its own; [As] turns any error into one. Whether an error is retried follows
// from its status ([Retryable]) unless it says otherwise. [Problems] collects all mistakes of a file, to report them at once.
//
// It knows nothing about events, destinations or delivery. Its values are plain data and are not synchronized.
package fault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Codes that are not derived from an HTTP status.
const (
	CodeInvalidPayload = "PAYLOAD_VALIDATION_FAILED" // the payload does not match the action's fields
	CodeInvalidEvent   = "INVALID_EVENT"             // the event itself cannot be read
	CodeConnection     = "CONNECTION_FAILED"         // no response was received
	CodeLogin          = "LOGIN_REQUIRED"            // the remote needs a new login; events wait until then
	CodeState          = "STATE_UNAVAILABLE"         // Landfall's own state cannot be read or written at the moment
	CodeEgress         = "EGRESS_DENIED"             // the event names a host that requests may not be sent to
	CodeDeferred       = "DEFERRED"                  // nothing was sent, because a limit of the instance asks to wait; RetryAfter says how long
	CodeInternal       = "INTERNAL_ERROR"            // a handler broke its contract
)

// Who reported an error, with Segment's names.
const (
	ReporterIntegrations = "INTEGRATIONS" // Landfall, before it sent anything
	ReporterDestination  = "DESTINATION"  // the remote
)

// Error is the reason why an event, or a request that contained it, was not delivered.
type Error struct {
	Code       string        // for example TOO_MANY_REQUESTS
	Status     int           // an HTTP status; 0 means 500
	Retry      bool          // sending the same request again may succeed
	RetryAfter time.Duration // the delay that the remote asks for; 0 if it does not say
	Pointer    string        // JSON pointer into the payload, if known
	Message    string        // for users; never contains a secret
	Err        error         // the underlying error; may be nil
	Cause      Cause         // "" for the one that follows from Code and Status, see CauseOf
}

func (e *Error) Error() string {
	message := e.Message
	if message == "" && e.Err != nil {
		message = e.Err.Error()
	}
	if message == "" {
		message = http.StatusText(e.Status)
	}
	return message
}

func (e *Error) Unwrap() error { return e.Err }

// Invalid returns the error of a payload that an action does not accept.
func Invalid(format string, args ...any) *Error {
	return &Error{Code: CodeInvalidPayload, Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
}

// Because sets the cause of e and returns it.
func (e *Error) Because(c Cause) *Error {
	e.Cause = c
	return e
}

// FromStatus returns the error that an HTTP response with this status means.
func FromStatus(status int, message string) *Error {
	return &Error{Code: CodeOf(status), Status: status, Retry: Retryable(status), Message: message}
}

// ConnectionFailed returns the error of a request without a response. The remote may or may not have processed it.
func ConnectionFailed(cause error) *Error {
	return &Error{
		Code: CodeConnection, Status: http.StatusServiceUnavailable, Retry: true, Err: cause,
		Message: "no answer from the destination: " + cause.Error(),
	}
}

// StateUnavailable returns the temporary error of a state store that does not respond. doing says what failed.
func StateUnavailable(doing string, cause error) *Error {
	return &Error{Code: CodeState, Status: http.StatusServiceUnavailable, Retry: true, Err: cause, Message: doing + ": " + cause.Error()}
}

// As returns err as an *Error: the one that err wraps; ConnectionFailed if a context ended; otherwise an internal error, which is
// not retried, with err as its cause.
func As(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return ConnectionFailed(err)
	}
	return &Error{Code: CodeInternal, Status: http.StatusInternalServerError, Message: err.Error(), Err: err}
}

// Retryable reports whether a request that was answered with status may succeed when it is sent again. These are 408, 423, 429 and
// 5xx except 501.
func Retryable(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusLocked, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented:
		return false
	}
	return status >= 500
}

// CodeOf returns the name of an HTTP status in the form of Segment's results: 429 is TOO_MANY_REQUESTS.
func CodeOf(status int) string {
	text := http.StatusText(status)
	if text == "" {
		return "UNKNOWN_ERROR"
	}
	return strings.ToUpper(strings.NewReplacer(" ", "_", "-", "_", "'", "").Replace(text))
}
