package delivery

import (
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
)

// TestPartitionsThatHaveNoOwner checks which partitions count as without an owner: those that neither this process nor another with a valid
// lease has.
func TestPartitionsThatHaveNoOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := newIdleRunner(t, memlog.New(memlog.Options{Shared: true}).Connect(), 5, Settings{Lease: time.Minute}, accepts(t))
		w.own(0, checkpoint{})
		for n, owner := range map[int]string{1: "other", 2: "me", 3: ""} { // nothing is known of the last
			r.leases.recordWrite(eventlog.Write{Subject: checkpointSubject("main", n), Data: checkpoint{Owner: owner}.toMessage("", 0).Data}, uint64(n))
		}
		free := func() (list []int) {
			for at, by := range r.partitionsWithoutOwner(time.Now()) {
				assert.Equal(t, "main", at.instance)
				assert.Same(t, w, by)
				list = append(list, at.partition)
			}
			slices.Sort(list)
			return list
		}
		assert.Equal(t, []int{2, 3, 4}, free())
		time.Sleep(time.Minute - 1)
		assert.Equal(t, []int{2, 3, 4}, free())
		time.Sleep(time.Nanosecond)
		assert.Equal(t, []int{1, 2, 3, 4}, free(), "its lease has expired")
		w.stopping = true
		assert.Empty(t, free())
	})
}

// TestWaitingEventsWithoutOwner checks what is known of the events of partitions without an owner: nothing for a moment, as during a
// handover, and then how many there are and since when, which is counted again now and then.
func TestWaitingEventsWithoutOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
		r, w := newIdleRunner(t, log, 2, Settings{}, Instance{Plan: accepts(t).Plan, Sources: []string{"app", "web"}})
		w.own(1, checkpoint{})
		r.leases.recordWrite(eventlog.Write{Subject: checkpointSubject("main", 0), Data: checkpoint{Low: 3}.toMessage("", 0).Data}, 1)
		for _, subject := range []string{"ev.web.0", "ev.app.0", "ev.other.0", "ev.web.0", "ev.app.1", "ev.app.0"} {
			_, err := log.Append(t.Context(), eventsStream, []eventlog.Write{{Subject: subject, Data: []byte("{}\n{}\n{}\n")}})
			require.NoError(t, err)
			time.Sleep(time.Minute)
		}
		began := time.Now()
		look := func() *unownedPartition {
			r.surveyUnowned(t.Context(), time.Now())
			at := slices.Collect(maps.Keys(r.survey.unowned))
			require.Equal(t, []partitionID{{"main", 0}}, at)
			return r.survey.unowned[at[0]]
		}
		assert.Equal(t, &unownedPartition{since: began}, look())
		time.Sleep(unownedGrace - 1)
		assert.Equal(t, &unownedPartition{since: began}, look())
		time.Sleep(time.Nanosecond)
		counted := time.Now()
		want := &unownedPartition{since: began, countedAt: counted, oldest: began.Add(-3 * time.Minute), pages: 2, perPage: 3}
		assert.Equal(t, want, look(), "the first two pages are finished, and the third is of another source")
		_, err := log.Append(t.Context(), eventsStream, []eventlog.Write{{Subject: "ev.web.0", Data: []byte("{}\n")}})
		require.NoError(t, err)
		time.Sleep(countInterval - 1)
		assert.Equal(t, want, look())
		time.Sleep(time.Nanosecond)
		assert.Equal(t, 3, look().pages)

		time.Sleep(countInterval)
		log.arm(1)
		kept := look()
		assert.Equal(t, 3, kept.pages, "what was known is kept")
		assert.ErrorIs(t, r.survey.unreadable, errLogFails)
		assert.Equal(t, time.Now(), r.survey.since)
		failedAt := r.survey.since
		time.Sleep(time.Second)
		log.arm(1)
		look()
		assert.Equal(t, failedAt, r.survey.since, "since the first failure")
		log.arm(0)
		look()
		assert.NoError(t, r.survey.unreadable)
		assert.Zero(t, r.survey.since)

		w.own(0, checkpoint{})
		r.surveyUnowned(t.Context(), time.Now())
		assert.Empty(t, r.survey.unowned)
	})
}

