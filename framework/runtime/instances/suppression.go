package instances

import (
	"context"
	"fmt"

	"github.com/landfall-dev/landfall/framework/event/identifier"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/state"
)

// IdentifierKey returns the key with which a config's program hashes identifiers of users. A config without state.key is an error.
func IdentifierKey(cfg *config.Config) (identifier.Key, error) {
	if cfg.StateKey == "" {
		return identifier.Key{}, fmt.Errorf("the config has no key to hash identifiers of users with: %s", KeyHint)
	}
	return identifier.NewKey(cfg.StateKey), nil
}

// LoadSuppressed returns the suppressed users of a state. unknown is the number of those that were suppressed with another state.key, or of
// all of them if the config has none: they cannot be recognized, so they are not in the set.
func LoadSuppressed(ctx context.Context, cfg *config.Config, store *state.Store) (set *identifier.Set, unknown int, err error) {
	list, err := store.Suppressed(ctx)
	if err != nil || cfg.StateKey == "" {
		return nil, len(list), err
	}
	key := identifier.NewKey(cfg.StateKey)
	var hashes []string
	for _, e := range list {
		if e.Key == key.ID() {
			hashes = append(hashes, e.Hash)
		}
	}
	return identifier.NewSet(key, hashes), len(list) - len(hashes), nil
}
