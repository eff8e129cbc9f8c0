// Package landfall holds the pages of the documentation, for landfall docs. The program is in cmd/landfall, and the packages that programs
// use are below framework.
package landfall

import "embed"

// Pages are the Markdown files of the module, at their paths, and the pictures that they show.
//
//go:embed *.md cmd/landfall/*.md cmd/landfall/deploy/*.md destinations/*.md destinations/*/*.md
//go:embed framework/*.md framework/*/*.md framework/*/*/*.md framework/server/console/console.png
var Pages embed.FS
