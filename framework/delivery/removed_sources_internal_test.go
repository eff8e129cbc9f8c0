package delivery

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
)

// TestRecordedSources checks that a checkpoint has a limited number of sources, and that a source that was removed keeps its first page.
func TestRecordedSources(t *testing.T) {
	for n, recorded := range map[int]bool{0: false, 1: true, maxRecordedSources: true, maxRecordedSources + 1: false} {
		assert.Equal(t, recorded, len(recordedSources(make([]string, n))) > 0, n)
	}
	earlier := checkpoint{Low: 9, Sources: []string{"web", "app"}, Removed: map[string]uint64{"web": 4, "old": 2}}
	assert.Equal(t, map[string]uint64{"web": 4, "app": 9, "old": 2}, removedSources(earlier, []string{"new"}))
	assert.Equal(t, map[string]uint64{"web": 4, "old": 2}, earlier.Removed, "the earlier checkpoint does not change")
	for i := range maxRecordedSources {
		earlier.Removed[fmt.Sprint("removed", i)] = uint64(10 + i)
	}
	removed := removedSources(earlier, []string{"new"})
	assert.Len(t, removed, maxRecordedSources)
	for _, first := range []string{"old", "web", "app"} {
		assert.NotContains(t, removed, first, "the sources that were removed first are forgotten")
	}
}

func TestFindingOfARemovedSource(t *testing.T) {
	for count, want := range map[int]string{
		1:                     "1 event of the source web that waited is not delivered, since",
		2:                     "2 events of the source web that waited are not delivered, since",
		maxRemovedCounted - 1: "9999 events of the source web that waited are",
		maxRemovedCounted:     "more than 10000 events of the source web that waited are",
	} {
		f := (&removedSource{instance: "main", source: "web", count: count, oldest: time.Unix(0, 0)}).finding()
		assert.True(t, strings.HasPrefix(f.Message, want), f.Message)
		assert.Equal(t, []any{"main", time.Unix(0, 0)}, []any{f.Instance, f.Since})
	}
}

// removedFixture is a process that counts the events of sources that its instance no longer receives.
type removedFixture struct {
	*Runner
	t      *testing.T
	log    *failingLog
	logged bytes.Buffer

	revision uint64 // of the latest checkpoint
}

func newRemovedFixture(t *testing.T) *removedFixture {
	log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
	r, _ := newIdleRunner(t, log, 2, Settings{}, Instance{Plan: accepts(t).Plan, Sources: []string{"app"}})
	f := &removedFixture{Runner: r, t: t, log: log}
	r.log = slog.New(slog.NewTextHandler(&f.logged, nil))
	return f
}

// addPage appends a page of n events; the header of a page with several sources says which.
func (f *removedFixture) addPage(subject, sources string, n int) {
	w := eventlog.Write{Subject: subject, Data: bytes.Repeat([]byte("{}\n"), n)}
	if sources != "" {
		w.Header = map[string]string{sourcesHeader: sources}
	}
	_, err := f.log.Append(f.t.Context(), eventsStream, []eventlog.Write{w})
	require.NoError(f.t, err)
}

// remove writes a checkpoint with removed sources.
func (f *removedFixture) remove(partition int, removed map[string]uint64) {
	f.revision++
	f.leases.recordWrite(eventlog.Write{Subject: checkpointSubject("main", partition), Data: checkpoint{Owner: "other", Removed: removed}.toMessage("", 0).Data}, f.revision)
}

// count returns what is found, as instance, source and number.
func (f *removedFixture) count() (list []string) {
	require.NoError(f.t, f.surveyRemovals(f.t.Context(), time.Now()))
	for _, l := range f.survey.removed {
		list = append(list, fmt.Sprint(l.instance, " ", l.source, " ", l.count))
	}
	return list
}

