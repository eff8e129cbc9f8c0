package natslog

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// Error codes of the JetStream server for which the client has no names.
const (
	codeInsufficientResources jetstream.ErrorCode = 10023 // "insufficient resources"
	codeStorageExceeded       jetstream.ErrorCode = 10047 // "insufficient storage resources available"
	codeStoreFailed           jetstream.ErrorCode = 10077 // storing failed, as beyond the limit of a stream
	codeStreamBytesExceeded   jetstream.ErrorCode = 10122 // "stream max bytes exceeds account limit max stream bytes"
)

// namedError wraps the error of package eventlog around an error of NATS that means it. Other errors stay as they are.
func namedError(err error) error {
	if name := nameOf(err); name != nil {
		return fmt.Errorf("%w: %w", name, err)
	}
	return err
}

func nameOf(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return eventlog.ErrUnavailable
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return eventlog.ErrNotFound
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return eventlog.ErrNoStream
	case errors.Is(err, nats.ErrMaxPayload):
		return eventlog.ErrTooLarge
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, jetstream.ErrMsgIteratorClosed):
		return eventlog.ErrClosed
	}
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return nil
	}
	switch api.ErrorCode {
	case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant: // replicated streams use the latter
		return eventlog.ErrConflict
	case codeInsufficientResources, codeStorageExceeded, codeStoreFailed, codeStreamBytesExceeded:
		return eventlog.ErrFull
	}
	return nil
}