// TestFirstUnreadPage checks that of the subjects of an instance the one with the first message counts, and that a subject without messages
// is no error.
func TestFirstUnreadPage(t *testing.T) {
	log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
	r, w := newIdleRunner(t, log, 1, Settings{}, Instance{Plan: accepts(t).Plan, Sources: []string{"app", "web"}})
	p := &partition{worker: w}
	first := func(from uint64) uint64 {
		m, err := r.firstUnread(t.Context(), p, from)
		require.NoError(t, err)
		if m == nil {
			return 0
		}
		return m.Sequence
	}
	assert.Zero(t, first(1))
	for _, subject := range []string{"ev.web.0", "ev.app.0", "ctl.main.0", "ev.app.0", "ev.web.0"} {
		_, err := log.Append(t.Context(), eventsStream, []eventlog.Write{{Subject: subject}})
		require.NoError(t, err)
	}
	for from := range uint64(6) {
		assert.Equal(t, max(from, 1), first(from), from)
	}
	assert.Zero(t, first(6))
	log.arm(2)
	_, err := r.firstUnread(t.Context(), p, 1)
	assert.ErrorIs(t, err, errLogFails)

	add := func(sources string, n int) {
		for range n {
			_, err := log.Append(t.Context(), eventsStream, []eventlog.Write{{Subject: "ev." + mixedToken + ".0", Header: map[string]string{sourcesHeader: sources}, Data: []byte("{}\n{}\n")}})
			require.NoError(t, err)
		}
	}
	add("other,old", 3)
	assert.Zero(t, first(6), "they are of other sources")
	add("other,web", 1)
	assert.EqualValues(t, 9, first(6))
	add("other,old", maxPassedPages)
	assert.Zero(t, first(10))
	add("app,old", 1)
	assert.EqualValues(t, 10+maxPassedPages, first(10))
	add("other,old", maxPassedPages+5)
	from := uint64(10 + maxPassedPages + 1)
	assert.Equal(t, from+maxPassedPages, first(from), "the search has a limit")
	log.arm(6)
	_, err = r.firstUnread(t.Context(), p, from)
	assert.ErrorIs(t, err, errLogFails, "of a page that follows others")
}

// TestOwnEventsOfAMessage checks how many events of a message an instance gets; a command counts as one.
func TestOwnEventsOfAMessage(t *testing.T) {
	lines := []byte("{}\n{}\n{}\n")
	_, some := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{}, Instance{Plan: accepts(t).Plan, Sources: []string{"app", "web"}})
	_, all := newIdleRunner(t, memlog.New(memlog.Options{}).Connect(), 1, Settings{}, accepts(t))
	mixed := func(sources string) eventlog.Message {
		return eventlog.Message{Subject: "ev." + mixedToken + ".0", Header: map[string]string{sourcesHeader: sources}, Data: lines}
	}
	for _, c := range []struct {
		m         eventlog.Message
		some, all int
	}{
		{mixed("app,other,web"), 2, 3}, {mixed("other*3"), 0, 3}, {mixed("app"), 3, 3}, {eventlog.Message{Subject: "ev.other.0", Data: lines}, 0, 3},
		{eventlog.Message{Subject: "ctl.main.0", Header: map[string]string{opHeader: opReplayEvents, sourceHeader: "other"}, Data: lines}, 3, 3},
		{eventlog.Message{Subject: "ctl.main.0", Header: map[string]string{opHeader: opDrop}, Data: lines}, 1, 1},
	} {
		assert.Equal(t, []int{c.some, c.all}, []int{some.ownEvents(&c.m), all.ownEvents(&c.m)}, c.m)
	}
}

