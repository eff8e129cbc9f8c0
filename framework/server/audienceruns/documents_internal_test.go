package audienceruns

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// TestRemovalsThatAreAllowed checks how many members a run may remove, after those of the last day, and what an approval allows.
func TestRemovalsThatAreAllowed(t *testing.T) {
	earlier := []removal{
		{Run: "a", At: noon.Add(-time.Hour), Exits: 5}, {Run: "old", At: noon.Add(-day), Exits: 90}, {Run: "ahead", At: noon.Add(9000 * time.Hour), Exits: 90}, // of a wrong clock
	}
	for name, c := range map[string]struct {
		doc            document
		exits, members int
		more           int // that count from now on
		waits          bool
	}{
		"none":                            {document{}, 0, 0, 0, false},
		"the limit":                       {document{}, 10, 100, 10, false},
		"over the limit":                  {document{}, 11, 100, 0, true},
		"the limit with earlier ones":     {document{Removals: earlier}, 5, 95, 5, false},
		"over it with earlier ones":       {document{Removals: earlier}, 6, 95, 0, true},
		"completes an earlier run":        {document{Removals: earlier, Repeats: "a"}, 5, 95, 0, false},
		"completes it and removes others": {document{Removals: earlier, Repeats: "a"}, 7, 95, 2, false},
		"approved":                        {document{Approved: &approval{"ana", 50}}, 50, 100, 50, false},
		"more than was approved":          {document{Approved: &approval{"ana", 50}}, 51, 100, 0, true},
		"everybody":                       {document{}, 1, 1, 0, true},
	} {
		more, err := c.doc.checkRemovals(noon, c.exits, c.members, 10)
		var guard *GuardError
		assert.Equal(t, c.waits, errors.As(err, &guard), name)
		assert.Equal(t, c.more, more, name)
	}
	doc := document{Removals: earlier}
	doc.addRemoval(noon, "b", 3)
	assert.Equal(t, []removal{earlier[0], {"b", noon, 3}}, doc.Removals, "those of more than a day ago are forgotten")
	assert.Len(t, earlier, 3)
	assert.Equal(t, "1 of 2 members would be removed, more than 10 %: nothing was sent; the run waits for an approval", (&GuardError{Exits: 1, Members: 2, MaxRemove: 10}).Error())
}

// TestEndsOfRuns checks what each outcome leaves for the next run.
func TestEndsOfRuns(t *testing.T) {
	report := func(failed int) *audiencesync.Report {
		return &audiencesync.Report{Failed: failed, Exits: 7, Members: 9}
	}
	for name, c := range map[string]struct {
		err      error
		stopping bool
		failed   int
		want     Outcome
		says     string
		after    func(*document)
	}{
		"well":      {nil, false, 0, OK, "", func(*document) {}},
		"a failure": {errors.New("no such table"), false, 0, Failed, "no such table", func(d *document) { d.Repeats = "first" }},
		"refused":   {nil, false, 2, Failed, "2 changes failed for now", func(d *document) { d.Repeats = "first" }},
		"waits":     {&GuardError{Exits: 7, Members: 9}, false, 0, Waiting, "waits for an approval", func(d *document) { d.Repeats, d.Waiting = "first", &waiting{"r", noon, 7, 9} }},
		"stopped":   {errors.New("canceled"), true, 0, Interrupted, "the run is repeated", func(d *document) { d.Repeats, d.Requested, d.Approved = "first", byInterrupted, &approval{"ana", 1} }},
	} {
		run := &Run{ID: "r", At: noon, Report: report(c.failed)}
		run.setOutcome(c.err, c.stopping)
		assert.Equal(t, c.want, run.Outcome, name)
		assert.Contains(t, run.Error, c.says, name)
		d := document{Holder: "me", Run: run, Repeats: "first", Approved: &approval{"ana", 1}, Waiting: &waiting{Run: "before"}}
		d.end(run, &reading{full: true})
		want := document{Last: run}
		c.after(&want)
		assert.Equal(t, want, d, name)
	}
	run := &Run{Report: report(0)}
	run.setOutcome(errors.New(strings.Repeat("x", 5000)), false)
	assert.Less(t, len(run.Error), 1100)
	assert.Nil(t, interruptedRun(nil, noon))
	ended := interruptedRun(&Run{At: noon.Add(-time.Minute)}, noon)
	assert.Equal(t, []any{Interrupted, 60.0, "the server stopped; the run is repeated"}, []any{ended.Outcome, ended.Seconds, ended.Error})
	assert.Equal(t, "the command was ended", interruptedRun(&Run{Command: true}, noon).Error)
}

