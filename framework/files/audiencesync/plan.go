package audiencesync

import (
	"context"
	"time"

	"github.com/landfall-dev/landfall/framework/state"
)

// plan holds the changes that make an audience match a list, so that the ledger is compared only once: the guard counts them, and then they are sent.
type plan struct {
	syncer  *Syncer
	began   time.Time // before the comparison, on the clock by which the ledger records changes
	changes *state.Scratch
}

// newPlan returns an empty plan. A dry run keeps no changes.
func (s *Syncer) newPlan(ctx context.Context) (*plan, error) {
	p := &plan{syncer: s, began: time.Now()}
	if s.DryRun {
		return p, nil
	}
	var err error
	p.changes, err = state.NewScratch(ctx)
	return p, err
}

func (p *plan) close() {
	if p.changes != nil {
		_ = p.changes.Close()
	}
}

// compare counts the changes that make an audience match a list. Those of a mirror are kept.
func (p *plan) compare(ctx context.Context, id string, mode Mode, users *state.Scratch, report *Report) error {
	err := p.syncer.Ledger.CompareStates(ctx, id, users, func(identity string, in bool, m state.MemberState) error {
		member, send := mode.desiredState(listingOf(in, users.Note()), m)
		if !send {
			if in && m.Member {
				report.Unchanged++
			}
			return nil
		}
		report.countChange(member)
		if p.syncer.OnPlanned != nil {
			p.syncer.OnPlanned(identity, member)
		}
		if p.changes == nil || mode != Mirror {
			return nil
		}
		return p.add(ctx, plannedChange{identity, member, propertiesOf(users.Note())})
	})
	report.Duplicates = users.Duplicates()
	return err
}

// addChanged adds the users to a mirror's plan whose state was recorded after the comparison began, and whom the list wants otherwise.
func (p *plan) addChanged(ctx context.Context, id string, users *state.Scratch) error {
	changed, err := state.NewScratch(ctx)
	if err != nil {
		return err
	}
	defer changed.Close()
	found := false
	err = p.syncer.Ledger.EachChanged(ctx, id, p.began, func(identity string) error {
		found = true
		return changed.Add(ctx, []string{identity})
	})
	if err != nil || !found {
		return err
	}
	return state.CompareSets(ctx, users, changed, func(pair state.Pair) error {
		if !pair.InB {
			return nil
		}
		return p.add(ctx, plannedChange{pair.Identity, listingOf(pair.InA, pair.NoteA) == listed, propertiesOf(pair.NoteA)})
	})
}

// plannedChange is a change that a mirror sends, unless the user has the state by then.
type plannedChange struct {
	identity   string
	member     bool
	properties string // as JSON; "" if there are none
}

// The first byte of a planned change's note.
const (
	plansEntry = "+"
	plansExit  = "-"
)

func (p *plan) add(ctx context.Context, c plannedChange) error {
	note := plansExit
	if c.member {
		note = plansEntry
	}
	return p.changes.AddNoted(ctx, c.identity, note+c.properties)
}

// each calls f for every planned change, in byte order of the identities.
func (p *plan) each(ctx context.Context, f func(plannedChange) error) error {
	return p.changes.Each(ctx, func(identity, note string) error {
		return f(plannedChange{identity, note[:1] == plansEntry, note[1:]})
	})
}
