// Package webhook sends events to any HTTP endpoint. destination.yaml declares everything except the sandbox, which simulates an
// endpoint in memory and is safe for concurrent use.
package webhook

import (
	"embed"

	"github.com/landfall-dev/landfall/framework/destination"
)

//go:embed destination.yaml
var definition embed.FS

// Plugin returns the destination.
func Plugin() destination.Plugin {
	return destination.Plugin{Definition: definition, Sandbox: newSandbox()}
}
