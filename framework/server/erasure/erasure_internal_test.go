package erasure

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestNames checks which identifiers are taken for the user wherever they stand in a text.
func TestNames(t *testing.T) {
	for id, want := range map[string]bool{
		"gone-1": true, "user42": true, "a@b.co": true, "ann@example.com": true, "550e8400-e29b-41d4-a716-446655440000": true,
		"1": false, "123456": false, "u-1": false, "user1": false, "delivered": false, "": false,
	} {
		assert.Equal(t, want, isName(id), id)
	}
}

// TestDefaultsOfAnEraser checks how long an Eraser waits and keeps receipts if its Config does not say.
func TestDefaultsOfAnEraser(t *testing.T) {
	e := newEraser(Config{})
	assert.Equal(t, 3*365*24*time.Hour, e.Retention)
	assert.Equal(t, 3*time.Second, e.Settle)
	assert.Less(t, e.Backoff(1), e.Backoff(2))
	assert.Equal(t, 10*time.Minute, e.Backoff(1000))
	assert.NotEqual(t, e.holder, newEraser(Config{}).holder)
}

// TestStates checks how far an erasure is said to be.
func TestStates(t *testing.T) {
	at := time.Now()
	list := []Receipt{{}, {Steps: []Step{{Name: StepFind, Done: true}}}, {Steps: []Step{{Name: StepFind, Done: true}, {Name: StepLog, Error: "down"}}}, {DoneAt: &at}}
	for i, want := range []string{"pending", "pending", "failing", "done"} {
		assert.Equal(t, want, list[i].State())
	}
	assert.Equal(t, "4 erasures: 1 done, 1 failing, 2 pending", Summary(list))
	r := list[1]
	assert.True(t, r.isFinished())
	r.step(StepLog, "main")
	assert.False(t, r.isFinished())
	assert.NotSame(t, r.step(StepLog, "main"), r.step(StepLog, "other"))
	r.step(StepLog, "main").Done = true
	assert.Len(t, r.Steps, 3)
}
