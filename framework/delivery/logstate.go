package delivery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/landfall-dev/landfall/framework/delivery/internal/logfiles"
)

// logSubject is where the state of the log is kept, among the checkpoints. Programs of earlier versions take it for a process that
// has left.
const logSubject = "proc.log.state"

// Bounds of what is remembered about losses.
const (
	maxLost     = 100     // ranges
	maxFiles    = 100     // damaged files
	maxDeleted  = 1 << 18 // pages whose numbers are listed; more count as one range
	leaderGrace = 10 * time.Second
	olderMemory = 5 * time.Minute // an earlier version trims every minute
)

// logState is what is known about the log apart from itself, so that a loss is noticed.
type logState struct {
	Created int64  `json:"created"` // when the stream was created, in nanoseconds since 1970: it identifies the log
	Trimmed uint64 `json:"trimmed"` // pages up to this one were deleted in the ordinary course
	High    uint64 `json:"high"`    // the last page that was seen
	// Orphaned says that there were events and no checkpoints at all: where to begin is unknown until somebody says so.
	Orphaned bool `json:"orphaned,omitempty"`
	// Hold is until when nothing may be trimmed, in seconds since 1970: a backup is being taken.
	Hold    int64         `json:"hold,omitempty"`
	Lost    []LostRange   `json:"lost,omitempty"`
	Damaged []DamagedFile `json:"damaged,omitempty"`
}

// LostRange is a range of pages of the log that were written and are gone without having been trimmed.
type LostRange struct {
	First    uint64    `json:"first"`
	Last     uint64    `json:"last"`
	Found    time.Time `json:"found"`
	Accepted bool      `json:"accepted,omitempty"` // an operator knows of it
}

// Pages is how many pages the range has.
func (r LostRange) Pages() uint64 { return r.Last - r.First + 1 }

// DamagedFile is a file of the queue in which damaged records were found.
type DamagedFile struct {
	logfiles.Finding
	Found time.Time `json:"found"`
}

// logView is the log as this process saw it last. It contains everything that was acknowledged before it was asked for, and can
// say nothing against what became known later.
type logView struct {
	created     int64
	first, last uint64
	recorded    bool      // whoever opened it last writes down what it trims
	asked       time.Time // when the request for it was made
}

// logWatch compares the log with what is known about it.
type logWatch struct {
	queue *Queue

	checking sync.Mutex // one check at a time
	mu       sync.Mutex // guards what follows
	view     logView
	state    logState
	revision uint64
	short    time.Time            // since when the log has been shorter than it was
	told     map[uint64]bool      // the first pages of lost ranges that were logged
	bad      map[string]badState  // checkpoints that do not fit the log, by subject
	doubted  map[string]time.Time // since when checkpoints have been beyond the log's end, by subject
	trimmed  uint64               // pages up to this one were trimmed by this process
	opened   bool                 // an earlier version had opened the log, which does not write down what it trims
	older    time.Time            // when a process of an earlier version was last seen at work
	found    []logfiles.Finding   // in the files, to be written down
}

func newLogWatch(q *Queue) *logWatch {
	return &logWatch{queue: q, told: map[uint64]bool{}, bad: map[string]badState{}, doubted: map[string]time.Time{}}
}

// check looks at the log, and writes down and logs what is missing.
func (l *logWatch) check(ctx context.Context) error {
	l.checking.Lock()
	defer l.checking.Unlock()
	for try := 0; ; try++ {
		err := l.compare(ctx)
		if err == nil {
			break
		}
		if !isConflict(err) {
			return err
		}
		if try == 5 {
			return nil // other processes look, too
		}
	}
	l.mu.Lock()
	found := l.found
	l.mu.Unlock()
	if len(found) == 0 {
		return nil
	}
	err := l.recordFilesLocked(ctx, found)
	if err == nil {
		l.mu.Lock()
		l.found = l.found[len(found):]
		l.mu.Unlock()
	}
	return err
}

// compare looks at the log and writes down what has changed. Another process may come between.
//
// The state is read before the log: the log grows meanwhile, and must not be taken for shorter than it is known to be. A page that
// another process trims in between is not taken for lost, since that process writes the state first, so the write here is refused.
func (l *logWatch) compare(ctx context.Context) error {
	state, revision, err := l.load(ctx)
	if err != nil {
		return err
	}
	view, deleted, err := l.look(ctx)
	if err != nil {
		return err
	}
	if revision == 0 {
		books, err := l.queue.streams[booksStream].Info(ctx)
		if err != nil {
			return err
		}
		state = logState{Created: view.created, Trimmed: max(view.first, 1) - 1, High: view.last, Orphaned: books.State.LastSeq == 0 && view.last > 0}
	}
	was := state
	l.mu.Lock()
	state.Trimmed = max(state.Trimmed, l.trimmed)
	l.mu.Unlock()
	short := l.note(state, view)
	next := state.after(view, deleted, short, view.first > state.Trimmed+1 && (!view.recorded || l.hasOlderVersions(ctx)))
	if revision == 0 || !next.equal(was) {
		if revision, err = l.write(ctx, next, revision); err != nil {
			return err
		}
	}
	l.mu.Lock()
	l.state, l.revision, l.opened = next, revision, false
	l.mu.Unlock()
	l.tell(next)
	return nil
}

