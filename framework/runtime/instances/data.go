package instances

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
	"github.com/landfall-dev/landfall/internal/textfile"
)

const (
	DefaultData = "landfall-data" // the data directory beside a config that names none
	QueueDir    = "queue"         // the queue's directory in a data directory
)

// DataDir returns the data directory: the given one, otherwise the config's, otherwise the default one beside the config.
func DataDir(cfg *config.Config, data string) string {
	return cmp.Or(data, cfg.ResolvePath(cmp.Or(cfg.Data, DefaultData)))
}

// OpenState opens the state of a config for a sandbox, or for real remotes if sandbox is "". data names the directory of local files; it
// does not override state.url. Each sandbox has its own state, so that a rehearsal never counts as a delivery to the real remote.
func OpenState(ctx context.Context, cfg *config.Config, data, sandbox string) (*state.Store, error) {
	return openStateWith(ctx, cfg, data, sandbox, state.OpenSandbox)
}

// OpenExistingState is OpenState for a program that works on what is there: it creates nothing, and the error is a *state.MissingError if there
// is no state.
func OpenExistingState(ctx context.Context, cfg *config.Config, data, sandbox string) (*state.Store, error) {
	return openStateWith(ctx, cfg, data, sandbox, state.OpenExisting)
}

func openStateWith(ctx context.Context, cfg *config.Config, data, sandbox string, open func(ctx context.Context, location, sandbox string) (*state.Store, error)) (*state.Store, error) {
	store, err := open(ctx, cmp.Or(cfg.StateURL, DataDir(cfg, data)), sandbox)
	if err != nil {
		return nil, err
	}
	return store.WithMaxFuture(cfg.Server.MaxFuture), nil
}

// SandboxName returns the name under which the data of the target is stored; "" for real remotes.
func (t *Target) SandboxName() string { return state.SandboxName(t.Sandbox, t.SandboxURL) }

// UnusedState returns the local state file of a config whose state is in a database, or "" if there is none. Earlier versions wrote such a
// file if a data directory was given on the command line.
func UnusedState(cfg *config.Config, data string) string {
	file := filepath.Join(DataDir(cfg, data), state.FileName)
	if _, err := os.Stat(file); cfg.StateURL == "" || err != nil {
		return ""
	}
	return file
}

// QueueName returns the name of a queue's directory in a data directory. Each sandbox has its own queue.
func QueueName(sandbox string) string {
	if sandbox == "" {
		return QueueDir
	}
	return QueueDir + "-" + sandbox
}

// SandboxesIn returns the names of the sandboxes that have data in a data directory: the part that * stands for in the names of the files
// that match pattern.
func SandboxesIn(dir, pattern string) (names []string) {
	before, after, _ := strings.Cut(pattern, "*")
	files, _ := textfile.Glob(dir, pattern) // the pattern is well-formed
	for _, file := range files {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), before), after))
	}
	return names
}

// OnlySandbox chooses the sandbox for a command that reads data and names no target. It returns "" if the directory has data of real
// remotes, or of no or several sandboxes. Otherwise it returns the only sandbox, and notes that on w.
func OnlySandbox(w io.Writer, dir, live, pattern string) string {
	if _, err := os.Stat(filepath.Join(dir, live)); err == nil {
		return ""
	}
	names := SandboxesIn(dir, pattern)
	if len(names) != 1 {
		return ""
	}
	fmt.Fprintf(w, "note: %s has no data of real remotes; using the data of the %s\n", dir, names[0])
	return names[0]
}
