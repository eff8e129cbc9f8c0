package runtime

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// TestPanicBecomesAVerdict checks that a panic becomes the verdict of its event alone. A subscription without a query panics at
// every event.
func TestPanicBecomesAVerdict(t *testing.T) {
	e, err := event.Parse([]byte(`{"type":"track","event":"A"}`))
	require.NoError(t, err)
	plan := &Plan{id: "main"}
	for _, prepare := range []func(*Subscription, event.Event, int) (Item, *Verdict){plan.Prepare, plan.PrepareMatching} {
		_, verdict := prepare(&Subscription{name: "broken"}, e, 0)
		require.NotNil(t, verdict)
		assert.Equal(t, Refused, verdict.Outcome)
		assert.Equal(t, fault.CodeInternal, verdict.Code)
		assert.Equal(t, "broken", verdict.Subscription)
		assert.Contains(t, verdict.Reason, "panicked")
	}
}
