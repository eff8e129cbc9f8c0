package instances

import (
	"context"
	"fmt"

	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/state"
)

// MoveState moves the ledger and the token of an instance to another one. It can be repeated. A token that cannot be decrypted stays, which
// warn reports.
func MoveState(ctx context.Context, cfg *config.Config, store *state.Store, from, to string, warn func(string)) error {
	if err := store.Ledger(from).Rename(ctx, to); err != nil {
		return err
	}
	return moveToken(ctx, cfg, store, from, to, warn)
}

// moveToken moves the token of an instance to another one, unless that has a token.
func moveToken(ctx context.Context, cfg *config.Config, store *state.Store, from, to string, warn func(string)) error {
	content, err := store.Ledger(from).Content(ctx)
	if err != nil || !content.Token {
		return err
	}
	if cfg.StateKey == "" {
		warn(fmt.Sprintf("the token of %s cannot be decrypted without state.key: log in again with landfall auth login --instance %s", from, to))
		return nil
	}
	keeper, err := OpenLoginManager(cfg, store)
	if err != nil {
		return err
	}
	token, err := keeper.Token(ctx, from)
	if err != nil {
		return err
	}
	there, err := keeper.Token(ctx, to)
	if err != nil {
		return err
	}
	if there.Access == "" {
		if err := keeper.Put(ctx, to, token); err != nil {
			return err
		}
	}
	return keeper.Put(ctx, from, oauth.Token{})
}
