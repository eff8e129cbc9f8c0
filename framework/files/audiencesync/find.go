package audiencesync

import (
	"context"
	"fmt"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/state"
)

// Find is an audience that the ledger has, by its id or its name.
func (k *Keeper) Find(ctx context.Context, idOrName string) (destination.AudienceSize, error) {
	sizes, err := k.Ledger.Sizes(ctx)
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
	return destination.AudienceSize{}, fmt.Errorf("the ledger has no cohort %q%s", idOrName, fault.DidYouMean(idOrName, names))
}

// Standing is somebody in one audience, with what happened to them, the newest last.
type Standing struct {
	Audience destination.Audience
	state.Standing
	History []state.Happening
}

// Standings are those of a user in every audience that knows them. The user is the value of any identifier, or an identity as
// the ledger has it.
func (k *Keeper) Standings(ctx context.Context, user string) ([]Standing, error) {
	sizes, err := k.Ledger.Sizes(ctx)
	if err != nil {
		return nil, err
	}
	var list []Standing
	for _, size := range sizes {
		for _, identity := range k.identities(user) {
			standing, history, ok, err := k.Ledger.Find(ctx, size.ID, identity)
			if err != nil {
				return nil, err
			}
			if ok {
				list = append(list, Standing{size.Audience, standing, history})
			}
		}
	}
	return list, nil
}

// identities are the identities that a user may be meant by.
func (k *Keeper) identities(user string) []string {
	list := []string{user}
	for _, name := range k.Audiences.Identifiers {
		identity, ok := k.Audiences.Identity(func(id string) string {
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
