// Package fault holds what goes wrong: Error, the one error of an event on its way; Problem, a mistake in something
// that a person wrote, with its place; and the table that turns an HTTP status into what to do next.
//
// It knows nothing of events, destinations or delivery. Its values are plain data.
package fault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Codes that do not come from an HTTP status.
const (
	CodeInvalidPayload = "PAYLOAD_VALIDATION_FAILED" // the event's payload is not what the action takes
	CodeInvalidEvent   = "INVALID_EVENT"             // the event itself cannot be read
	CodeConnection     = "CONNECTION_FAILED"         // no answer came
	CodeLogin          = "LOGIN_REQUIRED"            // somebody has to log in first; what waits is kept until then
	CodeState          = "STATE_UNAVAILABLE"         // what this side remembers cannot be read or written now
	CodeEgress         = "EGRESS_DENIED"             // the event chose a host that requests may not go to
	CodeInternal       = "INTERNAL_ERROR"            // a handler broke its contract
)

// Who found an error, as Segment names them.
const (
	ReporterIntegrations = "INTEGRATIONS" // this side, before anything was sent
	ReporterDestination  = "DESTINATION"  // the remote
)

// Error is why an event, or a request that held it, was not delivered.
type Error struct {
	Code       string        // such as TOO_MANY_REQUESTS
	Status     int           // an HTTP status; 0 means 500
	Retry      bool          // trying the same again may help
	RetryAfter time.Duration // how long the remote asks to wait; 0 where it does not say
	Place      string        // a JSON pointer into the payload, where one is known
	Message    string        // for people; never holds a secret
	Cause      error         // may be nil
}

func (e *Error) Error() string {
	message := e.Message
	if message == "" && e.Cause != nil {
		message = e.Cause.Error()
	}
	if message == "" {
		message = http.StatusText(e.Status)
	}
	return message
}

func (e *Error) Unwrap() error { return e.Cause }

// Invalid is the error of a payload that an action does not take.
func Invalid(format string, args ...any) *Error {
	return &Error{Code: CodeInvalidPayload, Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
}

// FromStatus is the error that an HTTP answer stands for.
func FromStatus(status int, message string) *Error {
	return &Error{Code: CodeOf(status), Status: status, Retry: Retryable(status), Message: message}
}

// NoAnswer is the error of a request that got no answer: the remote may have acted on it or not.
func NoAnswer(cause error) *Error {
	return &Error{
		Code: CodeConnection, Status: http.StatusServiceUnavailable, Retry: true, Cause: cause,
		Message: "no answer from the destination: " + cause.Error(),
	}
}

// NoState is the error of a state that does not answer, which may pass.
func NoState(doing string, cause error) *Error {
	return &Error{Code: CodeState, Status: http.StatusServiceUnavailable, Retry: true, Cause: cause, Message: doing + ": " + cause.Error()}
}

// As is err as an *Error: itself where one is inside, NoAnswer where a context has ended, else an internal error, which is final,
// with err as its cause.
func As(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return NoAnswer(err)
	}
	return &Error{Code: CodeInternal, Status: http.StatusInternalServerError, Message: err.Error(), Cause: err}
}

// Retryable tells whether a request answered with status may succeed when it is sent again: 408, 423, 429 and 5xx
// except 501.
func Retryable(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusLocked, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented:
		return false
	}
	return status >= 500
}

// CodeOf names an HTTP status the way Segment's results do: 429 is TOO_MANY_REQUESTS.
func CodeOf(status int) string {
	text := http.StatusText(status)
	if text == "" {
		return "UNKNOWN_ERROR"
	}
	return strings.ToUpper(strings.NewReplacer(" ", "_", "-", "_", "'", "").Replace(text))
}
