package delivery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/internal/testsize"
)

// Random instances start, lag, stop and start again elsewhere, and readers fail. Each reads exactly the messages of its sources, in order.
func TestRandomCursorsReadEverything(t *testing.T) {
	for seed := range uint64(testsize.Of(20, 6)) {
		synctest.Test(t, func(t *testing.T) { readRandomly(t, rand.New(rand.NewPCG(seed, 3))) })
	}
}

func readRandomly(t *testing.T, random *rand.Rand) {
	f := newFeedFixture(t)
	sources := []string{"ev.a.0", "ev.b.0", "ev.c.0", "ctl.i0.0", "ctl.i1.0"}
	for range 20 {
		f.add(sources[random.IntN(len(sources))], 100)
	}
	var readers sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer readers.Wait()
	defer cancel()
	reports := make([]func(), 8)
	for i := range reports {
		r := &randomReader{fixture: f, from: 1 + random.Uint64N(25), random: rand.New(rand.NewPCG(random.Uint64(), 1))}
		r.subjects = []string{fmt.Sprintf("ctl.i%d.0", i), sources[random.IntN(3)]}
		if random.IntN(3) == 0 {
			r.subjects[1] = "ev.*.0"
		}
		readers.Go(func() { r.readLoop(ctx) })
		reports[i] = r.check
	}
	for range 300 {
		f.add(sources[random.IntN(len(sources))], 100+random.IntN(60_000))
		f.log.fails.Store(random.IntN(40) == 0)
		if random.IntN(30) == 0 {
			f.feeds.dropPages()
		}
		time.Sleep(time.Duration(random.IntN(50)) * time.Millisecond)
	}
	f.log.fails.Store(false)
	time.Sleep(time.Hour)
	for _, check := range reports {
		check()
	}
}

// randomReader reads with a cursor that it sometimes closes.
type randomReader struct {
	fixture  *feedFixture
	subjects []string
	from     uint64
	random   *rand.Rand

	mu   sync.Mutex // guards list
	list []uint64
}

func (r *randomReader) readLoop(ctx context.Context) {
	next := r.from
	cursor := r.fixture.feeds.newCursor(0, r.subjects, next)
	defer func() { cursor.close() }()
	for ctx.Err() == nil {
		waitCtx, cancel := context.WithTimeout(ctx, time.Duration(1+r.random.IntN(2000))*time.Millisecond)
		p, err := cursor.nextPage(waitCtx)
		cancel()
		if err == nil {
			next = p.Sequence + 1
			r.mu.Lock()
			r.list = append(r.list, p.Sequence)
			r.mu.Unlock()
		}
		switch r.random.IntN(10) {
		case 0:
			cursor.close()
			time.Sleep(time.Duration(r.random.IntN(2000)) * time.Millisecond)
			cursor = r.fixture.feeds.newCursor(0, r.subjects, next)
		case 1:
			cursor.setBlocked()
			time.Sleep(time.Duration(r.random.IntN(5000)) * time.Millisecond)
		}
	}
}

func (r *randomReader) check() {
	r.mu.Lock()
	defer r.mu.Unlock()
	assert.Equal(r.fixture.t, r.fixture.expected(r.subjects, r.from), r.list, "%v", r.subjects)
}