// look asks for the log's bounds, and which pages between them are gone.
func (l *logWatch) look(ctx context.Context) (logView, []LostRange, error) {
	stream, asked := l.queue.streams[eventsStream], time.Now()
	info, err := stream.Info(ctx)
	if err != nil {
		return logView{}, nil, err
	}
	s := info.State
	view := logView{created: info.Created.UnixNano(), first: s.FirstSeq, last: s.LastSeq, asked: asked}
	_, view.recorded = info.Config.Metadata[recordsKey]
	if s.NumDeleted == 0 {
		return view, nil, nil
	}
	if s.NumDeleted > maxDeleted {
		return view, []LostRange{{First: s.FirstSeq, Last: s.LastSeq}}, nil
	}
	if info, err = stream.Info(ctx, jetstream.WithDeletedDetails(true)); err != nil {
		return logView{}, nil, err
	}
	return view, rangesOf(info.State.Deleted), nil
}

// rangesOf gathers sequences in ranges.
func rangesOf(seqs []uint64) (list []LostRange) {
	slices.Sort(seqs)
	for _, seq := range seqs {
		if n := len(list); n > 0 && list[n-1].Last+1 == seq {
			list[n-1].Last = seq
			continue
		}
		list = append(list, LostRange{First: seq, Last: seq})
	}
	return list
}

// note keeps a view of the log and reports whether the log has lost its end. In a cluster, a leader that has just come or is about
// to go may not know the end: it has some time.
func (l *logWatch) note(s logState, v logView) (short bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.view = v
	if v.last >= s.High {
		l.short = time.Time{}
		return false
	}
	if l.short.IsZero() {
		l.short = time.Now()
	}
	return l.queue.isEmbedded() || time.Since(l.short) > leaderGrace
}

// after is the state with what a look at the log has shown. Older says that a process of an earlier version is at work, which
// does not write down what it trims.
func (s logState) after(v logView, deleted []LostRange, short, older bool) logState {
	s.Lost = slices.DeleteFunc(slices.Clone(s.Lost), func(r LostRange) bool { return r.Accepted && r.Last < v.first })
	now := time.Now().UTC().Truncate(time.Second)
	if v.first > s.Trimmed+1 && v.last > 0 {
		if !older {
			s.lose(s.Trimmed+1, v.first-1, now)
		}
		s.Trimmed = v.first - 1
	}
	for _, r := range deleted {
		s.lose(r.First, r.Last, now)
	}
	switch {
	case short:
		s.lose(v.last+1, s.High, now)
		s.High = v.last
		s.Trimmed = min(s.Trimmed, v.last)
	case v.last > s.High:
		s.High = v.last
	}
	if v.last >= s.High {
		s.Created = v.created
	}
	return s
}

// lose adds a range to the lost ones, as far as it is not among them.
func (s *logState) lose(first, last uint64, now time.Time) {
	var found []LostRange
	for _, r := range s.Lost { // they are in order and do not overlap
		if r.Last < first || first > last {
			continue
		}
		if end := min(last, r.First-1); first <= end {
			found = append(found, LostRange{First: first, Last: end, Found: now})
		}
		first = max(first, r.Last+1)
	}
	if first <= last {
		found = append(found, LostRange{First: first, Last: last, Found: now})
	}
	s.Lost = append(slices.Clone(s.Lost), found...)
	slices.SortFunc(s.Lost, func(a, b LostRange) int { return cmp.Compare(a.First, b.First) })
	for len(s.Lost) > maxLost { // beyond the bound, the last ones are remembered as one
		n := len(s.Lost)
		s.Lost[n-2].Last, s.Lost[n-2].Accepted = s.Lost[n-1].Last, s.Lost[n-2].Accepted && s.Lost[n-1].Accepted
		s.Lost = s.Lost[:n-1]
	}
}

func (s logState) equal(t logState) bool {
	return s.Created == t.Created && s.Trimmed == t.Trimmed && s.High == t.High && s.Orphaned == t.Orphaned && s.Hold == t.Hold &&
		slices.Equal(s.Lost, t.Lost) && len(s.Damaged) == len(t.Damaged)
}

