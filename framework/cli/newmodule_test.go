package cli

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/internal/author/generate"
)

func TestTheVersionOfAProgram(t *testing.T) {
	main := func(version string) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Path: generate.Framework, Version: version}}
	}
	of := func(m debug.Module) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Path: "example.com/acme", Version: "v1.2.3"}, Deps: []*debug.Module{{Path: "example.com/other", Version: "v9.0.0"}, &m}}
	}
	for _, c := range []struct {
		name string
		info *debug.BuildInfo
		want string
	}{
		{"a release", main("v0.1.0"), "v0.1.0"},
		{"a commit", main("v0.1.1-0.20260102030405-0123456789ab"), "v0.1.1-0.20260102030405-0123456789ab"},
		{"a checkout", main("(devel)"), ""},
		{"a checkout with changes", main("v0.1.1-0.20260102030405-0123456789ab+dirty"), ""},
		{"no version", main(""), ""},
		{"a program of one's own", of(debug.Module{Path: generate.Framework, Version: "v0.1.0"}), "v0.1.0"},
		{"one with a checkout", of(debug.Module{Path: generate.Framework, Version: "v0.0.0", Replace: &debug.Module{Path: "../landfall"}}), ""},
		{"another program", &debug.BuildInfo{Main: debug.Module{Path: "example.com/acme", Version: "v1.2.3"}}, ""},
	} {
		assert.Equal(t, c.want, frameworkVersion(c.info), c.name)
	}
}
