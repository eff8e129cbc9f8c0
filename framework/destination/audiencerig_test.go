package destination_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
)

// audienceRig is a remote that keeps audiences, and the batches that are synced to it. A payload is a text such as "vip:u1+10": user u1
// enters the audience vip at 10 s; "-" leaves. "vip=Best:u1+10" is the same with the name Best.
type audienceRig struct {
	destination.AudienceSync
	deps     destination.Deps
	members  *watchedMembers
	log      []string
	answer   func(request string) error // of each request; nil accepts all
	resend   bool
	audience map[string]map[string]bool // what the remote has
}

// watchedMembers is a ledger that fails on demand and keeps what it was told.
type watchedMembers struct {
	destination.Members
	fail  map[string]error
	notes []string
}

func (m *watchedMembers) Lookup(ctx context.Context, id string, identities []string) ([]destination.Record, error) {
	if err := m.fail["lookup"]; err != nil {
		return nil, err
	}
	return m.Members.Lookup(ctx, id, identities)
}

func (m *watchedMembers) MarkUncertain(ctx context.Context, a destination.Audience, changes []destination.Change) error {
	if err := m.fail["mark"]; err != nil {
		return err
	}
	return m.Members.MarkUncertain(ctx, a, changes)
}

func (m *watchedMembers) Record(ctx context.Context, a destination.Audience, changes []destination.Change) error {
	if err := cmp.Or(m.fail["record"], ctx.Err()); err != nil {
		return err
	}
	return m.Members.Record(ctx, a, changes)
}

func (m *watchedMembers) Annotate(_ context.Context, a destination.Audience, notes []destination.Note) error {
	for _, n := range notes {
		m.notes = append(m.notes, fmt.Sprintf("%s/%s %s %s", a.ID, n.Identity, n.Outcome, n.Reason))
	}
	return m.fail["annotate"]
}

// updatingMembers writes updates at once, and keeps them.
type updatingMembers struct {
	*watchedMembers
	updates []destination.MemberUpdate
}

func (m *updatingMembers) Update(ctx context.Context, a destination.Audience, u destination.MemberUpdate) error {
	if len(u.Accepted) > 0 && m.fail["record"] != nil || len(u.Uncertain) > 0 && m.fail["mark"] != nil {
		return cmp.Or(m.fail["record"], m.fail["mark"])
	}
	m.updates = append(m.updates, destination.MemberUpdate{Accepted: slices.Clone(u.Accepted), Notes: u.Notes, Uncertain: slices.Clone(u.Uncertain)})
	return errors.Join(m.Record(ctx, a, u.Accepted), m.Annotate(ctx, a, u.Notes), m.MarkUncertain(ctx, a, u.Uncertain))
}

// brittleState is a State that fails on demand.
type brittleState struct {
	destination.State
	put error
}

func (s *brittleState) Put(ctx context.Context, key, value string) error {
	if s.put != nil {
		return s.put
	}
	return s.State.Put(ctx, key, value)
}

func newAudienceRig() *audienceRig {
	r := &audienceRig{audience: map[string]map[string]bool{}, members: &watchedMembers{Members: destination.NewMemoryMembers(), fail: map[string]error{}}}
	r.deps = destination.Deps{
		Members: r.members, State: &brittleState{State: destination.NewMemoryState()}, Locks: &destination.Locks{}, Log: slog.New(slog.DiscardHandler),
	}
	r.Create = func(_ context.Context, a destination.Audience, first int) error {
		return r.request(fmt.Sprintf("create %s=%s #%d", a.ID, a.Name, first))
	}
	r.Change = r.change
	return r
}

func (r *audienceRig) request(text string) error {
	r.log = append(r.log, text)
	if r.answer == nil {
		return nil
	}
	return r.answer(text)
}

// change takes a request, unless it is refused as a whole.
func (r *audienceRig) change(_ context.Context, a destination.Audience, changes []*destination.MemberChange) error {
	var words []string
	for _, c := range changes {
		name := c.Identity.Name
		if c.Audience.ID != a.ID { // requests are shared
			name = c.Audience.ID + "/" + name
		}
		words = append(words, map[bool]string{true: "+", false: "-"}[c.Member]+name)
	}
	err := r.request(a.ID + " " + strings.Join(words, " "))
	var parts *destination.ItemErrors
	if err != nil && (!errors.As(err, &parts) || parts.Refusal != nil) {
		return err
	}
	for i, c := range changes {
		if parts == nil || parts.Errors[i] == nil {
			r.apply(c.Audience.ID, c)
		}
	}
	return err
}

func (r *audienceRig) apply(id string, c *destination.MemberChange) {
	if r.audience[id] == nil {
		r.audience[id] = map[string]bool{}
	}
	r.audience[id][c.Identity.Name] = c.Member
}

// parseMember reads "vip=Best:u1+10".
func parseMember(text string) (c destination.MemberChange, err error) {
	audience, rest, ok := strings.Cut(text, ":")
	at := strings.IndexAny(rest, "+-")
	if !ok || at < 0 {
		return c, fault.Invalid("%q says nothing", text)
	}
	var second int
	if _, err := fmt.Sscan(rest[at+1:], &second); err != nil {
		return c, fault.Invalid("%q has no time", text)
	}
	id, name, named := strings.Cut(audience, "=")
	if !named {
		name = id
	}
	return destination.MemberChange{
		Audience: destination.Audience{ID: id, Name: name}, Identity: destination.Identity{Kind: "id", Name: rest[:at]},
		Member: rest[at] == '+', At: time.Unix(int64(second), 0),
	}, nil
}

// sync takes a batch and returns the results.
func (r *audienceRig) sync(ctx context.Context, payloads ...string) (results []string) {
	r.log = nil
	r.Read = func(i int) (destination.MemberChange, error) { return parseMember(payloads[i]) }
	call := destination.BatchCall[Settings, string]{Deps: r.deps, Payloads: payloads}
	call.Resend = r.resend
	ms := destination.SyncAudience(ctx, call, r.AudienceSync)
	for i := range payloads {
		outcome, reason := ms.Result(i).Describe()
		results = append(results, strings.TrimSpace(outcome+" "+reason))
	}
	return results
}