// load reads the state of the log; the revision is 0 if there is none yet.
func (l *logWatch) load(ctx context.Context) (s logState, revision uint64, err error) {
	m, err := l.queue.streams[booksStream].GetLastMsgForSubject(ctx, logSubject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return logState{}, 0, nil
	}
	if err != nil {
		return logState{}, 0, err
	}
	if err := json.Unmarshal(m.Data, &s); err != nil {
		return logState{}, 0, err
	}
	return s, m.Sequence, nil
}

func (l *logWatch) write(ctx context.Context, s logState, revision uint64) (uint64, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return 0, err
	}
	ack, err := l.queue.publish(ctx, booksStream, &nats.Msg{Subject: logSubject, Data: data, Header: nats.Header{
		"Nats-Expected-Last-Subject-Sequence": {strconv.FormatUint(revision, 10)},
	}})
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// change writes down a change of the state, again if another process comes between.
func (l *logWatch) change(ctx context.Context, f func(*logState)) error {
	l.checking.Lock()
	defer l.checking.Unlock()
	return l.changeLocked(ctx, f)
}

// changeLocked is change with the mutex of checks held.
func (l *logWatch) changeLocked(ctx context.Context, f func(*logState)) error {
	for try := 0; ; try++ {
		s, revision, err := l.load(ctx)
		if err != nil {
			return err
		}
		f(&s)
		revision, err = l.write(ctx, s, revision)
		if err == nil {
			l.mu.Lock()
			l.state, l.revision = s, revision
			l.mu.Unlock()
			return nil
		}
		if try == 5 || !isConflict(err) {
			return err
		}
	}
}

// recordFilesLocked writes down damaged files that were found. The mutex of checks is held.
func (l *logWatch) recordFilesLocked(ctx context.Context, findings []logfiles.Finding) error {
	findings = slices.DeleteFunc(slices.Clone(findings), func(f logfiles.Finding) bool { return f.Torn })
	if len(findings) == 0 {
		return nil
	}
	return l.changeLocked(ctx, func(s *logState) {
		for _, f := range findings {
			s.Damaged = append(s.Damaged, DamagedFile{Finding: f, Found: time.Now().UTC().Truncate(time.Second)})
		}
		s.Damaged = s.Damaged[max(0, len(s.Damaged)-maxFiles):]
	})
}

// tell logs lost ranges that have not been logged by this process.
func (l *logWatch) tell(s logState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range s.Lost {
		if r.Accepted || l.told[r.First] {
			continue
		}
		l.told[r.First] = true
		l.queue.config.Log.Error("pages of the log are lost: the events on them cannot be delivered or replayed; landfall doctor says more",
			"first", r.First, "last", r.Last, "pages", r.Pages(), "found", r.Found)
	}
}

// hasOlderVersions reports whether an earlier version has worked on the log lately, or before this process opened it.
func (l *logWatch) hasOlderVersions(ctx context.Context) bool {
	l.mu.Lock()
	opened := l.opened
	l.mu.Unlock()
	if opened || l.queue.isEmbedded() {
		return opened
	}
	err := l.queue.eachCheckpoint(ctx, func(c storedCheckpoint) error {
		l.meet(c.book)
		return nil
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	return err != nil || !l.older.IsZero() && time.Since(l.older) < olderMemory
}

// meet notes a checkpoint's owner if it is a process of an earlier version.
func (l *logWatch) meet(b book) {
	if b.Owner != "" && b.Log == 0 {
		l.mu.Lock()
		l.older = time.Now()
		l.mu.Unlock()
	}
}

// purgeEvents deletes the pages before one, which every instance has finished.
func (q *Queue) purgeEvents(ctx context.Context, to uint64) error {
	held := false
	err := q.log.change(ctx, func(s *logState) {
		if held = time.Now().Unix() < s.Hold; !held {
			s.Trimmed = max(s.Trimmed, to-1)
		}
	})
	if held {
		return nil
	}
	if err != nil && !q.isEmbedded() {
		return err // other processes would take these pages for lost
	}
	q.log.mu.Lock()
	q.log.trimmed = max(q.log.trimmed, to-1)
	q.log.mu.Unlock()
	if err != nil {
		q.config.Log.Debug("writing down what is trimmed, which is done later", "error", err) // as on a full disk, which this helps
	}
	return q.streams[eventsStream].Purge(ctx, jetstream.WithPurgeSequence(to))
}

// close writes down where the log ends.
func (l *logWatch) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := l.check(ctx); err != nil {
		l.queue.config.Log.Debug("checking the log", "error", err)
	}
}
