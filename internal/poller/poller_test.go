package poller_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/internal/poller"
)

func TestOneErrorOfEachSeriesIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := errors.New("first"), errors.New("second")
		answers := []error{first, first, nil, nil, second}
		var reported []error
		calls := 0
		p := poller.Start(time.Second, func(context.Context) error {
			calls++
			return answers[min(calls, len(answers))-1]
		}, func(err error) { reported = append(reported, err) })
		time.Sleep(8*time.Second + time.Millisecond)
		p.Close()
		assert.Equal(t, 8, calls)
		assert.Equal(t, []error{first, second}, reported)
	})
}

func TestCloseEndsTheCallInProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := false
		p := poller.Start(time.Second, func(ctx context.Context) error {
			<-ctx.Done()
			ended = true
			return ctx.Err()
		}, func(err error) { t.Errorf("reported: %v", err) })
		time.Sleep(2 * time.Second)
		p.Close()
		assert.True(t, ended)
	})
}
