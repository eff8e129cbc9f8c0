// Package webhook sends events to any HTTP endpoint. What it does is declared in destination.yaml; there is no code but the
// sandbox.
package webhook

import (
	"embed"

	"github.com/landfall-dev/landfall/framework/destination"
)

//go:embed destination.yaml
var definition embed.FS

// Plugin is the destination.
func Plugin() destination.Plugin {
	return destination.Plugin{Definition: definition, Sandbox: receiver()}
}
