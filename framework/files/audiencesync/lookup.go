package audiencesync

import (
	"context"
	"fmt"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/state"
)

// Find returns an audience of the ledger by its id or name.
func (s *Syncer) Find(ctx context.Context, idOrName string) (destination.AudienceSize, error) {
	sizes, err := s.Ledger.Sizes(ctx)
	if err != nil {
		return destination.AudienceSize{}, err
	}
	var names []string
	for _, size := range sizes {
		if size.ID == idOrName || size.Name == idOrName {
			return size, nil
		}
		names = append(names, size.ID, size.Name)
	}
	return destination.AudienceSize{}, fmt.Errorf("the ledger has no audience %q%s", idOrName, fault.DidYouMean(idOrName, names))
}

// Membership is a user's recorded state in one audience, with the history, newest last.
type Membership struct {
	Audience destination.Audience
	state.Membership
	History []state.HistoryEntry
}

// Memberships returns a user's memberships in all audiences that have an entry for the user. user is the value of any identifier, or an
// identity as stored in the ledger.
func (s *Syncer) Memberships(ctx context.Context, user string) ([]Membership, error) {
	sizes, err := s.Ledger.Sizes(ctx)
	if err != nil {
		return nil, err
	}
	var list []Membership
	for _, size := range sizes {
		for _, identity := range s.possibleIdentities(user) {
			membership, history, ok, err := s.Ledger.Find(ctx, size.ID, identity)
			if err != nil {
				return nil, err
			}
			if ok {
				list = append(list, Membership{size.Audience, membership, history})
			}
		}
	}
	return list, nil
}

// possibleIdentities returns the ledger identities that user may refer to.
func (s *Syncer) possibleIdentities(user string) []string {
	list := []string{user}
	for _, name := range s.Audiences.Identifiers {
		identity, ok := s.Audiences.Identity(func(id string) string {
			if id == name {
				return user
			}
			return ""
		})
		if ok {
			list = append(list, identity)
		}
	}
	return list
}
