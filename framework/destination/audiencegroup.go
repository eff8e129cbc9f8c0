package destination

import (
	"cmp"
	"context"
	"slices"
)

// audienceGroup holds audiences whose changes are sent in the same requests: one, unless the remote takes several in a request.
type audienceGroup []*audienceBatch

// groupsOf returns the audiences as they are sent: each alone, or those of one direction together if they share requests.
func (s *AudienceSync) groupsOf(audiences []*audienceBatch) (groups []audienceGroup) {
	first, second := inSendingOrder(audiences)
	for _, batches := range [][]*audienceBatch{first, second} {
		if s.SharesRequests && len(batches) > 0 {
			groups = append(groups, batches)
			continue
		}
		for _, b := range batches {
			groups = append(groups, audienceGroup{b})
		}
	}
	return groups
}

// send creates the audiences if needed, then changes their members. Results that were set before an error remain.
//
// Only one batch of an audience runs at a time, so the ledger does not change between Lookup and Record.
func (g audienceGroup) send(ctx context.Context) error {
	release, err := g.lock(ctx)
	defer release()
	if err != nil {
		return err
	}
	changes, err := g.prepare(ctx)
	if err != nil || len(changes) == 0 {
		return err
	}
	sync := g[0].AudienceSync
	bisection := Bisection[*MemberChange]{
		Send: func(ctx context.Context, changes []*MemberChange) error {
			return sync.Change(ctx, g[0].audience, changes)
		},
		Accept: func(changes []*MemberChange) error {
			return g.eachAudience(changes, func(b *audienceBatch, own []*MemberChange) error { return b.acceptChanges(ctx, own) })
		},
		Fail: func(changes []*MemberChange, err error) {
			_ = g.eachAudience(changes, func(b *audienceBatch, own []*MemberChange) error { b.failChanges(ctx, own, err); return nil })
		},
		Divisible: sync.Divisible,
	}
	for part := range slices.Chunk(changes, cmp.Or(sync.MaxMembers, len(changes))) {
		if err := g.eachAudience(part, func(b *audienceBatch, own []*MemberChange) error { return b.beginSending(ctx, own) }); err != nil {
			return err
		}
		if err := bisection.Run(ctx, part); err != nil {
			return err
		}
		if err := g.eachAudience(part, func(b *audienceBatch, _ []*MemberChange) error { return b.rememberCreated(ctx) }); err != nil {
			return err
		}
	}
	return nil
}

// lock locks the audiences, in the order of their ids so that groups do not wait for each other.
func (g audienceGroup) lock(ctx context.Context) (release func(), err error) {
	var releases []func()
	release = func() {
		for _, f := range releases {
			f()
		}
	}
	for _, b := range slices.SortedFunc(slices.Values(g), func(a, b *audienceBatch) int { return cmp.Compare(a.audience.ID, b.audience.ID) }) {
		f, err := b.deps.Locks.Lock(ctx, b.audience.ID)
		if err != nil {
			return release, err
		}
		releases = append(releases, f)
	}
	return release, nil
}

// prepare returns the changes to send, in the order of their payloads, and creates their audiences if needed.
func (g audienceGroup) prepare(ctx context.Context) (all []*MemberChange, err error) {
	for _, b := range g {
		changes, err := b.filterNew(ctx, b.changes)
		if err != nil {
			return nil, err
		}
		if len(changes) > 0 {
			err = b.ensureCreated(ctx)
		}
		if err != nil || len(changes) == 0 || len(g) > 1 { // otherwise with the marks of the changes
			err = cmp.Or(b.beginSending(ctx, nil), err)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, changes...)
	}
	if len(g) > 1 {
		slices.SortFunc(all, func(a, b *MemberChange) int { return cmp.Compare(a.index, b.index) })
	}
	return all, nil
}

// eachAudience calls visit with the changes of each audience that has some, until an error.
func (g audienceGroup) eachAudience(changes []*MemberChange, visit func(b *audienceBatch, own []*MemberChange) error) error {
	if len(g) == 1 {
		return visit(g[0], changes)
	}
	byID := map[string][]*MemberChange{}
	for _, c := range changes {
		byID[c.Audience.ID] = append(byID[c.Audience.ID], c)
	}
	for _, b := range g {
		own := byID[b.audience.ID]
		if len(own) == 0 {
			continue
		}
		if err := visit(b, own); err != nil {
			return err
		}
	}
	return nil
}

// failRest sets err as the result of every undecided payload of the audiences.
func (g audienceGroup) failRest(err error) {
	for _, b := range g {
		b.failRest(err)
	}
}
