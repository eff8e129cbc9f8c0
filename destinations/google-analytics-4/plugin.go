// Package googleanalytics4 is the destination Google Analytics 4. destination.yaml declares its requests, sandbox.yaml the rules of the simulated API.
package googleanalytics4

import (
	"embed"

	"github.com/landfall-dev/landfall/framework/destination"
)

//go:embed destination.yaml sandbox.yaml
var files embed.FS

// Plugin returns the destination.
func Plugin() destination.Plugin {
	return destination.Plugin{Definition: files, Sandbox: destination.DeclaredSandbox("google-analytics-4", files)}
}
