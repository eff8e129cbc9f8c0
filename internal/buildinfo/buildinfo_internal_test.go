package buildinfo

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestDescribe(t *testing.T) {
	checkout := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef0123"}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}, {Key: "vcs.modified", Value: "true"}}
	landfall := func(version string) debug.Module { return debug.Module{Path: Module, Version: version} }
	program := debug.Module{Path: "example.com/acme", Version: "v4.5.6"}
	replaced := landfall("v1.2.3")
	replaced.Replace = &debug.Module{Path: "../landfall"}
	for _, c := range []struct {
		name             string
		build            debug.BuildInfo
		line, agent      string
		program, version string
	}{
		{"go install", debug.BuildInfo{Main: landfall("v1.2.3")}, "v1.2.3 (go1.26.0, linux/amd64)", "Landfall/1.2.3", "", ""},
		{
			"a tagged checkout", debug.BuildInfo{Main: landfall("v1.2.3+dirty"), Settings: checkout},
			"v1.2.3+dirty (commit 0123456789ab with changes, go1.26.0, linux/amd64)", "Landfall/1.2.3+dirty", "", "",
		},
		{"a checkout", debug.BuildInfo{Main: landfall("(devel)"), Settings: checkout[:1]}, "(devel) (commit 0123456789ab, go1.26.0, linux/amd64)", "Landfall/devel", "", ""},
		{"a short commit", debug.BuildInfo{Main: landfall(""), Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "12"}}}, "(devel) (commit 12, go1.26.0, linux/amd64)", "Landfall/devel", "", ""},
		{
			"another program", debug.BuildInfo{Main: program, Deps: []*debug.Module{{Path: Module, Version: "v1.2.3"}}},
			"v1.2.3 (in example.com/acme v4.5.6, go1.26.0, linux/amd64)", "Landfall/1.2.3", "example.com/acme", "v4.5.6",
		},
		{
			"a replacement", debug.BuildInfo{Main: program, Deps: []*debug.Module{&replaced}},
			"(devel) (in example.com/acme v4.5.6, go1.26.0, linux/amd64)", "Landfall/devel", "example.com/acme", "v4.5.6",
		},
		{"no record", debug.BuildInfo{}, "(devel) (go1.26.0, linux/amd64)", "Landfall/devel", "", ""},
	} {
		c.build.GoVersion = "go1.26.0"
		info := describe(&c.build)
		info.OS, info.Arch = "linux", "amd64"
		assert.Equal(t, c.line, info.String(), c.name)
		assert.Equal(t, c.agent, info.UserAgent(), c.name)
		assert.Equal(t, []string{c.program, c.version}, []string{info.Program, info.ProgramVersion}, c.name)
	}
	assert.Equal(t, "2026-01-02T03:04:05Z", describe(&debug.BuildInfo{Settings: checkout}).Time)
	assert.NotEmpty(t, Read().Go, "the test binary has a record")
}
