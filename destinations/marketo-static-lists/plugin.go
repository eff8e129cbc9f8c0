// Package marketostaticlists is the destination Marketo Static Lists. destination.yaml declares its requests, sandbox.yaml the rules of the simulated API.
package marketostaticlists

import (
	"embed"

	"github.com/landfall-dev/landfall/framework/destination"
)

//go:embed destination.yaml sandbox.yaml
var files embed.FS

// Plugin returns the destination.
func Plugin() destination.Plugin {
	return destination.Plugin{Definition: files, Sandbox: destination.DeclaredSandbox("marketo-static-lists", files)}
}
