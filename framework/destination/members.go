package destination

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// Members is the ledger of an audience destination: which identity the instance has sent to which audience. Many remotes cannot
// report this. It is safe for concurrent use.
//
// A handler calls MarkUncertain before it sends changes and Record after the remote has accepted them. If the handler fails or
// crashes in between, the identities stay uncertain: their next change is sent even if it equals the recorded state, and a change that is
// older than the one that was sent is superseded by it. A temporary error is a retryable *fault.Error, which a handler returns. The
// caller keeps ownership of the slices it passes.
type Members interface {
	// Lookup returns the records of identities in an audience, by index.
	Lookup(ctx context.Context, audienceID string, identities []string) ([]Record, error)
	// MarkUncertain marks the state of identities at the remote as unknown, because changes are about to be sent, until a Record of each
	// that is not older. A mark replaces an earlier one of its identity. A change with the zero time supersedes no other change.
	MarkUncertain(ctx context.Context, audience Audience, changes []Change) error
	// Record records changes that the remote has accepted. A change that is older than the record of its identity is ignored.
	Record(ctx context.Context, audience Audience, changes []Change) error
	// Annotate stores why changes were not delivered, for users. It changes no Record.
	Annotate(ctx context.Context, audience Audience, notes []Note) error
	// Sizes returns the audiences and their number of members, sorted by id.
	Sizes(ctx context.Context) ([]AudienceSize, error)
}

// MemberUpdate is what happens to an audience at once.
type MemberUpdate struct {
	Accepted  []Change // by the remote; see Members.Record
	Notes     []Note   // see Members.Annotate
	Uncertain []Change // that are sent next; see Members.MarkUncertain
}

// MemberUpdater is implemented by Members that write a MemberUpdate at once, which costs less than the methods of its parts, one after the other.
type MemberUpdater interface {
	Update(ctx context.Context, audience Audience, u MemberUpdate) error
}

// Audience is an audience by its id at the remote, with its current name.
type Audience struct{ ID, Name string }

// Record is the recorded state of one identity in one audience.
type Record struct {
	Known     bool      // a change has been delivered
	Member    bool      // the last delivered change was an entry
	At        time.Time // the time of the event behind the last change, or of a later one that was sent with an unknown outcome
	Uncertain bool      // the remote's state may differ
}

// Change is one entry or exit that the remote has accepted, or that is about to be sent.
type Change struct {
	Identity  string
	Member    bool
	At        time.Time // of the event
	Unchanged bool      // nothing was sent because the remote had it before; only the time is new
}

// Note is one entry or exit that was not delivered, with the reason.
type Note struct {
	Identity string
	Member   bool
	At       time.Time // of the event
	Outcome  string    // skipped, refused or retry
	Reason   string    // for users, without secrets
}

// AudienceSize is an audience and its number of members.
type AudienceSize struct {
	Audience
	Members int
	Purged  time.Time // when all members were removed for good; zero if never
}

// NewMemoryMembers returns Members that are kept in memory only.
func NewMemoryMembers() Members { return &memoryMembers{audiences: map[string]*memoryAudience{}} }

type memoryMembers struct {
	mu        sync.Mutex
	audiences map[string]*memoryAudience
}

type memoryAudience struct {
	name    string
	records map[string]*memoryRecord
}

// memoryRecord is the last recorded change of an identity, and the time of the change that was sent since.
type memoryRecord struct {
	Record
	sent time.Time // counts if the record is uncertain
}

// current returns the record as Lookup does.
func (r *memoryRecord) current() Record {
	current := r.Record
	if r.Uncertain && r.sent.After(r.At) {
		current.At = r.sent
	}
	return current
}

// ensureRecord returns the record of an identity, and creates it if it is missing. The key is a copy, since identity may be a
// substring of a larger text.
func (a *memoryAudience) ensureRecord(identity string) *memoryRecord {
	r := a.records[identity]
	if r == nil {
		r = &memoryRecord{}
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
				records[i] = r.current()
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
			r.Record = Record{Known: true, Member: c.Member, At: c.At, Uncertain: r.Uncertain && c.At.Before(r.sent)}
		}
	}
	return nil
}

func (m *memoryMembers) Annotate(context.Context, Audience, []Note) error { return nil }

func (m *memoryMembers) MarkUncertain(_ context.Context, audience Audience, changes []Change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.ensureAudience(audience)
	for _, c := range changes {
		r := a.ensureRecord(c.Identity)
		r.Uncertain, r.sent = true, c.At
	}
	return nil
}

// ensureAudience returns an audience with its current name, and creates it if it is missing.
func (m *memoryMembers) ensureAudience(audience Audience) *memoryAudience {
	a := m.audiences[audience.ID]
	if a == nil {
		a = &memoryAudience{records: map[string]*memoryRecord{}}
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
