package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
)

// TestQueueWithoutAServer backs up and restores the queue of a data directory that no server uses, and checks what each command says before there is one,
// and what it does not overwrite.
func TestQueueWithoutAServer(t *testing.T) {
	dir := t.TempDir()
	file, data, copied, restored := filepath.Join(dir, "landfall.yaml"), filepath.Join(dir, "data"), filepath.Join(dir, "copy"), filepath.Join(dir, "restored")
	require.NoError(t, os.WriteFile(file, []byte(serveConfig), 0o600))
	run := func(args ...string) (code int, out, errs string) { return commandHere(t.Context(), args...) }
	at := []string{"--config", file, "--data", data}
	for _, args := range [][]string{{"backup", copied}, {"checkpoints", "repair"}, {"dead", "list"}, {"dead", "drop", "--all"}, {"replay", "--instance", "braze-main", "--since", "1h"}, {"instances", "list"}} {
		code, out, errs := run(append(args, at...)...)
		assert.Equal(t, []any{1, ""}, []any{code, out}, args)
		assert.Contains(t, errs, "there is no queue in "+data+", so no server has run with it", args)
	}
	q, err := delivery.Open(t.Context(), delivery.Config{Dir: filepath.Join(data, instances.QueueName(""))})
	require.NoError(t, err)
	require.NoError(t, q.Append(t.Context(), []delivery.NewEvent{{Source: "web", Key: "u:1", Raw: []byte(`{"type":"track","userId":"1"}`)}}))
	code, _, errs := run(append([]string{"dead", "list"}, at...)...)
	assert.Equal(t, 1, code)
	assert.Contains(t, errs, "another process uses the queue in "+data)
	q.Close()
	for _, args := range [][]string{{"resume", "braze-main"}, {"audience", "syncs", "list"}, {"audience", "syncs", "run", "gold"}} {
		code, out, errs := run(append(args, at...)...)
		assert.Equal(t, []any{1, ""}, []any{code, out}, args)
		assert.Contains(t, errs, "no server on this machine uses the data directory "+data, args)
	}

	code, out, errs := run(append([]string{"backup", copied}, at...)...)
	require.Zero(t, code, errs)
	assert.Regexp(t, `(?m)^`+copied+`$`, out)
	assert.Regexp(t, `(?m)^  \S+ +\d+ bytes$`, out)
	code, out, _ = run(append([]string{"backup", copied}, at...)...)
	assert.Equal(t, []any{1, ""}, []any{code, out}, "the directory is not empty")
	code, out, _ = run(append([]string{"backup", copied + "-2", "--json"}, at...)...)
	assert.Zero(t, code)
	assert.Contains(t, out, `"files":[`)

	code, out, errs = run("restore", "--check", copied)
	require.Zero(t, code, errs)
	assert.Equal(t, "the backup is complete: it matches its manifest\n", out)
	assert.NoDirExists(t, restored)
	code, out, errs = run("restore", copied, "--data", restored, "--config", filepath.Join(dir, "none.yaml"))
	require.Zero(t, code, errs)
	assert.Equal(t, "restored to "+restored+"\n", out)
	code, out, _ = run("restore", copied, "--data", restored, "--config", file)
	assert.Equal(t, []any{1, ""}, []any{code, out}, "the data directory is not empty")
	code, out, _ = run("restore", copied, "--data", restored, "--config", file, "--replace")
	assert.Zero(t, code)
	assert.Regexp(t, "^restored to "+restored+"; the previous content is in "+restored+".+\n$", out)
	code, out, errs = run("checkpoints", "repair", "--config", file, "--data", restored)
	assert.Equal(t, []any{0, "all checkpoints match the log\n"}, []any{code, out}, errs)

	files, err := filepath.Glob(filepath.Join(copied, "*"))
	require.NoError(t, err)
	for _, name := range files {
		if !strings.HasSuffix(name, ".json") {
			require.NoError(t, os.WriteFile(name, []byte("damaged"), 0o600))
		}
	}
	for _, args := range [][]string{{"restore", "--check", copied}, {"restore", copied, "--data", restored + "-2"}, {"restore", "--check", copied + "-3"}} {
		code, out, errs := run(args...)
		assert.Equal(t, []any{1, ""}, []any{code, out}, args)
		assert.NotEmpty(t, errs)
	}
	assert.NoDirExists(t, restored+"-2", "nothing of a damaged backup is used")
}
