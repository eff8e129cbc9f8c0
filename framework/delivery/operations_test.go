package delivery_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/internal/author/sample"
)

// samplePlan returns a plan of the sample destination that sends to a remote.
func samplePlan(t *testing.T, remote *sample.Remote, host runtime.Host, subscriptions string) *runtime.Plan {
	d, err := sample.Plugin().Load()
	require.NoError(t, err)
	host.Transport = sandbox.Transport(remote)
	in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{"key":"k"},"subscriptions":` + subscriptions + `}`))
	plan, err := runtime.New(sample.Plugin(), d, in, host)
	require.NoError(t, err)
	return plan
}

// typedEvent returns an event of a type; n makes its messageId unique.
func typedEvent(kind, user string, n int) delivery.NewEvent {
	raw := fmt.Sprintf(`{"type":%q,"messageId":"%s-%d","userId":%q}`, kind, user, n, user)
	return delivery.NewEvent{Source: "web", Key: user, Raw: []byte(raw)}
}

func TestDeletionsKeepTheirUsersOrder(t *testing.T) {
	q := openQueue(t, t.TempDir())
	defer q.Close()
	remote := sample.NewRemote()
	runner := startRunner(t, q, quick, delivery.Instance{Plan: samplePlan(t, remote, runtime.Host{}, `[{"action":"upsertUser","subscribe":"userId != null"}]`)})
	defer stopRunner(t, runner)
	const users, rounds = 20, 10
	var batch []delivery.NewEvent
	for n := range rounds {
		for u := range users {
			batch = append(batch, typedEvent([]string{"identify", "delete"}[n%2], fmt.Sprintf("u%02d", u), n))
		}
	}
	require.NoError(t, q.Append(t.Context(), batch))
	waitForCounts(t, runner, map[string]int64{"events": users * rounds, "delivered": users * rounds})
	for u := range users {
		var of []string
		for _, line := range remote.Log() {
			if line[len(line)-3:] == fmt.Sprintf("u%02d", u) {
				of = append(of, line[:6])
			}
		}
		assert.Equal(t, slices.Repeat([]string{"upsert", "delete"}, rounds/2), of)
	}
}

// importEvents returns rounds of events, each round with one event of every user.
func importEvents(users, rounds int) (batch []delivery.NewEvent) {
	for n := range rounds {
		for u := range users {
			raw := fmt.Sprintf(`{"type":"track","messageId":"u%d-%d","userId":"u%d","n":%d}`, u, n, u, n)
			batch = append(batch, delivery.NewEvent{Source: "web", Key: fmt.Sprintf("u%d", u), Raw: []byte(raw)})
		}
	}
	return batch
}

const importing = `[{"action":"importUser"}]`

func TestOperationsArePolledTogetherAndInOrder(t *testing.T) { synctest.Test(t, pollOperations) }

func pollOperations(t *testing.T) {
	q := memoryQueue(t, 16)
	remote := sample.NewRemote()
	remote.SetPolls(7) // more often than a failure is tried again
	runner := startRunner(t, q, quick, delivery.Instance{Plan: samplePlan(t, remote, runtime.Host{}, importing)})
	defer stopRunner(t, runner)
	const users, rounds = 40, 3
	require.NoError(t, q.Append(t.Context(), importEvents(users, rounds)))
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{{Source: "web", Key: "bad", Raw: []byte(`{"type":"track","messageId":"bad","userId":"bad"}`)}}))
	waitForCounts(t, runner, map[string]int64{"events": users*rounds + 1, "delivered": users * rounds, "dead": 1})
	for u := range users {
		var of, want []string
		for _, line := range remote.Log() {
			if name := fmt.Sprintf(" u%d ", u); strings.Contains(line, name) {
				of = append(of, strings.Replace(line, name, " ", 1))
			}
		}
		for n := range rounds {
			want = append(want, fmt.Sprintf("import %d", n), fmt.Sprintf("done %d", n))
		}
		assert.Equal(t, want, of)
	}
	assert.Less(t, remote.Polls(), users*rounds*8/4, "one request asks for many")
}

// If a process ends while the remote runs operations, the next process polls them and sends nothing again.
func TestOperationsContinueAfterRestart(t *testing.T) {
	dir, state := t.TempDir(), destination.NewMemoryState()
	remote := sample.NewRemote()
	remote.SetPolls(1 << 30)
	const users = 30
	for round := range 3 {
		q := openQueue(t, dir)
		plan := samplePlan(t, remote, runtime.Host{State: state}, importing)
		runner := startRunner(t, q, quick, delivery.Instance{Plan: plan})
		if round == 0 {
			require.NoError(t, q.Append(t.Context(), importEvents(users, 2)))
		}
		asked := remote.Polls()
		require.Eventually(t, func() bool { return remote.Polls() > asked+2 && len(remote.Log()) == users }, time.Minute, 5*time.Millisecond)
		if round == 2 {
			remote.FinishAll()
			waitForCounts(t, runner, map[string]int64{"events": 2 * users, "delivered": 2 * users})
		}
		stopRunner(t, runner)
		q.Close()
	}
	sent := map[string]int{}
	for _, line := range remote.Log() {
		sent[line]++
	}
	assert.Len(t, sent, 4*users)
	for line, n := range sent {
		assert.Equal(t, 1, n, line)
	}
}

// An operation that does not end is parked with the events behind it. Once it has ended, a replay finishes all of them.
func TestSlowOperationIsParked(t *testing.T) {
	q := openQueue(t, t.TempDir())
	defer q.Close()
	remote := sample.NewRemote()
	remote.SetPolls(1 << 30)
	impatient := quick
	impatient.RetryFor = 50 * time.Millisecond
	runner := startRunner(t, q, impatient, delivery.Instance{Plan: samplePlan(t, remote, runtime.Host{}, importing)})
	defer stopRunner(t, runner)
	require.NoError(t, q.Append(t.Context(), importEvents(1, 3)))
	waitForCounts(t, runner, map[string]int64{"events": 3, "parked": 3})
	var reasons []string
	var causes []fault.Cause
	require.NoError(t, q.DeadLetters(t.Context(), delivery.DeadLetterFilter{}, func(l *delivery.DeadLetter) error {
		reasons, causes = append(reasons, l.Reason), append(causes, l.Cause)
		return nil
	}))
	assert.Equal(t, []fault.Cause{fault.CauseInProgress, fault.CauseBehindParked, fault.CauseBehindParked}, causes)
	assert.Contains(t, reasons[0], "it takes longer than 50ms: the destination is processing it; its operation is imp1/u0")
	remote.FinishAll()
	_, err := q.ReplayDeadLetters(t.Context(), delivery.DeadLetterFilter{Instance: "main"})
	require.NoError(t, err)
	waitForCounts(t, runner, map[string]int64{"events": 3, "delivered": 3, "parked": 0})
	assert.Equal(t, []string{"import u0 0", "done u0 0", "import u0 1", "done u0 1", "import u0 2", "done u0 2"}, remote.Log())
}
