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

// nameLength is the approximate size of a ledger identity in bytes.
const nameLength = 40

// maxIdentity is the maximum size of an identity in bytes. Braze accepts external ids of up to 987.
const maxIdentity = 1024

// change is the change of one payload.
type change struct {
	destination.Change     // as stored in the ledger
	index              int // of the payload
	id                 identity
	cohort             *cohort // nil if it cannot be sent
	slot               int     // its slot in the identityTable
}

// Pools of the slices that a batch needs.
var (
	changePool pool.Slice[change]
	orderPool  pool.Slice[*change]
	slotPool   pool.Slice[*change]
	namePool   pool.Slice[string]
	recordPool pool.Slice[destination.Change]
)

// cohort holds the changes of a batch to one cohort, in order.
type cohort struct {
	id        string
	name      string // from the last payload
	createdAt string // the time of the first payload
	size      int
	changes   []*change
}

// syncAudiences performs a batch. Invalid payloads fail; the others are sent cohort by cohort.
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
	readChanges(call, changes, ms)
	for _, c := range cohortsOf(call.Payloads, changes, order) {
		s := sender{api: api, deps: call.Deps, ms: ms, cohort: c, resend: resend}
		if err := s.sendCohort(ctx); err != nil {
			s.failRest(err)
		}
		s.annotateUndelivered(ctx)
	}
	return ms, nil
}

// readChanges converts payloads to changes. Invalid payloads fail.
func readChanges(call destination.BatchCall[Settings, SyncAudiencesPayload], changes []change, ms *destination.MultiStatus) {
	var names strings.Builder // holds all identities, so that a batch needs one allocation for them
	names.Grow(nameLength * len(changes))
	for i := range changes {
		changes[i].index = i
		if err := readChange(&call.Payloads[i], call.Membership, &changes[i], &names); err != nil {
			ms.Fail(i, err)
		}
	}
}

// cohortsOf groups changes by cohort, in order of first appearance. order has capacity for all of them.
func cohortsOf(payloads []SyncAudiencesPayload, changes []change, order []*change) []*cohort {
	var cohorts []*cohort
	byID := map[string]*cohort{}
	for i := range changes {
		p := &payloads[i]
		if changes[i].Identity == "" { // an invalid payload
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

// readChange sets a change from a payload.
func readChange(p *SyncAudiencesPayload, membership func(int) destination.Membership, c *change, names *strings.Builder) error {
	if p.CohortName != p.PersonasAudienceKey {
		return fault.Invalid("Engage Audience Key is %q but the event belongs to the audience %q", p.PersonasAudienceKey, p.CohortName).Because(fault.CauseWrongAudience)
	}
	id, err := identityOf(p)
	if err != nil {
		return err
	}
	begin := names.Len()
	id.writeTo(names)
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
		return fault.Invalid("Event Properties should have true or false at %q but has %s", p.PersonasAudienceKey, value.Kind().WithArticle())
	}
	c.id, c.Change = id, destination.Change{Identity: name, Member: m == destination.In, At: at}
	return nil
}

// isoTime returns text if Braze can parse it, otherwise the time in ISO 8601.
func isoTime(text string, at time.Time) string {
	if _, err := time.Parse(time.RFC3339, text); err == nil {
		return text
	}
	return at.UTC().Format(time.RFC3339Nano)
}

// newestChanges appends to kept the change with the newest time of each identity; of equal times, the later change. The others
// are skipped as superseded.
func (c *cohort) newestChanges(kept []*change, ms *destination.MultiStatus) []*change {
	winners := newIdentityTable(len(c.changes))
	defer slotPool.Put(winners.slots)
	for _, ch := range c.changes {
		ch.slot = winners.slotOf(ch)
		if best := winners.slots[ch.slot]; best == nil || !ch.At.Before(best.At) {
			winners.slots[ch.slot] = ch
		}
	}
	for _, ch := range c.changes {
		if winners.slots[ch.slot] == ch {
			kept = append(kept, ch)
		} else {
			ms.SkipFor(ch.index, fault.CauseSuperseded)
		}
	}
	return kept
}

// identityTable maps identities to changes. It is a hash table with open addressing: a map of a thousand strings would cost
// more than the rest of the batch.
type identityTable struct {
	seed  maphash.Seed
	slots []*change // at least twice as many as changes; a power of two
}

func newIdentityTable(changes int) identityTable {
	return identityTable{maphash.MakeSeed(), slotPool.Get(1 << bits.Len(uint(2*changes)))}
}

// slotOf returns the slot of the change's identity, which is nil while it is unused.
func (w identityTable) slotOf(ch *change) int {
	mask := len(w.slots) - 1
	for at := int(maphash.String(w.seed, ch.Identity)) & mask; ; at = (at + 1) & mask {
		if best := w.slots[at]; best == nil || best.Identity == ch.Identity {
			return at
		}
	}
}
