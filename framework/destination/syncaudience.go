package destination

import (
	"context"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/pool"
)

// MemberChange is what one event says: that a user enters or leaves an audience.
type MemberChange struct {
	Audience Audience
	Identity Identity
	Member   bool      // the user is a member from now on
	At       time.Time // of the event

	text   string         // Identity as in the ledger
	index  int            // of the payload
	newest **MemberChange // of the identity; valid in newestChanges only
	late   bool           // older than a change of the identity before it
	noted  bool           // the ledger has a note why it was not delivered
}

// AudienceSync is what SyncAudience has to know of a remote that keeps audiences.
type AudienceSync struct {
	// Read returns what payload i says. Its error is the result of the payload; the others are sent.
	Read func(i int) (MemberChange, error)
	// Create creates an audience at the remote, or renames it. first is the index of its first payload in the batch. It is called
	// before members are sent, unless members were sent under the same name before. Because a response may be lost, it must be
	// harmless if the audience exists. nil if nothing has to be created.
	Create func(ctx context.Context, audience Audience, first int) error
	// Change adds and removes members of an audience in one request. No identity occurs twice unless SendRepeats is set. It must be
	// harmless if members have been added or removed before. An *ItemErrors tells the members apart; if a request is refused for another
	// reason that Divisible accepts, it is divided. The changes are reused after SyncAudience returns: copy what you keep.
	Change func(ctx context.Context, audience Audience, changes []*MemberChange) error
	// Divisible reports whether a refusal may concern some of the members only. nil stands for status 400.
	Divisible func(err *fault.Error) bool
	// MaxMembers is the maximum number of changes in a request; 0 means no limit.
	MaxMembers int
	// OneWay says that a request either adds or removes: the additions of all audiences are sent before the removals.
	OneWay bool
	// SharesRequests says that a request may hold changes of several audiences, because each says which audience it is about. Change gets
	// the changes of all in the order of their payloads, and the first audience. If one audience fails, the others of its request do too.
	SharesRequests bool
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
// Audiences are sent one after the other, unless they share requests, and batches of one audience never at the same time. If one audience
// fails, the others are sent.
func SyncAudience[S, P any](ctx context.Context, call BatchCall[S, P], s AudienceSync) *MultiStatus {
	s.SendUnchanged = s.SendUnchanged || call.Resend
	ms := NewMultiStatus(len(call.Payloads))
	changes := memberChangePool.Get(len(call.Payloads))
	audiences := readAudiences(changes, s, call.Deps, ms)
	for _, g := range s.groupsOf(audiences) {
		if err := g.send(ctx); err != nil {
			g.failRest(err)
		}
	}
	for _, b := range audiences {
		b.annotateUndelivered(ctx)
	}
	memberChangePool.Put(changes) // not after a panic: goroutines of the handler may still use it
	return ms
}

var memberChangePool pool.Slice[MemberChange]

// inSendingOrder returns the newest changes of each audience in the order in which they are sent. If a request has one direction, second has
// the removals of all audiences. The other changes are skipped.
func inSendingOrder(audiences []*audienceBatch) (first, second []*audienceBatch) {
	for _, b := range audiences {
		newest := b.newestChanges()
		kept := *b
		if kept.changes = newest; !b.OneWay {
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
	return first, second
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
