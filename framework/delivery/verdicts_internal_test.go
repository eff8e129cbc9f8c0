package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// TestTimesOfVerdicts checks that the verdicts of a batch have the time at which the batch ended, and later ones their own.
func TestTimesOfVerdicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var records []VerdictRecord
		in := answeringInstance(t, func() error { time.Sleep(time.Second); return nil })
		_, w := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{OnVerdict: func(v VerdictRecord) { records = append(records, v) }}, in)
		p := w.own(0, checkpoint{Low: 1})
		p.addTasks(t, "u:a", 1, 0, false)
		time.Sleep(5500 * time.Millisecond)
		synctest.Wait()
		refused := &task{partition: p, page: &page{verdictsLeft: []uint16{1}, eventsLeft: 1}, item: runtime.Item{Subscription: w.instance.Plan.Subscriptions()[0]}}
		w.mu.Lock()
		w.finishTaskLocked(refused, countSkipped, fault.CauseErased, "erased")
		w.mu.Unlock()
		require.Len(t, records, 2)
		assert.Equal(t, records[0].Batch.At.Add(time.Second), records[0].At)
		assert.Equal(t, time.Now(), records[1].At)
	})
}

// TestPanickingQuery checks that an event at which a query panics gets a verdict that says so.
func TestPanickingQuery(t *testing.T) {
	broken := new(runtime.Subscription)
	e, err := event.Parse([]byte(`{"type":"track"}`))
	require.NoError(t, err)
	matches, panicked := matchQuery(broken, e)
	assert.Equal(t, []bool{false, true}, []bool{matches, panicked})
	_, refused := prepareMatch(new(runtime.Plan), broken, e, 0, panicked)
	require.NotNil(t, refused)
	assert.Contains(t, refused.Reason, "panicked")
}
