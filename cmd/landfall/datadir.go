package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/state"
)

// queueDir is the queue's part of a data directory.
const queueDir = "queue"

// dataDir is the data directory: the one that was given, else the config's.
func dataDir(cfg *config.Config, data string) string {
	return cmp.Or(data, cfg.ResolvePath(cmp.Or(cfg.Data, defaultData)))
}

// openState opens the state of a config for a sandbox, or for real remotes if its name is "". A data directory says where local files lie; it does not override state.url.
// A sandbox has a state of its own, so that what it was sent never looks like a delivery to the real remote.
func openState(ctx context.Context, cfg *config.Config, data, sandbox string) (*state.Store, error) {
	store, err := state.OpenSandbox(ctx, cmp.Or(cfg.StateURL, dataDir(cfg, data)), sandbox)
	if err != nil {
		return nil, err
	}
	return store.WithMaxFuture(cfg.Server.MaxFuture), nil
}

// sandboxName returns the name under which the data of the target is kept; "" for real remotes.
func (t *target) sandboxName() string { return state.SandboxName(t.sandbox, t.sandboxURL) }

// unusedState returns the local state file of a config that names a database, if there is one. Earlier versions wrote to that file
// when a data directory was given on the command line.
func unusedState(cfg *config.Config, data string) string {
	file := filepath.Join(dataDir(cfg, data), state.FileName)
	if _, err := os.Stat(file); cfg.StateURL == "" || err != nil {
		return ""
	}
	return file
}

// queueName returns the directory of a queue in a data directory: a sandbox has one of its own.
func queueName(sandbox string) string {
	if sandbox == "" {
		return queueDir
	}
	return queueDir + "-" + sandbox
}

// sandboxesIn returns the names of the sandboxes that a data directory holds something of: files named like pattern, where * is the
// name.
func sandboxesIn(dir, pattern string) (names []string) {
	before, after, _ := strings.Cut(pattern, "*")
	files, _ := filepath.Glob(filepath.Join(dir, pattern)) // the pattern is well-formed
	for _, file := range files {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), before), after))
	}
	return names
}

// onlySandbox chooses the sandbox whose data a command reads that names no target: none if there is data of real remotes, otherwise
// the only sandbox that there is data of. It says so on w.
func onlySandbox(w io.Writer, dir, live, pattern string) string {
	if _, err := os.Stat(filepath.Join(dir, live)); err == nil {
		return ""
	}
	names := sandboxesIn(dir, pattern)
	if len(names) != 1 {
		return ""
	}
	fmt.Fprintf(w, "note: nothing has been sent to real remotes from %s; this is what the %s was sent\n", dir, names[0])
	return names[0]
}
