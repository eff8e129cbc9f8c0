package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/state"
)

// argumentsOfCommands are arguments that each command with a config accepts, without those that say where the config and the data are. FILE is a file
// of events and of users.
func argumentsOfCommands() map[string]string {
	return map[string]string{
		"audience create": "--key vip --sandbox", "audience get": "--key vip --sandbox", "audience syncs approve": "gold", "audience syncs history": "", "audience syncs list": "", "audience syncs run": "gold",
		"auth login": "", "auth logout": "", "auth status": "", "auth test": "--sandbox", "backup": "FILE-copy", "checkpoints repair": "", "choices": "--action a --sandbox", "dead drop": "--all", "dead list": "",
		"dead replay": "--all", "dead show": "1-0-x", "erase": "--user u1 --yes", "erase list": "", "erase show": "x", "explain": "--event EVENT", "hooks run": "--sandbox", "instances forget": "old --yes",
		"instances list": "", "instances rename": "old braze-main --yes", "members diff": "vip --against FILE --sandbox", "members export": "vip", "members list": "", "members purge": "vip --yes --sandbox",
		"members resync": "vip --sandbox", "members show": "u1", "replay": "--instance braze-main --since 1h", "resume": "braze-main", "run": "--sandbox FILE", "serve": "--sandbox --listen 127.0.0.1:0", "state downgrade": "--yes",
		"state retarget": "braze-main --yes", "state show": "", "state upgrade": "--yes", "status": "", "suppress add": "u1", "suppress list": "", "suppress remove": "u1", "sync": "--sandbox --audience vip FILE", "why": "--user u1",
	}
}

// reportingCommands have a config too, and report what is wrong with it, or need none.
var reportingCommands = []string{"doctor", "validate", "health", "console", "restore"}

// TestMistakesEndEveryCommand checks that no command goes on if it cannot use its config, its destinations or its data directory: the exit code is
// 1 or 2, the message names the place, and there is no result.
func TestMistakesEndEveryCommand(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	good, broken := write("good/landfall.yaml", serveConfig), write("broken/landfall.yaml", serveConfig+"nonsense: 1\n")
	file, event := write("users.csv", "external_id\nu1\n"), write("event.json", `{"type":"track"}`)
	definitions := filepath.Dir(filepath.Dir(write("definitions/acme/destination.yaml", "name: Acme\nslug: acme\ncolour: red\n")))
	run := func(args ...string) (code int, out, errs string) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a server that starts would not end
		defer cancel()
		return commandHere(ctx, args...)
	}
	for _, sandbox := range []string{"", "sandbox"} {
		store, err := state.OpenSandbox(t.Context(), filepath.Join(filepath.Dir(good), "landfall-data"), sandbox)
		require.NoError(t, err)
		require.NoError(t, store.Close())
	}
	seen := map[string]bool{}
	for name, text := range argumentsOfCommands() {
		seen[name] = true
		args := append(strings.Fields(name), strings.Fields(strings.NewReplacer("FILE", file, "EVENT", event).Replace(text))...)
		for _, c := range []struct{ with, want string }{
			{"--config " + broken, "nonsense"}, {"--config " + filepath.Join(dir, "none.yaml"), "none.yaml: there is no such file"},
			{"--config " + good + " --data " + file, "users.csv"}, {"--config " + good + " --definitions " + definitions, "colour"},
		} {
			switch {
			case strings.Contains(c.with, "--data") && (name == "explain" || name == "auth test"), // they use no data
				strings.Contains(c.with, "--definitions") && !usesDestinations(name),
				strings.Contains(c.with, "none.yaml") && name == "serve": // which then offers to write one
				continue
			}
			code, out, errs := run(append(args, strings.Fields(c.with)...)...)
			assert.NotZero(t, code, "%s %s", name, c.with)
			assert.Empty(t, out, "%s %s", name, c.with)
			assert.Contains(t, errs, c.want, "%s %s", name, c.with)
		}
	}
	for _, name := range reportingCommands {
		seen[name] = true
	}
	var o bytes.Buffer
	eachCommand(newRoot(streams{out: &o, err: &o}), func(cmd *cobra.Command) {
		if cmd.Flags().Lookup("config") != nil {
			_, name, _ := strings.Cut(cmd.CommandPath(), " ")
			assert.True(t, seen[name], "give arguments of landfall %s", name)
		}
	})
}

