package destination

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// Members is the ledger of an audience destination: who the instance has sent to which audience. The remote often cannot
// say it. It is safe for concurrent use.
//
// A handler calls Doubt before it sends changes and Write when the remote has said yes. Whatever happens between the two, a
// crash included, leaves the identities in doubt, and their next change is sent even if it looks like no news. An error that may
// pass is a retryable *fault.Error, which a handler hands on. The slices that are handed in stay the caller's.
type Members interface {
	// Lookup is what is recorded for these identities of an audience, index by index.
	Lookup(ctx context.Context, audienceID string, identities []string) ([]Record, error)
	// MarkUncertain says that from now on the remote may hold something else than what is recorded of these identities, until the
	// next Write of each.
	MarkUncertain(ctx context.Context, audience Audience, identities []string) error
	// Record records what the remote has accepted, and nothing else. A change that is older than what is recorded for
	// its identity is passed over.
	Record(ctx context.Context, audience Audience, changes []Change) error
	// Annotate keeps why changes were not delivered, for people; it changes no Record.
	Annotate(ctx context.Context, audience Audience, notes []Note) error
	// Sizes are the audiences with their number of members, sorted by id.
	Sizes(ctx context.Context) ([]AudienceSize, error)
}

// Audience is an audience by its id at the remote, and the name it goes by now.
type Audience struct{ ID, Name string }

// Record is what is known of one identity in one audience.
type Record struct {
	Known     bool      // something has been delivered
	Member    bool      // the last thing delivered was an entry
	At        time.Time // the time of the event that decided it
	Uncertain bool      // the remote may hold something else
}

// Change is one entry or exit that the remote has taken.
type Change struct {
	Identity  string
	Member    bool
	At        time.Time // of the event
	Unchanged bool      // the remote had it before and nothing was sent; only the time is news
}

// Note is one entry or exit that was not delivered.
type Note struct {
	Identity string
	Member   bool
	At       time.Time // of the event
	Outcome  string    // skipped, refused or retry
	Reason   string    // for people, without secrets
}

// AudienceSize is one audience and how many identities are in it.
type AudienceSize struct {
	Audience
	Members int
	Purged  time.Time // when all members were removed for good; zero where they never were
}

// NewMemoryMembers is a Members that ends with the process.
func NewMemoryMembers() Members { return &memoryMembers{audiences: map[string]*memoryAudience{}} }

type memoryMembers struct {
	mu        sync.Mutex
	audiences map[string]*memoryAudience
}

type memoryAudience struct {
	name    string
	records map[string]*Record
}

// ensureRecord is what is recorded of an identity, made where there is nothing. The identity is copied: it may be part of a larger text.
func (a *memoryAudience) ensureRecord(identity string) *Record {
	r := a.records[identity]
	if r == nil {
		r = &Record{}
		a.records[strings.Clone(identity)] = r
	}
	return r
}

func (m *memoryMembers) Lookup(_ context.Context, audienceID string, identities []string) ([]Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	records := make([]Record, len(identities))
	if a := m.audiences[audienceID]; a != nil {
		for i, identity := range identities {
			if r := a.records[identity]; r != nil {
				records[i] = *r
			}
		}
	}
	return records, nil
}

func (m *memoryMembers) Record(_ context.Context, audience Audience, changes []Change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.ensureAudience(audience)
	for _, c := range changes {
		if r := a.ensureRecord(c.Identity); !r.Known || !c.At.Before(r.At) {
			*r = Record{Known: true, Member: c.Member, At: c.At}
		}
	}
	return nil
}

func (m *memoryMembers) Annotate(context.Context, Audience, []Note) error { return nil }

func (m *memoryMembers) MarkUncertain(_ context.Context, audience Audience, identities []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.ensureAudience(audience)
	for _, identity := range identities {
		a.ensureRecord(identity).Uncertain = true
	}
	return nil
}

// ensureAudience is the record of an audience, made where there is none.
func (m *memoryMembers) ensureAudience(audience Audience) *memoryAudience {
	a := m.audiences[audience.ID]
	if a == nil {
		a = &memoryAudience{records: map[string]*Record{}}
		m.audiences[audience.ID] = a
	}
	a.name = audience.Name
	return a
}

func (m *memoryMembers) Sizes(context.Context) ([]AudienceSize, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sizes := make([]AudienceSize, 0, len(m.audiences))
	for id, a := range m.audiences {
		size := AudienceSize{Audience: Audience{id, a.name}}
		for _, r := range a.records {
			if r.Member {
				size.Members++
			}
		}
		sizes = append(sizes, size)
	}
	slices.SortFunc(sizes, func(a, b AudienceSize) int { return cmp.Compare(a.ID, b.ID) })
	return sizes, nil
}
