package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/state"
)

// newTestRecorder returns a Recorder that does nothing by itself, and its log.
func newTestRecorder(t *testing.T) (*Recorder, *bytes.Buffer) {
	t.Helper()
	store, err := state.Open(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	log := &bytes.Buffer{}
	return newRecorder(Config{Store: store, Log: slog.New(slog.NewTextHandler(log, nil))}), log
}

// TestEntriesOfOtherVersions checks that an entry which this version cannot read hides none of the others, and that an erasure deletes it if it
// names the user.
func TestEntriesOfOtherVersions(t *testing.T) {
	r, _ := newTestRecorder(t)
	kinds := []string{kindRoutine, kindVerdict, kindRejected, kindAction, kindConfig, kindCounts, kindSizes}
	now := time.Now()
	for _, data := range []string{`"of gone-1"`, `"of others"`} {
		for _, kind := range kinds {
			require.NoError(t, r.Store.AppendJournal(t.Context(), []state.JournalEntry{{Kind: kind, At: now, Data: data, Low: 7, High: 7}}))
		}
	}
	r.AddVerdict(delivery.VerdictRecord{At: now, Instance: "main", Outcome: "dead", Seq: 7})
	r.AddRejection("web", event.MustParse(`{"userId":"u1"}`), "no type")
	r.AddAudit(access.Entry{Action: "cohort.purge", Outcome: "ok"})
	r.addEntry(kindSizes, now, Sizes{"main": {"vip": 3}})
	r.addEntry(kindCounts, now, Counts{Instances: Outcomes{"main": {"delivered": 2}}})
	r.Flush(t.Context())
	require.NoError(t, AddConfigChange(t.Context(), r.Store, ConfigChange{At: now, Text: "a: 1\n"}))
	check := func() {
		t.Helper()
		verdicts, err := Verdicts(t.Context(), r.Store, []Position{{Seq: 7}})
		require.NoError(t, err)
		assert.Len(t, verdicts[Position{Seq: 7}], 1)
		list, complete, err := Find(t.Context(), r.Store, VerdictFilter{Limit: 10})
		require.NoError(t, err)
		assert.True(t, complete)
		assert.Len(t, list, 1)
		n := 0
		require.NoError(t, Rejections(t.Context(), r.Store, func(Rejection) bool { n++; return true }))
		assert.Equal(t, 1, n)
		actions, err := Actions(t.Context(), r.Store, time.Time{}, 10)
		require.NoError(t, err)
		assert.Len(t, actions, 1)
		configs, err := ConfigChanges(t.Context(), r.Store, 0)
		require.NoError(t, err)
		assert.Len(t, configs, 1)
		sizes, err := r.SizesSince(t.Context(), "main", "", now.Add(-time.Hour))
		require.NoError(t, err)
		assert.Len(t, sizes["vip"], 1)
		counts, err := r.CountsSince(t.Context(), now.Add(-time.Hour))
		require.NoError(t, err)
		assert.Len(t, counts, 1)
	}
	check()
	named := func(text string) bool { return strings.Contains(text, "gone-1") }
	changed, err := Erase(t.Context(), r.Store, Erasure{Match: func(event.Value) bool { return false }, HasUser: named, Names: named})
	require.NoError(t, err)
	assert.Equal(t, 5, changed, "not of the counts and sizes, which have no users")
	check()
}

// TestStateThatIsDown checks that what cannot be written or trimmed is logged, and that what cannot be read is an error rather than nothing.
func TestStateThatIsDown(t *testing.T) {
	r, log := newTestRecorder(t)
	r.LedgerRetention = time.Hour
	r.Sizes = func(context.Context) (Sizes, error) { return nil, errors.New("no sizes") }
	require.NoError(t, r.Store.Close())
	for text, do := range map[string]func(){
		"it cannot be written":                   func() { r.AddAudit(access.Entry{Action: "x", Outcome: "ok"}); r.Flush(t.Context()) },
		"cannot trim the history\"":              func() { r.trim(t.Context()) },
		"cannot trim the history of the ledgers": func() { r.trimLedgers(t.Context()) },
	} {
		log.Reset()
		do()
		assert.Contains(t, log.String(), text)
	}
	log.Reset()
	r.trim(t.Context())
	r.trimLedgers(t.Context())
	assert.Empty(t, log.String(), "it is tried again later only")
	r.recordSizes(t.Context())
	assert.Empty(t, r.entries)
	for name, read := range map[string]func() error{
		"verdicts":   func() error { _, err := Verdicts(t.Context(), r.Store, []Position{{Seq: 1}}); return err },
		"find":       func() error { _, _, err := Find(t.Context(), r.Store, VerdictFilter{Limit: 1}); return err },
		"rejections": func() error { return Rejections(t.Context(), r.Store, func(Rejection) bool { return true }) },
		"actions":    func() error { _, err := Actions(t.Context(), r.Store, time.Time{}, 1); return err },
		"configs":    func() error { _, err := ConfigChanges(t.Context(), r.Store, 0); return err },
		"a change":   func() error { return AddConfigChange(t.Context(), r.Store, ConfigChange{Text: "a"}) },
		"a config":   func() error { return AddConfig(t.Context(), r.Store, "v1", time.Now()) },
		"an action":  func() error { return AddAction(t.Context(), r.Store, Action{}) },
		"sizes":      func() error { _, err := r.SizesSince(t.Context(), "main", "", time.Now()); return err },
		"counts":     func() error { _, err := r.CountsSince(t.Context(), time.Now()); return err },
		"old counts": func() error { _, err := r.CountsSince(t.Context(), time.Now().Add(-100*time.Hour)); return err },
		"erase": func() error {
			_, err := Erase(t.Context(), r.Store, Erasure{})
			return err
		},
	} {
		assert.Error(t, read(), name)
	}
	found, err := Verdicts(t.Context(), r.Store, nil)
	require.NoError(t, err, "nothing was asked for")
	assert.Empty(t, found)
}

// TestMoreThanCanBeKept checks that what does not fit until the next write is counted, and that the next write starts at zero.
func TestMoreThanCanBeKept(t *testing.T) {
	r, log := newTestRecorder(t)
	for range maxPending {
		r.AddVerdict(delivery.VerdictRecord{At: time.Now(), Instance: "main", Outcome: "delivered", Seq: 1})
	}
	for range maxRejections {
		r.AddRejection("web", event.MustParse(`{"userId":"u1"}`), "no type")
	}
	r.Flush(t.Context())
	assert.Empty(t, log.String())
	for range maxPending + 2 {
		r.AddVerdict(delivery.VerdictRecord{At: time.Now(), Instance: "main", Outcome: "delivered", Seq: 1})
	}
	for range maxRejections + 3 {
		r.AddRejection("web", event.MustParse(`{"userId":"u1"}`), "no type")
	}
	r.Flush(t.Context())
	assert.Contains(t, log.String(), "left_out=5")
	log.Reset()
	r.addEntry("odd", time.Now(), func() {})
	assert.Contains(t, log.String(), "cannot write to the history")
	log.Reset()
	r.Flush(t.Context())
	assert.Empty(t, log.String())
}

// TestLimitsOfSizes checks how many audiences have their sizes kept.
func TestLimitsOfSizes(t *testing.T) {
	r, _ := newTestRecorder(t)
	audiences := map[string]int{}
	for i := range maxAudiences + 1 {
		audiences[fmt.Sprint(i)] = 1
	}
	r.Sizes = func(context.Context) (Sizes, error) { return Sizes{"main": audiences, "other": {"x": 1}}, nil }
	r.recordSizes(t.Context())
	r.Flush(t.Context())
	kept := 0
	for _, instance := range []string{"main", "other"} {
		points, err := r.SizesSince(t.Context(), instance, "", time.Now().Add(-time.Hour))
		require.NoError(t, err)
		kept += len(points)
	}
	assert.Equal(t, maxAudiences, kept)
}

// TestSizesOfLongAgo checks that the sizes of a long time are those of the coarse slots, and those of a short time those of the fine ones.
func TestSizesOfLongAgo(t *testing.T) {
	r, _ := newTestRecorder(t)
	fine, coarse := sizeResolutions()[0], sizeResolutions()[1]
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	now, members := start, 0
	r.Now = func() time.Time { return now }
	r.Sizes = func(context.Context) (Sizes, error) { members++; return Sizes{"main": {"vip": members}}, nil }
	ticks := int(2 * coarse.span / fine.span)
	for range ticks {
		r.tick(t.Context())
		now = now.Add(fine.span)
	}
	for since, want := range map[time.Time]int{start.Add(-time.Second): ticks, now.Add(-finestSpan - time.Second): 2} {
		points, err := r.SizesSince(t.Context(), "main", "vip", since)
		require.NoError(t, err)
		assert.Len(t, points["vip"], want)
	}
}

// TestCountsThatAreNotWrittenYet checks that a slot which has ended counts before it is written, and that each event counts once in a long time.
func TestCountsThatAreNotWrittenYet(t *testing.T) {
	r, _ := newTestRecorder(t)
	now, total := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC), int64(0)
	r.Now = func() time.Time { return now }
	r.Counts = func() Counts { return Counts{Instances: Outcomes{"main": {"delivered": total}}} }
	for range 45 {
		total++
		r.pollCounts(false)
		now = now.Add(time.Minute)
	}
	for _, long := range []time.Duration{time.Hour, 48 * time.Hour} {
		slots, err := r.CountsSince(t.Context(), now.Add(-long))
		require.NoError(t, err)
		sum := int64(0)
		for _, s := range slots {
			sum += s.Instances["main"]["delivered"]
		}
		assert.Equal(t, total, sum, long)
	}
}

// TestWhoDidIt checks how people are named.
func TestWhoDidIt(t *testing.T) {
	assert.Equal(t, "ana", (&Action{Who: "ana"}).By())
	assert.Equal(t, "ana from 10.0.0.1", (&Action{Who: "ana", From: "10.0.0.1"}).By())
	assert.Equal(t, "ana from 10.0.0.1", ConfigChange{Who: "ana", From: "10.0.0.1"}.By())
	assert.Contains(t, CommandActor("landfall sync"), "landfall sync")
}
