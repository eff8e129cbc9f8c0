package dispatch_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/dispatch"
)

// lockedRandom is a source of random numbers for several goroutines.
type lockedRandom struct {
	mu     sync.Mutex
	random *rand.Rand
}

func (r *lockedRandom) IntN(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.random.IntN(n)
}

func (r *lockedRandom) Int64N(n int64) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.random.Int64N(n)
}

// addRandom adds a random task.
func (s *simulation) addRandom(lanes int) {
	lane := s.random.IntN(lanes)
	t := &simTask{
		Lane: dispatch.Lane{Name: fmt.Sprint("lane", lane)}, Group: dispatch.Group{Key: fmt.Sprint("g", s.random.IntN(2))},
		MaxBatch: []int{1, 3, 10, 50}[(lane+1)%4] + s.random.IntN(1+s.random.IntN(5)), Bytes: 1 + s.random.IntN(50),
	}
	j := &job{added: time.Now(), refused: s.random.IntN(30) == 0, poison: s.random.IntN(200) == 0}
	t.Value = j
	if lane%2 == 1 {
		t.MaxBytes = 120
	}
	if s.random.IntN(10) == 0 {
		j.trouble = s.random.IntN(14)
	}
	if s.random.IntN(20) == 0 {
		j.polls = 1 + s.random.IntN(4)
	}
	key := fmt.Sprint("k", s.random.IntN(1+s.random.IntN(40)))
	switch lane % 4 {
	case 0: // ordered across lanes
		t.Key = key
	case 1: // ordered within the lane, sent together
		t.Key, t.Together = t.Lane.Name+" "+key, true
	case 2:
		j.keyless, j.poison, j.refused = true, false, false
		j.polls = min(j.polls, 1)
	case 3:
		t.Key = key
	}
	j.id = t.Key
	if j.keyless {
		j.id = t.Lane.Name + " " + t.Group.Key
	}
	o := 0
	if t.Key != "" { // a key belongs to one owner, as in a partition
		o = (len(t.Key) + int(t.Key[len(t.Key)-1])) % len(s.owners)
	}
	s.d.Lock()
	defer s.d.Unlock()
	j.owner = s.owners[o]
	s.added[j.id]++
	j.n = s.added[j.id]
	s.total++
	s.add(t)
}

// addQuiet adds a task to a lane of its own, whose remote is fast and never fails.
func (s *simulation) addQuiet(n int) {
	s.d.Lock()
	defer s.d.Unlock()
	j := &job{n: 1, id: fmt.Sprint("quiet", n), quiet: true, added: time.Now(), owner: s.owners[0]}
	s.total++
	s.add(&simTask{Value: j, Lane: dispatch.Lane{Name: "quiet"}, Key: j.id, MaxBatch: 10, Bytes: 1})
}

// interfere does what hosts and operators do.
func (s *simulation) interfere() {
	switch i := s.random.IntN(len(s.owners)); s.random.IntN(12) {
	case 0:
		s.replaceOwner(i, s.random.IntN(2) == 0)
	case 1:
		if !s.mild {
			s.d.Lock()
			defer s.d.Unlock()
			s.pauses, _ = s.d.PauseLocked(3 * time.Second)
		}
	case 2:
		s.d.Lock()
		defer s.d.Unlock()
		s.pauses = time.Time{}
		s.d.ResumeLocked()
	case 3:
		s.d.Flush()
	case 4:
		if s.mild {
			return
		}
		s.d.Lock()
		s.owners[i].until = time.Now().Add(time.Second)
		s.d.Unlock()
		o := s.owners[i]
		s.background.Go(func() {
			time.Sleep(7 * time.Second)
			s.d.Lock()
			defer s.d.Unlock()
			o.until = time.Time{}
		})
	case 5:
		s.d.Lock()
		defer s.d.Unlock()
		for _, tasks := range s.owners[i].TakeBehindLocked(func(c dispatch.Chain[*job]) bool { return c.Count > 8 }) {
			s.take(tasks)
		}
	case 6:
		if s.random.IntN(4) == 0 {
			s.d.Lock()
			defer s.d.Unlock()
			for _, tasks := range s.owners[i].TakeFailingLocked() {
				s.take(tasks)
			}
		}
	}
}

func simulate(t *testing.T, seed uint64) {
	random := &lockedRandom{random: rand.New(rand.NewPCG(seed, 7))}
	s := &simulation{
		seed: seed, random: random, inFlight: map[dispatch.Lane]bool{}, newest: map[string]int{}, added: map[string]int{},
		mild: random.IntN(3) == 0,
		config: dispatch.Config{
			Linger: time.Duration(random.IntN(3)) * 100 * time.Millisecond, MaxBatches: 1 + random.IntN(4), MinBackoff: 100 * time.Millisecond,
			MaxBackoff: 5 * time.Second, RetryFor: time.Duration(1+random.IntN(100)) * 10 * time.Second, MaxAttempts: 2 + random.IntN(8),
		},
	}
	s.config.InPlace = random.IntN(3) == 0
	if s.config.Linger == 0 {
		s.config.Linger = time.Millisecond
	}
	lanes := 1 + random.IntN(8)
	if s.mild {
		s.config.MaxBatches = lanes + 1
	}
	s.d = dispatch.New(s.config, s)
	if random.IntN(2) == 0 {
		s.d.LimitHashes(uint64(1 + random.IntN(4)))
	}
	for range 1 + random.IntN(3) {
		s.owners = append(s.owners, s.newOwner())
	}
	for i := range 40 {
		for range random.IntN(40) {
			s.addRandom(lanes)
		}
		s.addQuiet(i)
		s.interfere()
		time.Sleep(time.Duration(random.Int64N(int64(3 * time.Second))))
	}
	s.d.Lock()
	s.calm = true
	s.d.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 1000*time.Hour)
	defer cancel()
	if err := s.d.Wait(ctx, func(held, _ int) bool { return held == 0 }); err != nil {
		s.check(false, "tasks get no outcome: %+v", s.d.Stats())
	}
	s.senders.Wait()
	s.background.Wait()
	s.d.Lock()
	defer s.d.Unlock()
	require.Equal(t, s.total, s.ended, "each task has one outcome")
	require.Empty(t, s.order)
	require.Empty(t, s.inFlight)
	stats := s.d.StatsLocked()
	require.Zero(t, stats.Held+stats.HeldBytes+stats.InFlight)
	s.d.StopLocked()
}

// Whatever the remote answers and whatever the host does: the tasks of a key are sent in order and nothing overtakes an earlier one,
// each task has exactly one outcome, the limits hold, and a lane whose remote works does not wait for the others.
// LANDFALL_SEED repeats a run, as far as the order of goroutines and the jitter of the backoff allow; LANDFALL_STRESS is the number of runs.
func TestRandomTasksKeepOrder(t *testing.T) {
	runs := 150
	if n, err := strconv.Atoi(os.Getenv("LANDFALL_STRESS")); err == nil {
		runs = n
	}
	first := rand.Uint64()
	if n, err := strconv.ParseUint(os.Getenv("LANDFALL_SEED"), 10, 64); err == nil {
		first, runs = n, 1
	}
	for i := range uint64(runs) {
		if !t.Run(fmt.Sprint("LANDFALL_SEED=", first+i), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { simulate(t, first+i) })
		}) {
			return
		}
	}
}
