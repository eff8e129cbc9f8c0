package destination

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// MemberChange is what one event says: that a user enters or leaves an audience.
type MemberChange struct {
	Audience Audience
	Identity Identity
	Member   bool      // the user is a member from now on
	At       time.Time // of the event

	text  string // Identity as in the ledger
	index int    // of the payload
}

// AudienceSync is what SyncAudience has to know of a remote that keeps audiences.
type AudienceSync struct {
	// Read returns what payload i says. Its error is the result of the payload; the others are sent.
	Read func(i int) (MemberChange, error)
	// Create creates an audience at the remote, or renames it. first is the index of its first payload in the batch. It is called
	// before members are sent, unless members were sent under the same name before. Because a response may be lost, it must be
	// harmless if the audience exists. nil if nothing has to be created.
	Create func(ctx context.Context, audience Audience, first int) error
	// Change adds and removes members of an audience in one request. No identity occurs twice unless SendRepeats is set. It must be harmless if members have
	// been added or removed before. An *ItemErrors tells the members apart; if a request is refused for another reason that Divisible
	// accepts, it is divided.
	Change func(ctx context.Context, audience Audience, changes []*MemberChange) error
	// Divisible reports whether a refusal may concern some of the members only. nil stands for status 400.
	Divisible func(err *fault.Error) bool
	// MaxMembers is the maximum number of changes in a request; 0 means no limit.
	MaxMembers int
	// OneWay says that a request either adds or removes: the additions of all audiences are sent before the removals.
	OneWay bool
	// SendRepeats sends several changes of an identity in one batch that lead to the newest, because each may say more about the user: those
	// that agree with it and, with OneWay, additions before a removal; without OneWay all that are not older than one before them, because the
	// remote makes the changes of a request in order. Change may then get an identity more than once.
	SendRepeats bool
	// SendUnchanged sends changes even if the ledger says that the remote has them already.
	SendUnchanged bool
	// StatePrefix is the beginning of the keys of State at which the names of created audiences are stored, followed by the id;
	// "audience/" by default.
	StatePrefix string
}

// SyncAudience performs a batch of an action that changes the members of audiences. Of the events of an identity the newest counts; of
// two with the same time, the one that arrived later. The ledger ensures this across batches: an event that is older than what was sent
// or may have been sent is skipped, and so is one that changes nothing. Identities are marked as uncertain before a request and recorded
// after it, so that a change whose response was lost is sent again. Why events were not delivered is stored in the ledger, too.
//
// Audiences are sent one after the other, and batches of one audience never at the same time. If one audience fails, the others are sent.
func SyncAudience[S, P any](ctx context.Context, call BatchCall[S, P], s AudienceSync) *MultiStatus {
	s.SendUnchanged = s.SendUnchanged || call.Resend
	ms := NewMultiStatus(len(call.Payloads))
	audiences := readAudiences(len(call.Payloads), s, call.Deps, ms)
	for _, b := range inSendingOrder(audiences) {
		if err := b.send(ctx); err != nil {
			b.failRest(err)
		}
	}
	for _, b := range audiences {
		b.annotateUndelivered(ctx)
	}
	return ms
}

// inSendingOrder returns the newest changes of each audience, as they are sent: together, or first the additions of all audiences if a
// request has one direction. The others are skipped.
func inSendingOrder(audiences []*audienceBatch) []*audienceBatch {
	var first, second []*audienceBatch
	for _, b := range audiences {
		kept := *b
		if kept.changes = b.newestChanges(); !b.OneWay {
			first = append(first, &kept)
			continue
		}
		added, removed := kept, kept
		added.changes, removed.changes = nil, nil
		for _, c := range kept.changes {
			if c.Member {
				added.changes = append(added.changes, c)
			} else {
				removed.changes = append(removed.changes, c)
			}
		}
		if len(added.changes) > 0 {
			first = append(first, &added)
		}
		if len(removed.changes) > 0 {
			second = append(second, &removed)
		}
	}
	byIndex := func(a, b *audienceBatch) int { return a.changes[0].index - b.changes[0].index }
	slices.SortStableFunc(second, byIndex)
	if len(second) > 0 {
		slices.SortStableFunc(first, byIndex)
	}
	return append(first, second...)
}

// ReadMembership returns whether properties say that the user is a member: true or false at key. If they have nothing there, fromEvent
// decides. field is the label of properties for the error.
func ReadMembership(field string, properties event.Value, key string, fromEvent func() Membership) (member bool, err error) {
	value := properties.Get(key)
	m := BoolMembership(value)
	if !value.Exists() {
		m = fromEvent()
	}
	if m == Unknown {
		return false, fault.Invalid("%s should have true or false at %q but has %s", field, key, value.Kind().WithArticle())
	}
	return m == In, nil
}