// TestCommandsThatTakeALease checks what a command leaves of a run that died, and of a sync that has not run.
func TestCommandsThatTakeALease(t *testing.T) {
	command := &Run{ID: "c", At: noon, Command: true}
	d := document{Beat: 3, Slot: noon.Add(-time.Hour), Run: &Run{ID: "dead"}, Read: &progress{}}
	d.takeForCommand("me", command)
	assert.Equal(t, document{Holder: "me", Beat: 4, Slot: noon.Add(-time.Hour), Run: command, Repeats: "dead", Requested: byInterrupted}, d)
	d = document{Run: &Run{ID: "dead", Command: true}, Requested: "ana"}
	d.takeForCommand("me", command)
	assert.Equal(t, document{Holder: "me", Beat: 1, Slot: noon, Run: command, Requested: "ana"}, d, "a command is not repeated")
}

// lossyDocuments has one document. It loses the answer to a write on demand.
type lossyDocuments struct {
	text  string
	loses bool
}

func (d *lossyDocuments) Get(context.Context, string) (string, bool, error) { return d.text, true, nil }

func (d *lossyDocuments) Swap(_ context.Context, _, old, value string) (bool, error) {
	if old != d.text {
		return false, nil
	}
	d.text = value
	if d.loses {
		d.loses = false
		return false, context.DeadlineExceeded
	}
	return true, nil
}

// TestWritesWhoseAnswerIsLost checks that a run keeps its lease if a renewal was stored although it seemed to fail, and that a holder who still renews
// its lease keeps it.
func TestWritesWhoseAnswerIsLost(t *testing.T) {
	ctx, beat, take := t.Context(), func(d *document) { d.Beat++ }, func(d *document) { d.takeForCommand("another", &Run{ID: "b"}) }
	d := &lossyDocuments{text: `{"holder":"me","beat":3,"run":{"id":"a"}}`}
	leaseOf := func() *lease {
		l := &lease{ledger: d}
		var err error
		l.doc, l.text, err = readDocument(ctx, d, "")
		require.NoError(t, err)
		return l
	}
	mine, other := leaseOf(), leaseOf()
	for range 2 {
		d.loses = true
		require.ErrorIs(t, mine.update(ctx, beat), context.DeadlineExceeded)
	}
	require.NoError(t, mine.update(ctx, beat))
	assert.EqualValues(t, 6, mine.doc.Beat)
	require.ErrorIs(t, other.update(ctx, take), errLeaseLost, "it was seen before")
	require.NoError(t, mine.update(ctx, beat))
	d.loses = true
	require.Error(t, mine.update(ctx, beat))
	require.NoError(t, mine.update(ctx, func(d *document) { d.end(&Run{ID: "a", Outcome: Failed}, &reading{}) }))
	assert.Empty(t, leaseOf().doc.Holder)
	assert.Equal(t, "a", leaseOf().doc.Last.ID)

	require.NoError(t, leaseOf().update(ctx, take))
	require.ErrorIs(t, mine.update(ctx, beat), errLeaseLost)
}

