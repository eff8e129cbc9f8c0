package instances

import (
	"context"
	"fmt"
	"net/http"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/state"
)

// setTokens tells a plan's host where to get tokens. A sandbox in this process gets a made-up token. If an instance needs a login but the
// config has no key to encrypt its tokens with, that is an error.
func (h *Options) setTokens(host *runtime.Host, cfg *config.Config, in config.Instance, d *destination.Definition) error {
	switch {
	case h.Target.Sandbox || h.Target.DryRun:
		host.Token = func(context.Context, string, string) (string, error) { return "sandbox-token", nil }
	case h.Store != nil && cfg.StateKey != "":
		keeper, err := OpenLoginManager(cfg, h.Store)
		host.Logins, host.TokenTransport = keeper, tokenTransport
		return err
	case cfg.StateKey == "" && runtime.NeedsLogin(d, in):
		return fault.Problems{{Pointer: in.Pointer + "/auth", Message: "its tokens are stored encrypted, but the config has no key: " + KeyHint}}
	}
	return nil
}

// tokenTransport is the transport of requests for tokens. They go to the real endpoint even if events go to a sandbox.
var tokenTransport http.RoundTripper = httpx.NewTransport(httpx.TransportConfig{})

// KeyHint says how to give a config a key.
const KeyHint = "make one with `landfall auth key > landfall.key` and set state: {key: \"file:landfall.key\"}"

// OpenLoginManager returns the manager of the logins in a store. A config without a key is an error.
func OpenLoginManager(cfg *config.Config, store *state.Store) (*oauth.Manager, error) {
	if cfg.StateKey == "" {
		return nil, fmt.Errorf("the config has no key to encrypt tokens with: %s", KeyHint)
	}
	box, err := oauth.NewBox(cfg.StateKey)
	if err != nil {
		return nil, fault.Problems{{Pointer: "/state/key", Message: err.Error()}}
	}
	return oauth.NewManager(store.Tokens(), box), nil
}
