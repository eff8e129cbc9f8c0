package audiencesync

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/state"
)

// Drift is a difference between the ledger and the remote.
type Drift string

// The differences.
const (
	DriftMissing Drift = "missing" // a member of the ledger whom the remote does not list
	DriftExtra   Drift = "extra"   // a user whom the remote lists although an exit was sent
	DriftUnknown Drift = "unknown" // a user whom the remote lists and to whom nothing was ever sent
)

// RemoteReport counts how the ledger and the remote differ.
type RemoteReport struct {
	Report
	Listed   int `json:"listed"` // users of the remote
	Missing  int `json:"missing"`
	Extra    int `json:"extra"`
	Unknown  int `json:"unknown"`
	Nameless int `json:"nameless"` // users of the remote without an identifier that the ledger can have
	Changing int `json:"changing"` // users who are not compared, since their state was recorded meanwhile, or only sent so far
}

// DiffRemote compares the ledger with the members that the remote lists, and sends nothing. It calls found for each difference. Users whose state is
// recorded in the meantime, or whose first change has no result yet, are not compared.
func (s *Syncer) DiffRemote(ctx context.Context, a destination.Audience, found func(d Drift, identity string) error) (RemoteReport, error) {
	c, err := s.compareRemote(ctx, a)
	if err != nil {
		return RemoteReport{}, err
	}
	defer c.close()
	err = c.each(ctx, func(d Drift, m recordedUser) error { return found(d, m.identity) })
	return c.report, err
}

// RepairRemote sends what the ledger has of the users in whom the remote differs: an entry of those who are missing, and an exit of those who are extra.
// Users to whom nothing was ever sent leave only if removeUnknown is set. It decides nothing: events that wait still count.
func (s *Syncer) RepairRemote(ctx context.Context, a destination.Audience, removeUnknown bool) (RemoteReport, error) {
	c, err := s.compareRemote(ctx, a)
	if err != nil {
		return RemoteReport{}, err
	}
	defer c.close()
	out, err := s.newSender(a, &c.report.Report, c.began, true)
	if err != nil {
		return c.report, err
	}
	err = c.each(ctx, func(d Drift, m recordedUser) error {
		switch {
		case d == DriftUnknown && !removeUnknown:
			return nil
		case m.member && s.Suppressed.HasIdentity(m.identity):
			c.report.Suppressed++
			return nil
		}
		c.report.countChange(m.member)
		return out.addChange(ctx, destination.Change{Identity: m.identity, Member: m.member, At: m.at}, "")
	})
	return c.report, errors.Join(err, out.flushBatch(ctx))
}

// remoteComparison holds the members of the remote and those of the ledger in two scratch sets, by the form in which they are compared.
type remoteComparison struct {
	syncer         *Syncer
	audience       destination.Audience
	began          time.Time
	report         RemoteReport
	remote, ledger *state.Scratch
	rows           int // of remote, also those of pages that were fetched again
}

func (c *remoteComparison) close() {
	_ = c.remote.Close()
	_ = c.ledger.Close()
}

