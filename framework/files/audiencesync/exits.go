package audiencesync

import (
	"context"
	"errors"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/state"
)

// Purge removes every known member. Events from before its start no longer have an effect; an entry after it counts, also while the
// purge runs. Members whose exit fails stay uncertain, and the next purge or sync sends their exit again.
func (s *Syncer) Purge(ctx context.Context, a destination.Audience) (Report, error) {
	return s.sendExits(ctx, a, func(string) bool { return true }, func(out *sender) error {
		if s.DryRun {
			return nil
		}
		return s.Ledger.Purge(ctx, a, out.began)
	})
}

// Leave sends the exits of the members whose identity matches, and of those who may be members. Entries from after its start count.
func (s *Syncer) Leave(ctx context.Context, a destination.Audience, match func(identity string) bool) (Report, error) {
	return s.sendExits(ctx, a, match, func(*sender) error { return nil })
}

// sendExits calls begin, and then sends the exits of the users who match and who are members or may be.
func (s *Syncer) sendExits(ctx context.Context, a destination.Audience, match func(identity string) bool, begin func(*sender) error) (Report, error) {
	now := s.currentTime()
	report, err := s.newReport(ctx, a)
	if err != nil {
		return report, err
	}
	out, err := s.newSender(a, &report, now, true)
	if err == nil {
		err = begin(out)
	}
	if err != nil {
		return report, err
	}
	err = s.Ledger.Each(ctx, a.ID, "", func(m state.Membership) error {
		if !m.Member && !m.Uncertain || !match(m.Identity) || out.isOvertaken(m) {
			return nil
		}
		report.Exits++
		return out.changeMember(ctx, m.Identity, false, m, "")
	})
	return report, errors.Join(err, out.flush(ctx))
}
