package delivery_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/config"
	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/internal/sample"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/sandbox"
)

// samplePlan is a plan of the sample destination that sends to a remote.
func samplePlan(t *testing.T, remote *sample.Remote, host runtime.Host, subscriptions string) *runtime.Plan {
	d, err := sample.Plugin().Load()
	require.NoError(t, err)
	host.Transport = sandbox.Transport(remote)
	in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{"key":"k"},"subscriptions":` + subscriptions + `}`))
	plan, err := runtime.New(sample.Plugin(), d, in, host)
	require.NoError(t, err)
	return plan
}

// said is an event of a type, whose messageId is told apart by n.
func said(kind, user string, n int) delivery.Accepted {
	raw := fmt.Sprintf(`{"type":%q,"messageId":"%s-%d","userId":%q}`, kind, user, n, user)
	return delivery.Accepted{Source: "web", Key: user, Raw: []byte(raw)}
}

func TestDeletionsGoInTheOrderOfTheirUser(t *testing.T) {
	q := open(t, t.TempDir())
	defer q.Close()
	remote := sample.NewRemote()
	runner := start(t, q, quick, delivery.Instance{Plan: samplePlan(t, remote, runtime.Host{}, `[{"action":"upsertUser","subscribe":"userId != null"}]`)})
	defer stop(t, runner)
	const users, rounds = 20, 10
	var batch []delivery.Accepted
	for n := range rounds {
		for u := range users {
			batch = append(batch, said([]string{"identify", "delete"}[n%2], fmt.Sprintf("u%02d", u), n))
		}
	}
	require.NoError(t, q.Append(t.Context(), batch))
	eventually(t, runner, map[string]int64{"events": users * rounds, "delivered": users * rounds})
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
