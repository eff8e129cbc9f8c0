package instances

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/state"
)

// OpenSecrets returns a copy of the config in which the references secret:NAME are replaced by the secrets, which are stored encrypted in the
// state of the real destinations. A config without such references is returned as it is.
func (h *Options) OpenSecrets(ctx context.Context, cfg *config.Config) (*config.Config, fault.Problems) {
	if cfg == nil || !cfg.HasSealed() {
		return cfg, nil
	}
	store, err := h.secretStore(ctx, cfg)
	if err != nil {
		return cfg.WithSealed(func(string) (string, error) { return "", err })
	}
	if store != h.Store && store != h.Secrets {
		defer store.Close()
	}
	return cfg.WithSealed(func(name string) (string, error) { return readSecret(ctx, cfg, store, name) })
}

// secretStore returns the state with the secrets: that of Options if it belongs to the real destinations, otherwise a newly opened one.
func (h *Options) secretStore(ctx context.Context, cfg *config.Config) (*state.Store, error) {
	if h.Secrets != nil {
		return h.Secrets, nil
	}
	if h.Store != nil && h.Target.SandboxName() == "" {
		return h.Store, nil
	}
	file := filepath.Join(DataDir(cfg, h.Data), state.FileName)
	if _, err := os.Stat(file); err != nil && cfg.StateURL == "" {
		return nil, fmt.Errorf("is a secret in the state, which does not exist: %s: use an environment variable", file)
	}
	return OpenState(ctx, cfg, h.Data, "")
}

// readSecret returns the secret with a name from the state.
func readSecret(ctx context.Context, cfg *config.Config, store *state.Store, name string) (string, error) {
	if cfg.StateKey == "" {
		return "", errors.New("is a secret in the state, but the config has no key to decrypt it: restore state.key")
	}
	box, err := oauth.NewBox(cfg.StateKey)
	if err != nil {
		return "", fmt.Errorf("is a secret in the state, but state.key %w", err)
	}
	sealed, err := store.Secret(ctx, name)
	switch {
	case err != nil:
		return "", fmt.Errorf("cannot be read: %w", err)
	case sealed == "":
		return "", fmt.Errorf("is a secret in the state, which has none named %s: use an environment variable", name)
	}
	text, err := box.OpenText(name, sealed)
	if err != nil {
		return "", fmt.Errorf("is the secret %s in the state: %w: restore the key, or use an environment variable", name, err)
	}
	return text, nil
}

// WriteSecret stores a secret in the state, encrypted with state.key, so that a config can refer to it as secret:NAME.
func WriteSecret(ctx context.Context, cfg *config.Config, store *state.Store, name, text string) error {
	box, err := oauth.NewBox(cfg.StateKey)
	if err != nil {
		return fault.Problems{{Pointer: "/state/key", Message: err.Error()}}
	}
	sealed, err := box.SealText(name, text)
	if err != nil {
		return err
	}
	return store.PutSecret(ctx, name, sealed)
}