// TestProgressOfPartitions checks when a partition counts as stalled: it has events to deliver and no reason to wait, also if its reader
// does not know of them.
func TestProgressOfPartitions(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(w *worker, p *partition)
		log     int // events in the log that the partition has not read
		stalled bool
	}{
		"a page is unfinished":  {func(_ *worker, p *partition) { p.openPages = []*page{{seq: 1, eventsLeft: 1}} }, 0, true},
		"messages are not read": {func(_ *worker, p *partition) { p.cursor.pending = 1 }, 0, true},
		"it has read what it was given": {func(_ *worker, p *partition) {
			p.cursor.pending, p.cursor.idle = 1, true
			p.cursor.feed = &pageFeed{pending: 1}
		}, 0, false},
		"nothing is left":                    {func(*worker, *partition) {}, 0, false},
		"its reader has overlooked an event": {func(*worker, *partition) {}, 1, true},
		"a page, and parking has stopped":    {func(_ *worker, p *partition) { p.openPages, p.parkingBlocked = []*page{{seq: 1}}, true }, 0, false},
		"a page, and a login is missing":     {func(w *worker, p *partition) { p.openPages, w.suspendReason = []*page{{seq: 1}}, "log in" }, 0, false},
		"a page, and the remote asks to wait": {func(w *worker, p *partition) {
			p.openPages = []*page{{seq: 1}}
			w.dispatcher.PauseLocked(time.Hour)
		}, 0, false},
		"an overlooked event, and a login is missing": {func(w *worker, _ *partition) { w.suspendReason = "log in" }, 1, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			log := &failingLog{Log: memlog.New(memlog.Options{}).Connect()}
			r, w := newIdleRunner(t, log, 1, Settings{StallAfter: time.Minute}, accepts(t))
			p := w.own(0, checkpoint{Low: 1})
			p.cursor = &pageCursor{partition: &partitionFeeds{}}
			w.mu.Lock()
			c.change(w, p)
			w.mu.Unlock()
			for range c.log {
				_, err := log.Append(t.Context(), eventsStream, []eventlog.Write{{Subject: "ev.web.0"}})
				require.NoError(t, err)
			}
			dog, began := newWatchdog(time.Minute), time.Now()
			look := func() { r.surveyProgress(t.Context(), dog, time.Now()) }
			look()
			log.arm(0)
			time.Sleep(30 * time.Second)
			look()
			calls, _ := log.arm(0)
			assert.Zero(t, calls, "%s: the log is searched only after a while", name)
			time.Sleep(30 * time.Second)
			look()
			want := map[partitionID]time.Time{}
			if c.stalled && c.log == 0 {
				want[partitionID{"main", 0}] = began
			}
			assert.Equal(t, want, r.survey.stalled, name)
			for range 4 {
				time.Sleep(31 * time.Second)
				look()
			}
			assert.Equal(t, c.stalled, len(r.survey.stalled) == 1, name)
			p.counts[countDelivered]++
			look()
			assert.Empty(t, r.survey.stalled, name)
			delete(w.partitions, 0)
			look()
			assert.Empty(t, dog.seen, "%s: partitions of others are forgotten", name)
		})
	}
}

// TestQuietPartitions checks when the log is searched for events that a reader overlooks: after some time without progress, if nothing is
// known to wait, and again after that time if there was none.
func TestQuietPartitions(t *testing.T) {
	at, begin := partitionID{"main", 1}, time.Unix(1000, 0)
	idle := sample{progress: progress{next: 5}}
	dog := newWatchdog(time.Minute)
	assert.False(t, dog.isQuiet(at, idle, begin), "it is new")
	for after := range 100 {
		dog.observe(at, idle, begin.Add(time.Duration(after)*time.Second))
	}
	later := begin.Add(time.Minute + 1)
	assert.False(t, dog.isQuiet(at, idle, later.Add(-1)))
	assert.True(t, dog.isQuiet(at, idle, later))
	for _, other := range []sample{{progress: progress{next: 6}}, {progress: idle.progress, outstanding: true}, {progress: idle.progress, paused: true}} {
		assert.False(t, dog.isQuiet(at, other, later), other)
	}
	assert.False(t, dog.isQuiet(partitionID{"main", 2}, idle, later))
	dog.noteNothingOverlooked(at, later)
	assert.False(t, dog.isQuiet(at, idle, later.Add(time.Minute)))
	assert.True(t, dog.isQuiet(at, idle, later.Add(time.Minute+1)))
	dog.keepOnly(map[partitionID]bool{at: true})
	assert.Len(t, dog.seen, 1)
	dog.keepOnly(nil)
	assert.Empty(t, dog.seen)
}