// TestSightings checks when a lease is abandoned: it has to be seen without a change for its length.
func TestSightings(t *testing.T) {
	var known sighting
	d := &document{Holder: "a", Beat: 1}
	assert.False(t, known.isAbandoned(d, noon, time.Minute))
	assert.False(t, known.isAbandoned(d, noon.Add(59*time.Second), time.Minute))
	assert.True(t, known.isAbandoned(d, noon.Add(time.Minute), time.Minute))
	d.Beat++
	assert.False(t, known.isAbandoned(d, noon.Add(time.Hour), time.Minute), "it is alive")
	d.Holder = "b"
	assert.False(t, known.isAbandoned(d, noon.Add(3*time.Hour), time.Minute), "another process has it")
}

// TestWhatRunsRead checks when an incremental run reads the whole result.
func TestWhatRunsRead(t *testing.T) {
	sync := &config.AudienceSync{URL: "sqlite:shop.db", Query: "SELECT 1", Mode: "mirror"}
	assert.True(t, readingOf(sync, &document{}, noon).full)
	assert.Nil(t, readingOf(sync, &document{}, noon).changes)
	sync.Incremental = &config.Incremental{Column: "at", Full: 24 * time.Hour, Overlap: time.Minute}
	read := &progress{Until: noon.Add(-time.Hour + 500*time.Millisecond), Full: noon.Add(-2 * time.Hour), Source: sourceOf(sync)}
	r := readingOf(sync, &document{Read: read}, noon)
	assert.False(t, r.full)
	assert.Equal(t, noon.Add(-time.Hour-time.Minute), r.changes.Since, "with the overlap, in whole seconds")
	assert.Equal(t, audiencesync.Add, r.mode(sync), "users who are not in a part of the result stay")
	for name, change := range map[string]func(*progress){
		"another query":      func(p *progress) { p.Source = "other" },
		"it is due":          func(p *progress) { p.Full = noon.Add(-24 * time.Hour) },
		"the clock was back": func(p *progress) { p.Full = noon.Add(time.Second) },
	} {
		other := *read
		change(&other)
		r := readingOf(sync, &document{Read: &other}, noon)
		assert.True(t, r.full, name)
		assert.Equal(t, audiencesync.Mirror, r.mode(sync), name)
	}
	ran := &audiencesync.Report{Rows: 2, Unusable: 1}
	d := document{Read: read}
	r.clock = noon
	r.advance(&d, noon, ran)
	assert.Equal(t, &progress{Until: noon, Full: read.Full, Source: read.Source}, d.Read)
	unusable := document{Read: read}
	r.advance(&unusable, noon, &audiencesync.Report{Rows: 2, Unusable: 2})
	assert.Equal(t, read, unusable.Read, "the next run reads the same rows again")
	require.Len(t, r.warnings(sync, &audiencesync.Report{Rows: 2, Unusable: 2}), 1)
	assert.Empty(t, r.warnings(sync, ran))
	r.clock = read.Until.Add(-time.Second)
	r.advance(&d, noon, ran)
	assert.Nil(t, d.Read, "the clock of the database was set back")
	r.advance(&d, noon, ran)
	assert.Equal(t, noon, d.Read.Full)
}

// TestDamagedCopies checks that a copy of a result that is damaged is an error, and not the end of the result.
func TestDamagedCopies(t *testing.T) {
	for name, text := range map[string]string{
		"no length": "\x00", "a short text": "\x00\x05ab", "a long length": "\x00\x7fab", "no problem": string([]byte{recordProblem}), "no property": "\x00\x01a\x00",
		"a property without an end": "\x00\x01a\x00\x05{", "a property that is no JSON": "\x00\x01a\x00\x01{",
	} {
		table := &sharedTable{
			sharedResult: &sharedResult{size: int64(len(text)), used: []int{0}, typed: []int{1}}, input: bufio.NewReader(strings.NewReader(text)), record: make([]string, 2),
		}
		_, err := table.Next()
		require.Error(t, err, name)
		assert.NotErrorIs(t, err, io.EOF, name)
		var row *audiencesync.RowError
		assert.False(t, errors.As(err, &row), name)
	}
}
