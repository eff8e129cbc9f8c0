package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// TestServeReadsSecretFilesAgain checks that a running server uses the new content of a secret file.
func TestServeReadsSecretFilesAgain(t *testing.T) {
	t.Parallel()
	s := newServed(t, serveConfig+"admin: {key: \"file:admin.key\"}\n", "--sandbox")
	writeFile(t, s.dir, "admin.key", "the-first-admin-key\n")
	s.start()
	ask := func(key string) int {
		status, _ := s.ask("/metrics", "Authorization", "Bearer "+key)
		return status
	}
	assert.Equal(t, 200, ask("the-first-admin-key"))
	writeFile(t, s.dir, "admin.key", "the-second-admin-key\n")
	require.Eventually(t, func() bool { return ask("the-second-admin-key") == 200 }, time.Minute, 300*time.Millisecond)
	assert.Equal(t, 401, ask("the-first-admin-key"))
	s.logs("config reloaded")
}

// TestConfigsOfTheSecretsPage checks that the configs of the page about secrets are valid.
func TestConfigsOfTheSecretsPage(t *testing.T) {
	page, err := os.ReadFile("../../cmd/landfall/deploy/SECRETS.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(page, -1)
	require.Len(t, blocks, 4)
	programs := t.TempDir() // which print the arguments that the page gives them
	for _, name := range []string{"vault", "aws", "gcloud"} {
		require.NoError(t, os.WriteFile(filepath.Join(programs, name), []byte("#!/bin/sh\necho \"$0 $*\"\n"), 0o755))
	}
	t.Setenv("PATH", programs+":"+os.Getenv("PATH"))
	var values []string
	for _, b := range blocks {
		file := filepath.Join(programs, "landfall.yaml")
		require.NoError(t, os.WriteFile(file, b[1], 0o600))
		c, problems := config.Load(file, config.Env{
			Lookup: func(string) (string, bool) { return "/run/credentials", true }, ReadFile: func(path string) ([]byte, error) { return []byte(path), nil },
		})
		require.Empty(t, problems)
		for _, in := range c.Instances {
			values = append(values, strings.TrimPrefix(in.Settings.Get("client_secret").Str(), programs+"/"))
		}
	}
	assert.Equal(t, []string{
		"/run/credentials/braze", "/run/secrets/landfall/braze", "vault kv get -field=braze secret/landfall",
		"aws secretsmanager get-secret-value --secret-id landfall/braze --query SecretString --output text",
		"gcloud secrets versions access latest --secret=landfall-braze",
	}, values)
}

// TestServeRunsCommandsAgain checks that a running server runs the commands of its config again on SIGHUP, and not for each page of the console.
func TestServeRunsCommandsAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, dir, "key", "the-first-admin-key\n")
	s := newServed(t, serveConfig+"admin: {key: \"exec:sh -c 'echo x >>"+dir+"/runs; cat "+dir+"/key'\"}\n", "--sandbox")
	s.start()
	ask := func(path, key string) int {
		status, _ := s.ask(path, "Authorization", "Bearer "+key)
		return status
	}
	runs := func() int {
		text, err := os.ReadFile(filepath.Join(dir, "runs"))
		require.NoError(t, err)
		return strings.Count(string(text), "x")
	}
	started := runs()
	for range 3 {
		assert.Equal(t, 200, ask("/metrics", "the-first-admin-key"))
		assert.Equal(t, 200, ask("/console/", "the-first-admin-key"))
	}
	assert.Equal(t, started, runs())
	writeFile(t, dir, "key", "the-second-admin-key\n")
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGHUP))
	require.Eventually(t, func() bool { return ask("/metrics", "the-second-admin-key") == 200 }, time.Minute, 300*time.Millisecond)
	assert.Equal(t, 401, ask("/metrics", "the-first-admin-key"))
	assert.Equal(t, started+1, runs())
}

// TestReloadsDuringTheStart checks that a SIGHUP that comes before the server is ready does not end it, and reloads the config once it is.
func TestReloadsDuringTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := writeFile(t, dir, "key.sh", "cd "+dir+"; echo x >>runs; while [ ! -e go ]; do sleep 0.05; done; cat key\n")
	writeFile(t, dir, "key", "the-first-admin-key\n")
	s := newServed(t, serveConfig+"admin: {key: \"exec:sh "+script+"\"}\n", "--sandbox")
	runs := func() int {
		text, _ := os.ReadFile(filepath.Join(dir, "runs"))
		return strings.Count(string(text), "x")
	}
	s.launch()
	require.Eventually(t, func() bool { return runs() == 1 }, time.Minute, 20*time.Millisecond)
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGHUP))
	writeFile(t, dir, "go", "")
	s.waitReady()
	require.Eventually(t, func() bool { return runs() == 2 }, time.Minute, 20*time.Millisecond, "the config is read again")
}
