package cli

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// TestUnknownSources checks that a replay without events names the sources that may be misspelt.
func TestUnknownSources(t *testing.T) {
	cfg := &config.Config{Sources: []config.Source{{ID: "web"}, {ID: "app"}}}
	assert.Empty(t, unknownSources(cfg, []string{"app", "web"}))
	assert.Equal(t, []string{`there is no source "wbe" in the config (did you mean "web"?)`, `there is no source "shop" in the config`}, unknownSources(cfg, []string{"wbe", "app", "shop"}))
	assert.Equal(t, []string{`there is no source "web" in the config`}, unknownSources(&config.Config{}, []string{"web"}))
}
