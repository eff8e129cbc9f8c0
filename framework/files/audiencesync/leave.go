package audiencesync

import (
	"context"
	"errors"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/state"
)

// Leave sends the exits of the members whose identity matches, and of those who may be members. Entries from after its start count.
func (s *Syncer) Leave(ctx context.Context, a destination.Audience, match func(identity string) bool) (Report, error) {
	now := s.currentTime()
	report, err := s.newReport(ctx, a)
	if err != nil {
		return report, err
	}
	out, err := s.newSender(a, &report, now, true)
	if err != nil {
		return report, err
	}
	err = s.Ledger.Each(ctx, a.ID, "", func(m state.Membership) error {
		if !m.Member && !m.Uncertain || !match(m.Identity) || out.isOvertaken(m) {
			return nil
		}
		report.Exits++
		return out.changeMember(ctx, m.Identity, false, m)
	})
	return report, errors.Join(err, out.flush(ctx))
}