// ReadTime returns the time of a text. field is its label for the error.
func ReadTime(field, text string) (time.Time, error) {
	at, ok := event.ParseTime(text)
	if !ok {
		return at, fault.Invalid("%s should be a date such as 2026-01-02T03:04:05Z but is %q", field, text)
	}
	return at, nil
}

// audienceBatch holds the changes of a batch to one audience, in order.
type audienceBatch struct {
	AudienceSync
	deps     Deps
	ms       *MultiStatus
	audience Audience // with the name of the last payload
	first    int      // index of the first payload
	changes  []*MemberChange
	created  bool // the remote has the audience under its name
	accepted bool // the remote has accepted members
}

// readAudiences reads payloads and groups them by audience, in order of first appearance. Invalid payloads fail.
func readAudiences(n int, s AudienceSync, deps Deps, ms *MultiStatus) []*audienceBatch {
	var list []*audienceBatch
	byID := map[string]*audienceBatch{}
	changes := make([]MemberChange, n)
	for i := range changes {
		c := &changes[i]
		if err := s.readChange(i, c); err != nil {
			ms.Fail(i, err)
			continue
		}
		b := byID[c.Audience.ID]
		if b == nil {
			b = &audienceBatch{AudienceSync: s, deps: deps, ms: ms, first: i}
			byID[c.Audience.ID] = b
			list = append(list, b)
		}
		b.audience = c.Audience
		b.changes = append(b.changes, c)
	}
	return list
}

// readChange sets c to the change of payload i.
func (s *AudienceSync) readChange(i int, c *MemberChange) (err error) {
	if *c, err = s.Read(i); err != nil {
		return err
	}
	c.index, c.text = i, c.Identity.String()
	if n := len(c.text); n > MaxIdentity {
		return fault.Invalid("the identifier should be at most %d bytes long but has %d", MaxIdentity, n)
	}
	return nil
}

// send creates the audience if needed, then changes its members. Results that were set before an error remain.
//
// Only one batch of an audience runs at a time, so the ledger does not change between Lookup and Record.
func (b *audienceBatch) send(ctx context.Context) error {
	release, err := b.deps.Locks.Lock(ctx, b.audience.ID)
	if err != nil {
		return err
	}
	defer release()
	changes, err := b.filterNew(ctx, b.changes)
	if err != nil || len(changes) == 0 {
		return err
	}
	if err := b.ensureCreated(ctx); err != nil {
		return err
	}
	bisection := Bisection[*MemberChange]{
		Send:   func(ctx context.Context, changes []*MemberChange) error { return b.Change(ctx, b.audience, changes) },
		Accept: func(changes []*MemberChange) error { return b.acceptChanges(ctx, changes) },
		Fail:   func(changes []*MemberChange, err error) { b.failChanges(ctx, changes, err) }, Divisible: b.Divisible,
	}
	for part := range b.requestsOf(changes) {
		if err := b.deps.Members.MarkUncertain(ctx, b.audience, b.changesOf(part, false)); err != nil {
			return err
		}
		if err := bisection.Run(ctx, part); err != nil {
			return err
		}
		if err := b.rememberCreated(ctx); err != nil {
			return err
		}
	}
	return nil
}

// newestChanges returns the change with the newest time of each identity; of equal times, the later change. The others are skipped,
// unless those that agree with it are sent, too.
func (b *audienceBatch) newestChanges() []*MemberChange {
	newest := make(map[string]*MemberChange, len(b.changes))
	var late map[*MemberChange]bool // changes that are older than one before them
	for _, c := range b.changes {
		if best := newest[c.text]; best == nil || !c.At.Before(best.At) {
			newest[c.text] = c
		} else if b.SendRepeats {
			if late == nil {
				late = map[*MemberChange]bool{}
			}
			late[c] = true
		}
	}
	leadsToNewest := func(c *MemberChange) bool {
		if !b.OneWay {
			return !late[c]
		}
		return newest[c.text].Member == c.Member || c.Member
	}
	kept := make([]*MemberChange, 0, len(newest))
	for _, c := range b.changes {
		if newest[c.text] == c || b.SendRepeats && leadsToNewest(c) {
			kept = append(kept, c)
		} else {
			b.ms.SkipFor(c.index, fault.CauseSuperseded)
		}
	}
	return kept
}

// filterNew drops changes that the ledger knows to be superseded or that change nothing.
func (b *audienceBatch) filterNew(ctx context.Context, changes []*MemberChange) ([]*MemberChange, error) {
	records, err := b.deps.Members.Lookup(ctx, b.audience.ID, identitiesOf(changes))
	if err != nil {
		return nil, err
	}
	var kept, same []*MemberChange
	for i, c := range changes {
		switch r := records[i]; {
		case c.At.Before(r.At):
			b.ms.SkipFor(c.index, fault.CauseSuperseded)
		case r.Known && c.Member == r.Member && !r.Uncertain && !b.SendUnchanged:
			same = append(same, c)
		default:
			kept = append(kept, c)
		}
	}
	if err := b.record(ctx, same, true); err != nil { // the newer time supersedes events in between that arrive later
		return nil, err
	}
	for _, c := range same {
		b.ms.SkipFor(c.index, fault.CauseNoChange)
	}
	return kept, nil
}

