package eventlog

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRetryWhile checks how often a call is repeated: while it fails with the error that is named, a limited number of times, until its context ends.
func TestRetryWhile(t *testing.T) {
	other := errors.New("other")
	conflict := fmt.Errorf("writing: %w", ErrConflict)
	for name, c := range map[string]struct {
		results []error
		retries int
		want    error
		calls   int
	}{
		"success":          {[]error{nil}, 3, nil, 1},
		"then success":     {[]error{conflict, conflict, nil}, 3, nil, 3},
		"the last retry":   {[]error{conflict, conflict, nil}, 2, nil, 3},
		"too often":        {[]error{conflict, conflict, nil}, 1, ErrConflict, 2},
		"no retry":         {[]error{conflict, nil}, 0, ErrConflict, 1},
		"another error":    {[]error{other, nil}, 3, other, 1},
		"then another one": {[]error{conflict, other, nil}, 3, other, 2},
	} {
		calls := 0
		err := RetryWhile(t.Context(), ErrConflict, c.retries, 0, func() error { calls++; return c.results[calls-1] })
		require.ErrorIs(t, err, c.want, name)
		assert.Equal(t, c.calls, calls, name)
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := RetryWhile(ctx, ErrConflict, 3, time.Hour, func() error { calls++; cancel(); return conflict })
	assert.Equal(t, conflict, err, "the error of the call says more than that of the context")
	assert.Equal(t, 1, calls)
}