// TestStallsBeginAfterATime checks that the watchdog waits exactly as long as it was told, and logs a stall again if there was a reason to
// wait in between.
func TestStallsBeginAfterATime(t *testing.T) {
	dog, at, begin := newWatchdog(time.Minute), partitionID{"main", 1}, time.Unix(1000, 0)
	s := sample{progress: progress{next: 5}, outstanding: true}
	look := func(s sample, after time.Duration) (bool, bool) {
		since, news := dog.observe(at, s, begin.Add(after))
		return !since.IsZero(), news
	}
	paused := s
	paused.paused = true
	for _, c := range []struct {
		sample        sample
		after         time.Duration
		stalled, news bool
	}{
		{s, 0, false, false}, {s, time.Minute - 1, false, false}, {s, time.Minute, true, true}, {s, time.Minute, true, false}, {paused, 2 * time.Minute, false, false},
		{s, 3*time.Minute - 1, false, false}, {s, 3 * time.Minute, true, true},
	} {
		stalled, news := look(c.sample, c.after)
		assert.Equal(t, []bool{c.stalled, c.news}, []bool{stalled, news}, c.after)
	}
}

// TestEventsOfRemovedSources checks that the events which waited when a source was taken from an instance are counted until they are deleted, or the
// instance receives the source again.
func TestEventsOfRemovedSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(memlog.Options{}).Connect()
		r, w := newIdleRunner(t, log, 2, Settings{}, Instance{Plan: accepts(t).Plan, Sources: []string{"app"}})
		began := time.Now()
		for _, subject := range []string{"ev.web.0", "ev.app.0", "ev.web.0", "ev.other.0", "ev.web.0", "ev.web.1"} {
			_, err := log.Append(t.Context(), eventsStream, []eventlog.Write{{Subject: subject, Data: []byte("{}\n{}\n")}})
			require.NoError(t, err)
			time.Sleep(time.Minute)
		}
		p := w.own(0, checkpoint{Low: 2, Sources: []string{"app", "web"}})
		p.nextPage = 7 // later events of other sources are read
		cp := p.currentCheckpointLocked("me")
		assert.Equal(t, map[string]uint64{"web": 2}, cp.Removed)
		assert.Equal(t, []string{"app"}, cp.Sources)
		r.leases.recordWrite(eventlog.Write{Subject: checkpointSubject("main", 0), Data: cp.toMessage("", 0).Data}, 9)
		require.NoError(t, r.surveyRemovals(t.Context(), time.Now()))
		list := r.survey.removedFindings()
		require.Len(t, list, 1)
		assert.Equal(t, CodeSourceRemoved, list[0].Code)
		assert.Contains(t, list[0].Message, "4 events of the source web that waited are not delivered")
		assert.Contains(t, list[0].Next, "landfall replay --instance main --source web --since "+began.Add(2*time.Minute).UTC().Format(time.RFC3339))

		assert.Equal(t, map[string]uint64{"web": 2, "app": 7}, removedSources(checkpoint{Low: 7, Sources: []string{"app"}, Removed: cp.Removed}, []string{"new"}), "the first page counts")
		assert.Empty(t, removedSources(checkpoint{Low: 7, Sources: []string{"app"}, Removed: cp.Removed}, []string{"app", "web"}), "it is received again")
		assert.Empty(t, removedSources(checkpoint{Low: 7, Sources: []string{"app"}, Removed: cp.Removed}, nil), "all are received")
		require.NoError(t, log.PurgeSubjects(t.Context(), eventsStream, "ev.web.0"))
		require.NoError(t, r.surveyRemovals(t.Context(), time.Now()))
		assert.Len(t, r.survey.removedFindings(), 1, "they are counted again later")
		time.Sleep(removedInterval)
		require.NoError(t, r.surveyRemovals(t.Context(), time.Now()))
		assert.Empty(t, r.survey.removedFindings())
	})
}
