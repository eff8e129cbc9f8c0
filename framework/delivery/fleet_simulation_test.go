package delivery_test

import (
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fleetStep is a change of a fleet.
type fleetStep struct {
	name   string
	change func()
	extra  int // moves beyond the needed ones that are allowed, for processes that do not join at the same moment
}

// Many processes join, stop, crash and freeze. Each time the shares are even soon, no more partitions than needed have moved, and no
// partition was without a live owner for longer than a lease and the intervals of the maintenance. Nothing is lost or sent in
// another order. LANDFALL_FLEET=100 simulates 100 processes and 1,024 partitions.
func TestFleet(t *testing.T) {
	size, partitions := 12, 100
	if n, err := strconv.Atoi(os.Getenv("LANDFALL_FLEET")); err == nil {
		size, partitions = max(n, 10), max(n, 10)*1024/100
	}
	synctest.Test(t, func(t *testing.T) { simulateFleet(t, size, partitions) })
}

func simulateFleet(t *testing.T, size, partitions int) {
	const lease = 45 * time.Second
	f := newFleet(t, partitions, lease, 5)
	few := max(size/10, 2)
	var frozen []*fleetProcess
	steps := []fleetStep{
		{name: "half of them start", extra: joinMoves(partitions, size/2), change: func() { f.startProcesses(size/2, 2*time.Second) }},
		{name: "the others join at once", extra: few, change: func() { f.startProcesses(size-size/2, 0) }},
		{name: "some stop", change: func() { f.stopProcesses(few, false) }},
		{name: "some join one by one", extra: few, change: func() { f.startProcesses(few, 5*time.Second) }},
		{name: "some crash", change: func() { f.stopProcesses(few, true) }},
		{name: "one joins", change: func() { f.startProcesses(1, 0) }},
		{name: "some freeze", change: func() { frozen = f.freezeProcesses(few) }},
		{name: "they thaw", extra: few, change: func() { f.thawProcesses(frozen) }},
		{name: "some freeze shortly", change: func() {
			frozen = f.freezeProcesses(few)
			time.Sleep(lease / 3)
			f.thawProcesses(frozen)
		}},
		{name: "some crash and others join", extra: few * (partitions/size + 2), change: func() {
			f.stopProcesses(few, true)
			time.Sleep(lease / 2)
			f.startProcesses(few, 5*time.Second)
		}},
	}
	users := 2 * partitions
	for n, step := range steps {
		if n > 0 { // events before the first checkpoints are not delivered
			f.sendEvents(users, n-1)
		}
		f.runStep(step)
	}
	f.sendEvents(users, len(steps)-1)
	time.Sleep(lease)
	f.stopFleet()
	f.requireOrder(users, len(steps)-1)
}

// joinMoves returns how many partitions move if processes join one after the other: each gets its share at that moment.
func joinMoves(partitions, processes int) (moves int) {
	for n := 2; n <= processes; n++ {
		moves += partitions / n
	}
	return moves
}

// While processes of an earlier version are members, all processes assign as that version does, and every partition has an owner.
// After that, partitions move only if needed.
func TestFleetOfTwoVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 40, 45*time.Second, 6)
		f.earlier = true
		f.startProcesses(3, time.Second)
		f.earlier = false
		f.runStep(fleetStep{name: "two of the new version join", extra: 200, change: func() { f.startProcesses(2, time.Second) }})
		f.requireEarlierAssignment()
		f.sendEvents(100, 0)
		f.runStep(fleetStep{name: "those of the earlier version stop", extra: 200, change: func() { f.stopEarlier() }})
		f.runStep(fleetStep{name: "one of the new version joins", change: func() { f.startProcesses(1, 0) }})
		f.stopFleet()
		f.requireOrder(100, 0)
	})
}

// runStep changes the fleet, waits until it has settled, and checks it.
func (f *fleet) runStep(step fleetStep) {
	t := f.t
	before, began, cpu := f.counts(), time.Now(), cpuTime()
	f.mu.Lock()
	f.moves, f.longest, f.changedAt = 0, 0, began
	f.mu.Unlock()
	step.change()
	require.Eventually(t, f.isSettled, 20*f.lease, f.lease/10, step.name)
	counts, needed := f.counts(), f.neededMoves(before)
	if len(before) == 0 {
		needed = 0
	}
	even, least, most := float64(f.partitions)/float64(len(counts)), f.partitions, 0
	for _, n := range counts {
		least, most = min(least, n), max(most, n)
	}
	t.Logf("%-28s %3d processes, shares %d to %d of %.2f, %d of %d needed moves, settled after %.2f leases, without owner %.2f leases, CPU %s",
		step.name, len(counts), least, most, even, f.moves, needed, float64(f.changedAt.Sub(began))/float64(f.lease), float64(f.longest)/float64(f.lease), cpuTime()-cpu)
	assert.LessOrEqual(t, most-least, 1, step.name)
	assert.LessOrEqual(t, f.moves, needed+step.extra, step.name)
	assert.LessOrEqual(t, f.longest, f.lease+f.lease/10, step.name)
}

// requireOrder fails unless each user's events arrived, the first time each, in order, and the newest last.
func (f *fleet) requireOrder(users, newest int) {
	f.remote.mu.Lock()
	defer f.remote.mu.Unlock()
	require.Len(f.t, f.remote.taken, users)
	for user, list := range f.remote.taken {
		last := -1
		for _, n := range list {
			require.LessOrEqual(f.t, n, last+1, "%s: %v", user, list)
			last = max(last, n)
		}
		require.Equal(f.t, newest, list[len(list)-1], "%s: %v", user, list)
	}
}