// TestInterruptedCommands checks that a command which a signal ends says so, instead of what it could not do because of that.
func TestInterruptedCommands(t *testing.T) {
	dir := t.TempDir()
	config, file, event := filepath.Join(dir, "landfall.yaml"), filepath.Join(dir, "users.csv"), filepath.Join(dir, "event.json")
	require.NoError(t, os.WriteFile(config, []byte(serveConfig), 0o600))
	require.NoError(t, os.WriteFile(file, []byte("external_id\nu1\n"), 0o600))
	require.NoError(t, os.WriteFile(event, []byte(`{"type":"track"}`), 0o600))
	for _, sandbox := range []string{"", "sandbox"} {
		store, err := state.OpenSandbox(t.Context(), filepath.Join(dir, "landfall-data"), sandbox)
		require.NoError(t, err)
		require.NoError(t, store.Close())
	}
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	shown := 0
	for name, text := range argumentsOfCommands() {
		line := name + " " + strings.NewReplacer("FILE", file, "EVENT", event).Replace(text) + " --config " + config
		_, _, errs := commandHere(interrupted, strings.Fields(line)...)
		assert.NotContains(t, errs, "context canceled", line)
		assert.NotContains(t, errs, "already been committed", line)
		if strings.Contains(errs, "interrupted: ") {
			shown++
		}
	}
	assert.Greater(t, shown, 10, "most commands on data are interrupted before they read it")
}

// createStates are the commands that may create a state: all others say that there is none.
var createStates = []string{"audience create", "auth login", "hooks run", "suppress add", "sync"}

// TestCommandsCreateNoData checks that commands which work on data that is there create none in a directory that does not exist.
func TestCommandsCreateNoData(t *testing.T) {
	dir := t.TempDir()
	config, file, event := filepath.Join(dir, "landfall.yaml"), filepath.Join(dir, "users.csv"), filepath.Join(dir, "event.json")
	require.NoError(t, os.WriteFile(config, []byte(serveConfig), 0o600))
	require.NoError(t, os.WriteFile(file, []byte("external_id\nu1\n"), 0o600))
	require.NoError(t, os.WriteFile(event, []byte(`{"type":"track"}`), 0o600))
	all := argumentsOfCommands()
	all["doctor"], all["health"] = "", ""
	for name, text := range all {
		if slices.Contains(createStates, name) || name == "serve" || name == "run" {
			continue
		}
		for _, of := range []string{"", " --sandbox"} {
			if of != "" && strings.Contains(text, of) {
				continue
			}
			data := filepath.Join(dir, "none")
			line := name + " " + strings.NewReplacer("FILE", file, "EVENT", event).Replace(text) + of + " --config " + config + " --data " + data
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			_, _, errs := commandHere(ctx, strings.Fields(line)...)
			cancel()
			assert.NoDirExists(t, data, "%s: %s", line, errs)
			require.NoError(t, os.RemoveAll(data))
		}
	}
}

// usesDestinations reports whether a command needs the definitions of the destinations before it finds out that nothing else is there.
func usesDestinations(name string) bool {
	switch strings.Fields(name)[0] {
	case "audience", "auth", "choices", "explain", "hooks", "members", "run", "serve", "sync":
		return !strings.HasPrefix(name, "audience syncs")
	}
	return name == "state retarget"
}

func eachCommand(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, inner := range cmd.Commands() {
		eachCommand(inner, visit)
	}
}

// TestMistakesInDefinitionsEndEveryCommand checks the commands that have no config.
func TestMistakesInDefinitionsEndEveryCommand(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "acme"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "acme", "destination.yaml"), []byte("name: Acme\nslug: acme\ncolour: red\n"), 0o600))
	list := filepath.Join(dir, "list.json")
	require.NoError(t, os.WriteFile(list, []byte("[]"), 0o600))
	for _, args := range []string{"list", "describe acme", "import subscriptions " + list + " --destination acme"} {
		for _, definitions := range []string{dir, filepath.Join(dir, "none")} {
			code, out, errs := commandHere(t.Context(), append(strings.Fields(args), "--definitions", definitions)...)
			assert.NotZero(t, code, "%s: %s", args, definitions)
			assert.Empty(t, out, args)
			assert.Contains(t, errs, map[bool]string{true: "colour", false: "none"}[definitions == dir], args)
		}
	}
}
