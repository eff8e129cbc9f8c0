// Package buildinfo says which version of Landfall a program contains, as Go recorded it when the program was built. That needs no flags
// of the linker: go install with a version, go build in a checkout with a tag, and programs that import Landfall all record it.
package buildinfo

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
)

// Module is the path of Landfall's module.
const Module = "github.com/landfall-dev/landfall"

// Unknown is the version of a program that was built from a checkout without version control.
const Unknown = "(devel)"

// Info describes a program.
type Info struct {
	Version  string `json:"version"`          // of Landfall, such as v1.2.3, or Unknown
	Commit   string `json:"commit,omitempty"` // of the checkout that the program was built from
	Time     string `json:"time,omitempty"`   // of the commit, in RFC 3339
	Modified bool   `json:"modified"`         // the checkout had changes that were not committed
	Go       string `json:"go"`               // such as go1.26.0
	OS       string `json:"os"`
	Arch     string `json:"arch"`
	// Program and ProgramVersion name the module of a program other than Landfall's own.
	Program        string `json:"program,omitempty"`
	ProgramVersion string `json:"programVersion,omitempty"`
}

// Read returns the description of the running program.
var Read = sync.OnceValue(func() Info {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		build = &debug.BuildInfo{GoVersion: runtime.Version()}
	}
	return describe(build)
})

// describe returns what the record of a build says.
func describe(build *debug.BuildInfo) Info {
	info := Info{Version: Unknown, Go: build.GoVersion, OS: runtime.GOOS, Arch: runtime.GOARCH}
	for _, m := range append([]*debug.Module{&build.Main}, build.Deps...) {
		if m.Path == Module && m.Replace == nil && m.Version != "" {
			info.Version = m.Version
		}
	}
	if build.Main.Path != "" && build.Main.Path != Module {
		info.Program, info.ProgramVersion = build.Main.Path, build.Main.Version
	}
	for _, s := range build.Settings {
		switch s.Key {
		case "vcs.revision":
			info.Commit = s.Value
		case "vcs.time":
			info.Time = s.Value
		case "vcs.modified":
			info.Modified = s.Value == "true"
		}
	}
	return info
}

// String returns the description in one line, such as "v1.2.3 (commit 0123456789ab, go1.26.0, linux/amd64)".
func (i Info) String() string {
	var details []string
	if i.Commit != "" {
		commit := "commit " + i.Commit[:min(12, len(i.Commit))]
		if i.Modified {
			commit += " with changes"
		}
		details = append(details, commit)
	}
	if i.Program != "" {
		details = append(details, strings.TrimSpace("in "+i.Program+" "+i.ProgramVersion))
	}
	details = append(details, i.Go, i.OS+"/"+i.Arch)
	return fmt.Sprintf("%s (%s)", i.Version, strings.Join(details, ", "))
}

// UserAgent returns the value of the header User-Agent for requests that the program sends, such as Landfall/1.2.3.
func (i Info) UserAgent() string {
	return "Landfall/" + strings.TrimPrefix(strings.Trim(i.Version, "()"), "v")
}