// compareRemote reads the members of the remote, and then those of the ledger.
func (s *Syncer) compareRemote(ctx context.Context, a destination.Audience) (*remoteComparison, error) {
	c := &remoteComparison{syncer: s, audience: a, began: s.currentTime()}
	var err error
	if c.report.Report, err = s.newReport(ctx, a); err != nil {
		return nil, err
	}
	c.audience.Name = c.report.Name
	if c.remote, err = state.NewScratch(ctx); err != nil {
		return nil, err
	}
	if c.ledger, err = state.NewScratch(ctx); err != nil {
		_ = c.remote.Close()
		return nil, err
	}
	if err = c.readRemote(ctx); err == nil {
		err = c.readLedger(ctx)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// readRemote fetches all pages of the remote.
func (c *remoteComparison) readRemote(ctx context.Context) error {
	seed, seen := maphash.MakeSeed(), map[uint64]bool{}
	for page := ""; ; {
		next, err := c.readPage(ctx, page)
		if err != nil {
			return fmt.Errorf("listing the members of %s at the remote: %w", c.audience.ID, err)
		}
		if page = next; page == "" {
			return nil
		}
		key := maphash.String(seed, page)
		if seen[key] {
			return fmt.Errorf("listing the members of %s at the remote: it names the page %q twice", c.audience.ID, fault.Shorten(page, maxPageShown))
		}
		seen[key] = true
		if c.syncer.OnListed != nil {
			c.syncer.OnListed(c.report.Listed)
		}
	}
}

// maxPageShown is the maximum length of a page in an error.
const maxPageShown = 50

// readPage fetches a page of the remote and returns the one that follows.
func (c *remoteComparison) readPage(ctx context.Context, page string) (next string, err error) {
	listed, nameless := c.report.Listed, c.report.Nameless
	err = c.syncer.Retry.Call(ctx, func() error {
		c.report.Listed, c.report.Nameless = listed, nameless
		next, err = c.syncer.Plan.ListMembers(ctx, c.audience, page, func(identities []string) error { return c.addListed(ctx, identities) })
		return err
	})
	return next, err
}

// addListed stores a user of the remote under each identity.
func (c *remoteComparison) addListed(ctx context.Context, identities []string) error {
	user := listedUser{row: c.rows, preferred: true}
	c.report.Listed++
	c.rows++
	for _, identity := range identities {
		if len(identity) > destination.MaxIdentity {
			continue
		}
		key, err := c.syncer.Plan.ComparedIdentity(identity)
		if err != nil {
			return err
		}
		user.identity = identity
		if err := c.remote.AddNoted(ctx, key, user.note()); err != nil {
			return err
		}
		user.preferred = false
	}
	if user.preferred {
		c.report.Nameless++
	}
	return nil
}

// readLedger stores the users of the ledger to whom something was sent.
func (c *remoteComparison) readLedger(ctx context.Context) error {
	return c.syncer.Ledger.Each(ctx, c.audience.ID, "", func(m state.Membership) error {
		onlySent := m.Uncertain && m.Delivered.IsZero() // whether the remote has accepted it is not known yet
		if !m.Known && !onlySent {
			return nil
		}
		key, err := c.syncer.Plan.ComparedIdentity(m.Identity)
		if err != nil {
			return fmt.Errorf("the ledger's identity %s: %w", m.Identity, err)
		}
		user := recordedUser{identity: m.Identity, member: m.Member, at: m.At, changing: onlySent || latestOf(m.Delivered, m.Confirmed).After(c.began)}
		return c.ledger.AddNoted(ctx, key, user.note())
	})
}

// each calls f for every difference: first those in which the ledger has a member, then those in which only the remote has one.
func (c *remoteComparison) each(ctx context.Context, f func(Drift, recordedUser) error) error {
	left := make([]bool, c.rows) // users of the remote who are out in the ledger
	in := make([]bool, c.rows)   // users of the remote who are members in the ledger, or whose state changes
	err := state.CompareSets(ctx, c.remote, c.ledger, func(p state.Pair) error {
		if !p.InB {
			return nil
		}
		user := readRecorded(p.NoteB)
		switch {
		case user.changing:
			c.report.Changing++
		case !user.member:
		case p.InA:
			c.report.Unchanged++
		default:
			c.report.Missing++
			if err := f(DriftMissing, user); err != nil {
				return err
			}
		}
		if p.InA {
			row := readListed(p.NoteA).row
			in[row] = in[row] || user.member || user.changing
			left[row] = left[row] || !user.member
		}
		return nil
	})
	if err != nil || !slices.Contains(in, false) {
		return err
	}
	return state.CompareSets(ctx, c.remote, c.ledger, func(p state.Pair) error {
		listed := readListed(p.NoteA)
		switch {
		case !p.InA || in[listed.row]:
			return nil
		case p.InB:
			c.report.Extra++
			return f(DriftExtra, readRecorded(p.NoteB))
		case listed.preferred && !left[listed.row]:
			c.report.Unknown++
			return f(DriftUnknown, recordedUser{identity: listed.identity, at: c.began})
		}
		return nil
	})
}

// listedUser is a user of the remote by one of the user's identities.
type listedUser struct {
	row       int    // of the user
	preferred bool   // it is the identity by which a change would name the user
	identity  string // as the remote spells it
}

func (u listedUser) note() string {
	note := binary.BigEndian.AppendUint32(nil, uint32(u.row))
	if u.preferred {
		return string(note) + "1" + u.identity
	}
	return string(note) + "2" + u.identity
}

func readListed(note string) (u listedUser) {
	if note == "" {
		return u
	}
	return listedUser{row: int(binary.BigEndian.Uint32([]byte(note))), preferred: note[4] == '1', identity: note[5:]}
}

// recordedUser is a user of the ledger.
type recordedUser struct {
	identity string
	member   bool
	changing bool // the state was recorded while the remote listed its members, or only sent so far
	at       time.Time
}

// note returns the user as a note. Of identities that are compared in the same form, one whose state changes counts, and then a member.
func (u recordedUser) note() string {
	kind := "2"
	switch {
	case u.changing:
		kind = "0"
	case u.member:
		kind = "1"
	}
	at := binary.BigEndian.AppendUint64(nil, uint64(u.at.Unix()))
	at = binary.BigEndian.AppendUint32(at, uint32(u.at.Nanosecond()))
	return kind + string(at) + u.identity
}

func readRecorded(note string) recordedUser {
	at := []byte(note[1:13])
	return recordedUser{
		identity: note[13:], member: note[0] == '1', changing: note[0] == '0',
		at: time.Unix(int64(binary.BigEndian.Uint64(at)), int64(binary.BigEndian.Uint32(at[8:]))).UTC(),
	}
}
