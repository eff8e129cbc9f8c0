package delivery_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
)

// A subscription gets another name while its events are parked, and while others wait: what waits goes through the new one, what is
// parked says what is missing and is not lost, and goes on in order when the name is back.
func TestASubscriptionIsRenamedWhileItsEventsWait(t *testing.T) {
	q := open(t, t.TempDir())
	defer q.Close()
	remote := newRemote(t)
	const poison, down, well = 0, 1, 2
	now := poison
	set := func(to int) {
		remote.mu.Lock()
		defer remote.mu.Unlock()
		now = to
	}
	remote.answer = func(changes []change) (*destination.MultiStatus, error) {
		remote.mu.Lock()
		defer remote.mu.Unlock()
		if now == down {
			return nil, fault.FromStatus(503, "down")
		}
		ms := destination.NewMultiStatus(len(changes))
		for i, c := range changes {
			ms.Deliver(i)
			if now == poison && c.id == "s" {
				ms.Fail(i, fault.FromStatus(500, "not this one"))
			}
		}
		return ms, nil
	}
	old := delivery.Instance{Plan: remote.plan(`type = "track"`), Version: "1"}
	renamed := delivery.Instance{Plan: remote.planNamed("other", remote.perform, `type = "track"`), Version: "2"}
	runner := start(t, q, quick, old)
	same, n := `,"group":"g"`, 0
	fine := func() {
		require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{line("fine", n, same)}))
		n++
	}
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{line("s", 0, same), line("s", 1, same)}))
	require.Eventually(t, func() bool { fine(); return counts(runner)["parked"] == 2 }, 20*time.Second, 20*time.Millisecond)
	set(down)
	for range 20 {
		fine()
	}
	require.NoError(t, runner.SetInstances(t.Context(), []delivery.Instance{renamed}))
	_, err := q.ReplayDeadLetters(t.Context(), delivery.DeadLetterFilter{Parked: true})
	require.NoError(t, err)
	set(well)
	eventually(t, runner, map[string]int64{"events": int64(n + 2), "delivered": int64(n), "dead": 2, "parked": 0})
	require.NoError(t, q.DeadLetters(t.Context(), delivery.DeadLetterFilter{}, func(l *delivery.DeadLetter) error {
		assert.Equal(t, `the subscription "all" no longer exists`, l.Reason)
		return nil
	}))
	require.NoError(t, runner.SetInstances(t.Context(), []delivery.Instance{old}))
	_, err = q.ReplayDeadLetters(t.Context(), delivery.DeadLetterFilter{})
	require.NoError(t, err)
	eventually(t, runner, map[string]int64{"events": int64(n + 2), "delivered": int64(n + 2), "dead": 0, "parked": 0})
	stop(t, runner)
	assert.Equal(t, []int{0, 1}, remote.taken["s"])
	inOrder(t, "fine", remote.taken["fine"])
}

// An instance that is taken out of the config and put back goes on where it stopped, with what was accepted meanwhile and in order.
func TestAnInstanceIsRemovedAndAddedAgain(t *testing.T) {
	q := open(t, t.TempDir())
	defer q.Close()
	remote := newRemote(t)
	in := delivery.Instance{Plan: remote.plan(`type = "track"`)}
	runner := start(t, q, quick, in)
	n := 0
	more := func() {
		for range 30 {
			require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{line("u", n), line(fmt.Sprintf("v%d", n), n)}))
			n++
		}
	}
	for range 4 {
		more()
		require.NoError(t, runner.SetInstances(t.Context(), nil))
		more()
		require.NoError(t, runner.SetInstances(t.Context(), []delivery.Instance{in}))
	}
	eventually(t, runner, map[string]int64{"events": int64(2 * n), "delivered": int64(2 * n)})
	stop(t, runner)
	require.Len(t, remote.taken["u"], n)
	inOrder(t, "u", remote.taken["u"])
}

// Who asks for a replay several times gets it once: what is under way is not taken again.
func TestAReplayThatIsAskedForTwiceIsMadeOnce(t *testing.T) {
	q := open(t, t.TempDir())
	defer q.Close()
	remote := newRemote(t)
	const never, held, well = 0, 1, 2
	now, going := never, make(chan struct{})
	remote.answer = func(changes []change) (*destination.MultiStatus, error) {
		remote.mu.Lock()
		at := now
		remote.mu.Unlock()
		if at == never {
			return nil, fault.FromStatus(400, "never")
		}
		if at == held {
			<-going
		}
		return nil, nil
	}
	runner := start(t, q, quick, delivery.Instance{Plan: remote.plan(`type = "track"`)})
	for n := range 3 {
		require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{line("u", n, `,"group":"g"`)}))
	}
	eventually(t, runner, map[string]int64{"events": 3, "dead": 3})
	remote.mu.Lock()
	now = held
	remote.mu.Unlock()
	for range 3 {
		_, err := q.ReplayDeadLetters(t.Context(), delivery.DeadLetterFilter{})
		require.NoError(t, err)
	}
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{line("last", 0, `,"group":"other"`)}))
	require.Eventually(t, func() bool { return runner.Status()[0].Waiting >= 4 }, 20*time.Second, 5*time.Millisecond)
	remote.mu.Lock()
	now = well
	remote.mu.Unlock()
	close(going)
	eventually(t, runner, map[string]int64{"events": 4, "delivered": 4, "dead": 0})
	stop(t, runner)
	assert.Equal(t, []int{0, 1, 2}, remote.taken["u"])
}
