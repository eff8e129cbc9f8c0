// Package hubspot creates and updates contacts, companies and other records in HubSpot, and sends events. destination.yaml declares
// everything except the sandbox, which follows HubSpot's public documentation, has its state in memory and is safe for concurrent use.
package hubspot

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
