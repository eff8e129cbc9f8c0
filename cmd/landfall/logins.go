package main

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

// tokens brings to a plan's host where its tokens come from: nothing of them goes to a sandbox in this process. An instance
// that somebody logs in for is a mistake where there is nothing to encrypt its tokens with.
func (h *hosting) tokens(host *runtime.Host, cfg *config.Config, in config.Instance, d *destination.Definition) error {
	switch {
	case h.target.sandbox || h.target.dryRun:
		host.Token = func(context.Context, string, string) (string, error) { return "sandbox-token", nil }
	case h.store != nil && cfg.StateKey != "":
		keeper, err := openKeeper(cfg, h.store)
		host.Logins, host.TokenTransport = keeper, tokenTransport
		return err
	case cfg.StateKey == "" && runtime.NeedsLogin(d, in):
		return fault.Problems{{Pointer: in.Pointer + "/auth", Message: "its tokens are kept encrypted, and there is no key: " + keyHint}}
	}
	return nil
}

// tokenTransport is that of requests for tokens, which go to the real endpoint also where events go to a sandbox.
var tokenTransport http.RoundTripper = httpx.NewTransport(httpx.TransportConfig{})

const keyHint = "make one with `landfall auth key > landfall.key` and set state: {key: \"file:landfall.key\"}"

func openKeeper(cfg *config.Config, store *state.Store) (*oauth.Manager, error) {
	if cfg.StateKey == "" {
		return nil, fmt.Errorf("there is no key to encrypt tokens with: %s", keyHint)
	}
	box, err := oauth.NewBox(cfg.StateKey)
	if err != nil {
		return nil, fault.Problems{{Pointer: "/state/key", Message: err.Error()}}
	}
	return oauth.NewManager(store.Tokens(), box), nil
}
