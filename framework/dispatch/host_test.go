package dispatch_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/dispatch"
)

type task = dispatch.Task[string]

// scripted is a host whose remote answers by a function. It records the requests, with their times, and the outcomes.
type scripted struct {
	*dispatch.Dispatcher[string]
	answer   func(values []string) []dispatch.Result // nil: everything is done
	latency  time.Duration
	keep     bool // do not take exhausted tasks
	takes    int  // how many exhausted tasks it takes at most; 0 for all
	began    time.Time
	requests []string
	limits   []time.Duration // of the requests
	finished map[string]time.Duration
	taken    []string
	retried  int
	senders  sync.WaitGroup
}

func (s *scripted) Send(b *dispatch.Batch[string]) {
	values := valuesOf(b.Tasks)
	s.requests, s.limits = append(s.requests, fmt.Sprint(values)), append(s.limits, b.Limit)
	latency := s.latency
	s.senders.Go(func() {
		time.Sleep(latency)
		s.Lock()
		defer s.Unlock()
		results := make([]dispatch.Result, len(values))
		if s.answer != nil {
			results = s.answer(values)
		}
		b.DoneLocked(results)
	})
}

// sent returns the number of requests.
func (s *scripted) sent() int {
	s.Lock()
	defer s.Unlock()
	return len(s.requests)
}

func (s *scripted) Finished(t *task, _ dispatch.Result) { s.finished[t.Value] = time.Since(s.began) }

func (s *scripted) Retried(*task, dispatch.Result) { s.retried++ }

func (s *scripted) Exhausted(tasks []*task, _ dispatch.Result) (taken int) {
	if s.keep {
		return 0
	}
	if taken = len(tasks); s.takes > 0 {
		taken = min(taken, s.takes)
	}
	s.taken = append(s.taken, valuesOf(tasks[:taken])...)
	return taken
}

func valuesOf(tasks []*task) (values []string) {
	for _, t := range tasks {
		values = append(values, t.Value)
	}
	return values
}

// sleep sleeps, and then sees what the other goroutines have done in the meantime.
func (s *scripted) sleep(d time.Duration) {
	time.Sleep(d)
	s.Lock()
	defer s.Unlock()
}

// wait waits until everything has an outcome.
func (s *scripted) wait(t *testing.T) {
	require.NoError(t, s.Wait(t.Context(), func(held, _ int) bool { return held == 0 }))
	s.senders.Wait()
}

// gapsOfRetries runs a task whose attempts fail until all waits have been asked for, and returns the time before each attempt.
func (s *scripted) gapsOfRetries(t *testing.T, one *task, asked ...time.Duration) (gaps []time.Duration) {
	last := time.Now()
	s.answer = func(values []string) []dispatch.Result {
		gaps, last = append(gaps, time.Since(last)), time.Now()
		if len(asked) == 0 {
			return make([]dispatch.Result, len(values))
		}
		r := dispatch.Result{Outcome: dispatch.Retry, RetryAfter: asked[0]}
		asked = asked[1:]
		return []dispatch.Result{r}
	}
	s.Add(one)
	s.wait(t)
	return gaps
}

// withHost runs a test with a host and a clock of its own.
func withHost(t *testing.T, c dispatch.Config, f func(t *testing.T, s *scripted)) {
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{finished: map[string]time.Duration{}, began: time.Now()}
		s.Dispatcher = dispatch.New[string](c, s)
		f(t, s)
		s.Stop()
	})
}

// fail returns results in which the values of some keys fail.
func fail(values []string, failing func(value string) bool) []dispatch.Result {
	results := make([]dispatch.Result, len(values))
	for i, v := range values {
		if failing(v) {
			results[i].Outcome = dispatch.Retry
		}
	}
	return results
}

// failAll fails a batch as a whole if it has one of the values.
func failAll(values []string, failing func(value string) bool) []dispatch.Result {
	whole := false
	for _, v := range values {
		whole = whole || failing(v)
	}
	return fail(values, func(string) bool { return whole })
}

func in(lane, key, value string, size int) *task {
	return &task{Value: value, Lane: dispatch.Lane{Name: lane}, Key: key, MaxBatch: size, Bytes: 10}
}

func together(t *task) *task { t.Together = true; return t }
