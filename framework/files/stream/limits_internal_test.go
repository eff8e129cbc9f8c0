package stream

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// TestPendingEventsAreFull checks the two limits, and that reported events no longer count.
func TestPendingEventsAreFull(t *testing.T) {
	var p pendingEvents
	for i := range MaxWaiting - 1 {
		require.False(t, p.addEvent(Event{Index: i}, 1, 1))
	}
	assert.True(t, p.addEvent(Event{Index: MaxWaiting - 1}, 1, 1))
	assert.Empty(t, p.takeComplete())
	p.addVerdict(1, []runtime.Verdict{{Reason: "1"}})
	assert.Empty(t, p.takeComplete(), "the first event is open")
	p.addVerdict(0, []runtime.Verdict{{Reason: "0"}})
	complete := p.takeComplete()
	require.Len(t, complete, 2)
	assert.Equal(t, []string{"0", "1"}, []string{complete[0].Verdicts[0].Reason, complete[1].Verdicts[0].Reason})
	assert.Equal(t, MaxWaiting-2, p.bytes)
	assert.False(t, p.addEvent(Event{}, 0, 1))
	assert.True(t, p.addEvent(Event{}, 0, 1))

	p = pendingEvents{}
	assert.False(t, p.addEvent(Event{}, 1, maxWaitingBytes-1))
	assert.True(t, p.addEvent(Event{}, 1, 1))
	p.addVerdict(0, nil)
	assert.Len(t, p.takeComplete(), 1)
	assert.Equal(t, 1, p.bytes)
}

// TestPendingEventsOfManyRounds checks that each event is reported once, with all its verdicts, while events are added, decided out of
// order and taken.
func TestPendingEventsOfManyRounds(t *testing.T) {
	var p pendingEvents
	var reported []int
	added := 0
	for round := range 50 {
		first := added
		for range round % 7 {
			p.addEvent(Event{Index: added}, 2, 10)
			added++
		}
		for range 2 {
			for i := added - 1; i >= first; i-- {
				p.addVerdict(i, []runtime.Verdict{{Reason: fmt.Sprint(i)}})
			}
		}
		for _, e := range p.takeComplete() {
			reported = append(reported, e.Index)
			require.Len(t, e.Verdicts, 2)
			require.Equal(t, fmt.Sprint(e.Index), e.Verdicts[1].Reason)
		}
	}
	require.Len(t, reported, added)
	for i, index := range reported {
		require.Equal(t, i, index)
	}
	assert.Zero(t, p.bytes)
	assert.LessOrEqual(t, len(p.events), 1)
}

// groupsOf returns the groups in which readAhead passes the lines of an input.
func groupsOf(t *testing.T, input io.Reader) (groups [][]line) {
	out := make(chan []line)
	failed := make(chan error, 1)
	go func() { failed <- readAhead(input, func(e event.Event) event.Event { return e }, out, nil) }()
	for group := range out {
		if len(group) > 0 { // the last one can be empty
			groups = append(groups, group)
		}
	}
	require.NoError(t, <-failed)
	return groups
}

// TestReadAheadGroupsLines checks the limits of a group in lines and in bytes, and the numbers of lines after blank ones.
func TestReadAheadGroupsLines(t *testing.T) {
	groups := groupsOf(t, strings.NewReader(strings.Repeat("{}\n", 2*aheadLines+1)))
	require.Len(t, groups, 3)
	assert.Equal(t, []int{aheadLines, aheadLines, 1}, []int{len(groups[0]), len(groups[1]), len(groups[2])})
	assert.Equal(t, 2*aheadLines+1, groups[2][0].number)

	large := `{"pad":"` + strings.Repeat("x", 60<<10) + `"}` + "\n"
	for _, group := range groupsOf(t, strings.NewReader(strings.Repeat(large, 20))) {
		bytes := 0
		for _, l := range group {
			bytes += l.bytes
		}
		assert.Less(t, bytes, aheadBytes+len(large))
	}
	groups = groupsOf(t, strings.NewReader("\n  \n{}\n\t\r\n{nope\n\n"))
	var numbers []int
	for _, group := range groups {
		for _, l := range group {
			numbers = append(numbers, l.number)
			assert.Equal(t, l.number == 5, l.err != nil)
		}
	}
	assert.Equal(t, []int{3, 5}, numbers)
}

// TestReadAheadStops checks that it ends if its lines are no longer received.
func TestReadAheadStops(t *testing.T) {
	stop := make(chan struct{})
	close(stop)
	out := make(chan []line)
	assert.NoError(t, readAhead(strings.NewReader("{}\n{}\n"), func(e event.Event) event.Event { return e }, out, stop))
	_, more := <-out
	assert.False(t, more)
}