// TestEventsOfRemovedSourcesAreCounted checks which events are counted: those of a source in pages of its own and in pages with others, in
// all partitions, from the first page after the removal on. A failure is tried again at once, and each source is logged once.
func TestEventsOfRemovedSourcesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newRemovedFixture(t)
		f.remove(1, map[string]uint64{"web": 4, "old": 0})
		began := time.Now()
		f.addPage("ev.web.0", "", 7) // before the first
		time.Sleep(time.Minute)
		f.addPage("ev."+mixedToken+".0", "web*2,app,web,old*3", 7)
		time.Sleep(time.Minute)
		f.addPage("ev.web.1", "", 7) // before the first
		f.addPage("ev.web.1", "", 5)
		f.addPage("ev.web.0", "", 10)
		f.addPage("ev."+mixedToken+".1", "app,old", 2)
		f.log.arm(1)
		require.ErrorIs(t, f.surveyRemovals(t.Context(), time.Now()), errLogFails)
		assert.Empty(t, f.survey.removed)
		assert.Equal(t, []string{"main old 1", "main web 5"}, f.count(), "it is tried again")
		f.remove(0, map[string]uint64{"web": 2})
		assert.Equal(t, []string{"main old 1", "main web 18"}, f.count())
		assert.Equal(t, began.Add(time.Minute), f.survey.removed[1].oldest)

		f.addPage("ev.web.1", "", 1)
		time.Sleep(removedInterval - 1)
		assert.Equal(t, []string{"main old 1", "main web 18"}, f.count())
		time.Sleep(time.Nanosecond)
		assert.Equal(t, []string{"main old 1", "main web 19"}, f.count())
		f.remove(1, nil)
		assert.Equal(t, []string{"main web 13"}, f.count(), "at once, since there is another removal")
		for _, source := range []string{"web", "old"} {
			assert.Equal(t, 1, strings.Count(f.logged.String(), "source="+source), f.logged.String())
		}
		assert.Contains(t, f.logged.String(), "1 event of the source old that waited is not delivered")
		assert.Contains(t, f.logged.String(), "landfall replay --instance main")
	})
}

// TestOldestRemovedEvent checks that the oldest event of a source is found in any partition.
func TestOldestRemovedEvent(t *testing.T) {
	for oldest := range 2 {
		synctest.Test(t, func(t *testing.T) {
			f := newRemovedFixture(t)
			began := time.Now()
			for i := range 2 {
				f.addPage(fmt.Sprint("ev.web.", (oldest+i)%2), "", 1)
				time.Sleep(time.Minute)
			}
			f.remove(0, map[string]uint64{"web": 1})
			f.remove(1, map[string]uint64{"web": 1})
			assert.Equal(t, []string{"main web 2"}, f.count())
			assert.Equal(t, began, f.survey.removed[0].oldest)
		})
	}
}

// TestCountingRemovedSourcesIsLimited checks that counting ends when there are many, and behind many pages in a row without any of them.
func TestCountingRemovedSourcesIsLimited(t *testing.T) {
	f := newRemovedFixture(t)
	f.remove(0, map[string]uint64{"web": 1})
	mixed := "ev." + mixedToken + ".0"
	others := func(n int) {
		for range n {
			f.addPage(mixed, "app,old", 2)
		}
	}
	others(maxPassedPages - 1)
	f.addPage(mixed, "app,web", 2)
	others(maxPassedPages - 1)
	f.addPage(mixed, "web,app", 2)
	assert.Equal(t, []string{"main web 2"}, f.count())
	others(maxPassedPages)
	f.addPage("ev.web.0", "", 1)
	f.survey.removals = nil
	assert.Equal(t, []string{"main web 2"}, f.count())

	f = newRemovedFixture(t)
	f.remove(0, map[string]uint64{"web": 1})
	f.addPage("ev.web.0", "", maxRemovedCounted-1)
	f.addPage("ev.web.0", "", 5)
	f.addPage("ev.web.0", "", 7)
	assert.Equal(t, []string{fmt.Sprint("main web ", maxRemovedCounted+4)}, f.count(), "the last page is not read")
}
