package runtime_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestSubscriptionsRunInOrder sends an event through subscriptions with full and with waiting batches, some of which are indexed by
// the event's name: the event is delivered in the order of the config.
func TestSubscriptionsRunInOrder(t *testing.T) {
	queries := []string{`event = \"A\"`, `userId != null`, `event = \"B\"`, `event = \"A\"`, `type = \"track\"`}
	var list []string
	for i, q := range queries {
		action := []string{"batch", "single"}[i%2]
		list = append(list, fmt.Sprintf(`{"name":"s%d","action":"%s","subscribe":"%s","mapping":{"id":"s%d"}}`, i, action, q, i))
	}
	for n := 1; n <= len(list); n++ {
		a := &acme{}
		plan := a.plan(t, `{"id":"i","settings":{"key":"k"},"subscriptions":[`+strings.Join(list[:n], ",")+`]}`)
		plan.RunBatch(context.Background(), events(t, `{"type":"track","event":"A","userId":"u"}`, `{"type":"track","event":"A","userId":"v"}`))
		var want []string
		for _, sent := range [][]string{{"eu:s0,s0"}, {"s1", "s1"}, {}, {"s3", "s3"}, {"eu:s4,s4"}}[:n] {
			want = append(want, sent...)
		}
		assert.Equal(t, want, a.batches)
	}
}
