package admin

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/server/audienceruns"
	"github.com/landfall-dev/landfall/framework/server/erasure"
	"github.com/landfall-dev/landfall/framework/server/why"
)

// TestStatusesOfErrors checks the status of each kind of error, also of one that is wrapped.
func TestStatusesOfErrors(t *testing.T) {
	for want, errs := range map[int][]error{
		http.StatusBadRequest:          {&erasure.OrderError{}, &audienceruns.ChoiceError{}, why.ErrNoUser},
		http.StatusNotFound:            {erasure.ErrUnknown},
		http.StatusConflict:            {audienceruns.ErrNotWaiting},
		http.StatusTooManyRequests:     {erasure.ErrTooMany},
		http.StatusInternalServerError: {errors.New("another"), nil},
	} {
		for _, err := range errs {
			assert.Equal(t, want, statusOf(err), err)
			assert.Equal(t, want, statusOf(fmt.Errorf("asking: %w", err)), err)
		}
	}
}
