package runtime

import (
	"context"
	"errors"
	"fmt"

	"github.com/landfall-dev/landfall/framework/destination"
)

// ListsMembers reports whether the remote can list the members of an audience.
func (p *Plan) ListsMembers() bool { return p.audiences != nil && p.audiences.List != nil }

// ListMembers fetches a page of the members that an audience has at the remote. It calls each for every user, with the ledger's identities
// that the user may have, and returns the page that follows, or "" if it was the last. page is "" for the first.
func (p *Plan) ListMembers(ctx context.Context, a destination.Audience, page string, each func(identities []string) error) (next string, err error) {
	if !p.ListsMembers() {
		return "", errors.New("the destination cannot list the members of an audience")
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("listing the members of %s: the handler panicked: %v", a.ID, r)
		}
	}()
	deps, release, err := p.openDeps(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	return p.audiences.List.Fetch(ctx, destination.ListInput{Deps: deps, Settings: p.settings, Audience: a, Page: page}, each)
}

// ComparedIdentity returns the form in which an identity is compared with those of ListMembers.
func (p *Plan) ComparedIdentity(identity string) (string, error) {
	if !p.ListsMembers() || p.audiences.List.CompareAs == nil {
		return identity, nil
	}
	return p.audiences.List.CompareAs(p.settings, identity)
}
