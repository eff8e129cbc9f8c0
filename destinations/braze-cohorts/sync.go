package brazecohorts

import (
	"context"
	"hash/maphash"
	"math/bits"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/pool"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Why an event is not sent though nothing is wrong with it.
const (
	superseded = "superseded by a newer event of the same user"
	unchanged  = "unchanged: the user was already so"
)

// nameLength is about the bytes of an identity as the ledger has it.
const nameLength = 40

// maxIdentity bounds an identity in bytes. Braze takes external ids of up to 987.
const maxIdentity = 1024

// change is what one payload asks of a cohort.
type change struct {
	destination.Change     // as the ledger has it
	index              int // of the payload
	id                 identity
	cohort             *cohort // nil where it cannot be sent
	slot               int     // among winners
}

// Room for what a batch keeps books in.
var (
	changePool pool.Slice[change]
	orderPool  pool.Slice[*change]
	slotPool   pool.Slice[*change]
	namePool   pool.Slice[string]
	recordPool pool.Slice[destination.Change]
)

// cohort is the changes that a batch asks of one cohort, in their order.
type cohort struct {
	id        string
	name      string // as the last payload has it
	createdAt string // the time of the first one
	size      int
	changes   []*change
}

// syncAudiences performs a batch: payloads that cannot be sent fail alone, the others go out cohort by cohort.
func syncAudiences(ctx context.Context, call destination.BatchCall[Settings, SyncAudiencesPayload]) (*destination.MultiStatus, error) {
	api, err := newAPI(call.Settings, call.Env)
	if err != nil {
		return nil, fault.Invalid("%v", err)
	}
	ms := destination.NewMultiStatus(len(call.Payloads))
	resend := call.Resend || call.Settings.SendUnchanged != nil && *call.Settings.SendUnchanged
	changes, order := changePool.Get(len(call.Payloads)), orderPool.Get(len(call.Payloads))
	defer changePool.Put(changes)
	defer orderPool.Put(order)
	readAll(call, changes, ms)
	for _, c := range cohortsOf(call.Payloads, changes, order) {
		s := sender{api: api, deps: call.Deps, ms: ms, cohort: c, resend: resend}
		if err := s.send(ctx); err != nil {
			s.failRest(err)
		}
		s.note(ctx)
	}
	return ms, nil
}

// readAll makes a change of each payload, and refuses those that cannot be sent.
func readAll(call destination.BatchCall[Settings, SyncAudiencesPayload], changes []change, ms *destination.MultiStatus) {
	var names strings.Builder // of all identities: a text for a batch, not one for each
	names.Grow(nameLength * len(changes))
	for i := range changes {
		changes[i].index = i
		if err := read(&call.Payloads[i], call.Membership, &changes[i], &names); err != nil {
			ms.Fail(i, err)
		}
	}
}

// cohortsOf sorts the changes that can be sent by cohort, in order of first appearance, with room in order for all of them.
func cohortsOf(payloads []SyncAudiencesPayload, changes []change, order []*change) []*cohort {
	var cohorts []*cohort
	byID := map[string]*cohort{}
	for i := range changes {
		p := &payloads[i]
		if changes[i].Identity == "" { // it cannot be sent
			continue
		}
		c := byID[p.CohortID]
		if c == nil {
			c = &cohort{id: p.CohortID, createdAt: isoTime(p.Time, changes[i].At)}
			byID[p.CohortID] = c
			cohorts = append(cohorts, c)
		}
		c.name = p.CohortName
		c.size++
		changes[i].cohort = c
	}
	for _, c := range cohorts {
		c.changes, order = order[:0:c.size], order[c.size:]
	}
	for i := range changes {
		if c := changes[i].cohort; c != nil {
			c.changes = append(c.changes, &changes[i])
		}
	}
	return cohorts
}

// read fills a change from a payload, or says why it cannot be sent.
func read(p *SyncAudiencesPayload, membership func(int) destination.Membership, c *change, names *strings.Builder) error {
	if p.CohortName != p.PersonasAudienceKey {
		return fault.Invalid("Engage Audience Key is %q but this event is of the audience %q", p.PersonasAudienceKey, p.CohortName)
	}
	id, err := identityOf(p)
	if err != nil {
		return err
	}
	begin := names.Len()
	id.write(names)
	name := names.String()[begin:]
	if n := len(name); n > maxIdentity {
		return fault.Invalid("the identifier should be at most %d bytes long but has %d", maxIdentity, n)
	}
	at, ok := event.ParseTime(p.Time)
	if !ok {
		return fault.Invalid("Time should be a date such as 2026-01-02T03:04:05Z but is %q", p.Time)
	}
	value := p.EventProperties.Get(p.PersonasAudienceKey)
	m := destination.BoolMembership(value)
	if !value.Exists() {
		m = membership(c.index)
	}
	if m == destination.Unknown {
		return fault.Invalid("Event Properties should hold true or false at %q but there is %s", p.PersonasAudienceKey, value.Kind().WithArticle())
	}
	c.id, c.Change = id, destination.Change{Identity: name, Member: m == destination.In, At: at}
	return nil
}

// isoTime is text where Braze can read it, else the same time written so.
func isoTime(text string, at time.Time) string {
	if _, err := time.Parse(time.RFC3339, text); err == nil {
		return text
	}
	return at.UTC().Format(time.RFC3339Nano)
}

// newest appends to kept, for each identity, the change with the newest time, of equal ones the later; the others are superseded.
func (c *cohort) newest(kept []*change, ms *destination.MultiStatus) []*change {
	winners := newWinners(len(c.changes))
	defer slotPool.Put(winners.slots)
	for _, ch := range c.changes {
		ch.slot = winners.of(ch)
		if best := winners.slots[ch.slot]; best == nil || !ch.At.Before(best.At) {
			winners.slots[ch.slot] = ch
		}
	}
	for _, ch := range c.changes {
		if winners.slots[ch.slot] == ch {
			kept = append(kept, ch)
		} else {
			ms.Skip(ch.index, superseded)
		}
	}
	return kept
}

// winners finds a change by its identity. It is a hash table with open addresses: a map of a thousand names would cost more than
// the rest of a batch's bookkeeping.
type winners struct {
	seed  maphash.Seed
	slots []*change // twice as many as changes or more, a power of two
}

func newWinners(changes int) winners {
	return winners{maphash.MakeSeed(), slotPool.Get(1 << bits.Len(uint(2*changes)))}
}

// of is where the winner among the changes of an identity stands; nil is there as long as there is none.
func (w winners) of(ch *change) int {
	mask := len(w.slots) - 1
	for at := int(maphash.String(w.seed, ch.Identity)) & mask; ; at = (at + 1) & mask {
		if best := w.slots[at]; best == nil || best.Identity == ch.Identity {
			return at
		}
	}
}
