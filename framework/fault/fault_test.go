package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/fault"
)

func TestStatusTable(t *testing.T) {
	retryable := map[int]bool{400: false, 401: false, 404: false, 408: true, 409: false, 423: true, 429: true, 500: true, 501: false, 502: true, 503: true, 599: true}
	for status, want := range retryable {
		assert.Equal(t, want, fault.Retryable(status), status)
	}
	codes := map[int]string{400: "BAD_REQUEST", 401: "UNAUTHORIZED", 404: "NOT_FOUND", 423: "LOCKED", 429: "TOO_MANY_REQUESTS", 500: "INTERNAL_SERVER_ERROR", 599: "UNKNOWN_ERROR"}
	for status, want := range codes {
		assert.Equal(t, want, fault.CodeOf(status))
	}
}

func TestAs(t *testing.T) {
	assert.Nil(t, fault.As(nil))
	e := fault.FromStatus(429, "slow")
	assert.Same(t, e, fault.As(fmt.Errorf("sending: %w", e)))
	internal := fault.As(io.EOF)
	assert.Equal(t, fault.CodeInternal, internal.Code)
	assert.ErrorIs(t, internal, io.EOF)
	assert.False(t, internal.Retry)
	for _, ended := range []error{context.Canceled, context.DeadlineExceeded} {
		cut := fault.As(fmt.Errorf("sending: %w", ended))
		assert.True(t, cut.Retry, "what was cut off is tried again")
		assert.ErrorIs(t, cut, ended)
	}
	assert.EqualError(t, fault.ConnectionFailed(io.EOF), "no answer from the destination: EOF")
	assert.True(t, fault.StateUnavailable("reading", io.EOF).Retry, "a database that is away comes back")
	assert.True(t, fault.ConnectionFailed(io.EOF).Retry)
	assert.EqualError(t, &fault.Error{Status: 404}, "Not Found")
}

func TestProblems(t *testing.T) {
	var list fault.Problems
	assert.NoError(t, list.Err())
	list.Add("/a", "should be %d", 5)
	list.AddUnder("/b", fault.Problems{{Pointer: "/c", Message: "wrong", Excerpt: "x\n^"}})
	list.AddUnder("/d", errors.New("plain"))
	list = append(list, fault.Problem{File: "f", Line: 2, Column: 3, Message: "m"}, fault.Problem{Line: 1, Column: 4, Message: "n"}, fault.Problem{File: "g", Message: "o"})
	assert.EqualError(t, list.Err(), "/a should be 5\n/b/c wrong\nx\n^\n/d plain\nf:2:3: m\nline 1, column 4: n\ng: o")
	assert.Equal(t, "/a~1b~0c", fault.PointerKey("a/b~c"))
}

func TestNearest(t *testing.T) {
	names := []string{"run", "test", "validate", "describe", "destinations"}
	for word, want := range map[string]string{"rnu": "run", "tset": "test", "valdiate": "validate", "destinatoins": "destinations", "x": "", "": "", "entirely else": ""} {
		assert.Equal(t, want, fault.Nearest(word, names), word)
	}
	for _, name := range []string{"rnz", "rzu", "rxx"} { // no two neighbors are exchanged
		assert.Empty(t, fault.Nearest("run", []string{name}), name)
	}
}

// TestProblemsOfLaterChecks checks that a later check adds no problem at a place that has one, and all that it finds elsewhere or without a place.
func TestProblemsOfLaterChecks(t *testing.T) {
	list := fault.Problems{{Pointer: "/key", Message: "is not set"}, {Message: "first"}}
	list.AddNew(fault.Problems{{Pointer: "/key", Message: "is required"}, {Pointer: "/url", Message: "a"}, {Pointer: "/url", Message: "b"}, {Message: "second"}})
	assert.EqualError(t, list, "/key is not set\nfirst\n/url a\n/url b\nsecond")
}
