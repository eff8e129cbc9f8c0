package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/sample"
)

func TestMain(m *testing.M) {
	testscript.Main(tidied{m}, map[string]func(){
		"landfall":        func() { os.Exit(Main()) },
		"landfall-sample": func() { os.Exit(Main(sample.Plugin())) }, // with a destination that uses everything
	})
}

// TestScripts runs the command line as people do; $REPO is the repository.
func TestScripts(t *testing.T) {
	repo, err := filepath.Abs("../..")
	require.NoError(t, err)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("REPO", repo)
			return nil
		},
	})
}