func (b *audienceBatch) stateKey() string {
	return cmp.Or(b.StatePrefix, "audience/") + b.audience.ID
}

// ensureCreated creates or renames the audience, unless the remote has accepted members for it under its name.
func (b *audienceBatch) ensureCreated(ctx context.Context) error {
	if b.Create == nil {
		b.created = true
		return nil
	}
	name, _, err := b.deps.State.Get(ctx, b.stateKey())
	if err != nil {
		return err
	}
	if b.created = name == b.audience.Name; b.created {
		return nil
	}
	return b.Create(ctx, b.audience, b.first)
}

// rememberCreated stores the audience's name once the remote has accepted members. Until then, creating the audience again is safe.
func (b *audienceBatch) rememberCreated(ctx context.Context) error {
	if b.created || !b.accepted {
		return nil
	}
	b.created = true
	return b.deps.State.Put(ctx, b.stateKey(), b.audience.Name)
}

// requestsOf divides changes by MaxMembers. There is at least one.
func (b *audienceBatch) requestsOf(changes []*MemberChange) iter.Seq[[]*MemberChange] {
	n := len(changes)
	if b.MaxMembers > 0 {
		n = b.MaxMembers
	}
	return slices.Chunk(changes, n)
}

// acceptChanges records changes that the remote has accepted, and marks them as delivered only after that.
func (b *audienceBatch) acceptChanges(ctx context.Context, changes []*MemberChange) error {
	if err := b.record(context.WithoutCancel(ctx), changes, false); err != nil {
		return err
	}
	b.accepted = true
	for _, c := range changes {
		b.ms.Deliver(c.index)
	}
	return nil
}

// failChanges sets the results of changes that the remote has not accepted. Changes that it has refused for good supersede no others.
func (b *audienceBatch) failChanges(ctx context.Context, changes []*MemberChange, err error) {
	var refused []Change
	listed := map[string]bool{}
	for _, c := range changes {
		b.ms.Fail(c.index, err)
		if !b.ms.Result(c.index).Err.Retry && !listed[c.text] {
			listed[c.text] = true
			refused = append(refused, Change{Identity: c.text, Member: c.Member})
		}
	}
	if len(refused) == 0 {
		return
	}
	if err := b.deps.Members.MarkUncertain(context.WithoutCancel(ctx), b.audience, refused); err != nil {
		b.deps.Log.Warn("cannot store in the ledger that changes were refused", "error", err)
	}
}

// failRest sets err as the result of every undecided payload of the audience.
func (b *audienceBatch) failRest(err error) {
	for _, c := range b.changes {
		if !b.ms.Decided(c.index) {
			b.ms.Fail(c.index, err)
		}
	}
}

// identitiesOf returns the ledger's identities of changes.
func identitiesOf(changes []*MemberChange) []string {
	list := make([]string, len(changes))
	for i, c := range changes {
		list[i] = c.text
	}
	return list
}

// changesOf returns changes as the ledger stores them: of several of an identity the newest.
func (b *audienceBatch) changesOf(changes []*MemberChange, unchanged bool) []Change {
	list := make([]Change, 0, len(changes))
	places := map[string]int{}
	for _, c := range changes {
		change := Change{Identity: c.text, Member: c.Member, At: c.At, Unchanged: unchanged}
		if b.SendRepeats {
			if i, ok := places[c.text]; ok {
				if !c.At.Before(list[i].At) {
					list[i] = change
				}
				continue
			}
			places[c.text] = len(list)
		}
		list = append(list, change)
	}
	return list
}

// record records changes in the ledger.
func (b *audienceBatch) record(ctx context.Context, changes []*MemberChange, unchanged bool) error {
	if len(changes) == 0 {
		return nil
	}
	return b.deps.Members.Record(ctx, b.audience, b.changesOf(changes, unchanged))
}

// annotateUndelivered stores in the ledger why changes were not delivered. If that fails, it is only logged.
func (b *audienceBatch) annotateUndelivered(ctx context.Context) {
	var notes []Note
	for _, c := range b.changes {
		if b.ms.Outcome(c.index) == Delivered {
			continue
		}
		r := b.ms.Result(c.index)
		if outcome, reason := r.Describe(); r.Cause != fault.CauseNoChange {
			notes = append(notes, Note{Identity: c.text, Member: c.Member, At: c.At, Outcome: outcome, Reason: reason})
		}
	}
	if len(notes) == 0 {
		return
	}
	if err := b.deps.Members.Annotate(context.WithoutCancel(ctx), b.audience, notes); err != nil {
		b.deps.Log.Warn("cannot store the reasons of undelivered changes in the ledger", "error", err)
	}
}
