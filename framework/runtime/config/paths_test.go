package config_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime/config"
)

func TestStateLocation(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "",
		"data: state":                   "/etc/landfall/state",
		"data: ../state":                "/etc/state",
		"data: /var/lib/landfall":       "/var/lib/landfall",
		"state: {url: postgres://db/l}": "postgres://db/l",
		"data: state\nstate: {url: postgres://db/l}": "postgres://db/l",
	} {
		cfg, problems := config.Parse("/etc/landfall/landfall.yaml", []byte(text+"\ndestinations: [{id: a, destination: webhook, subscriptions: [{action: send}]}]\n"), config.Env{})
		require.Empty(t, problems, text)
		assert.Equal(t, want, cfg.StateLocation(), text)
	}
}
