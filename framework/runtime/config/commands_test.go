package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/language/yamldoc"
)

// commandConfig is a config whose secret is the output of a command.
func commandConfig(command string) string {
	return `{state: {key: "` + strings.ReplaceAll(command, `"`, `\"`) + `"}, destinations: [{id: a, destination: b, subscriptions: [{action: x}]}]}`
}

func TestSplitCommand(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"vault kv get":                {"vault", "kv", "get"},
		"  a \t b\n":                  {"a", "b"},
		`a 'b c' "d 'e'"f ""`:         {"a", "b c", "d 'e'f", ""},
		"a $HOME; rm * | b > c `d` &": {"a", "$HOME;", "rm", "*", "|", "b", ">", "c", "`d`", "&"},
		`a \ b`:                       {"a", `\`, "b"},
	} {
		got, err := splitCommand(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
	for text, want := range map[string]string{"": "names no program", "  ": "names no program", `""`: "names no program", `a 'b`: "has no closing '"} {
		_, err := splitCommand(text)
		assert.ErrorContains(t, err, want, text)
	}
}

func TestRunSecretCommand(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"sh -c 'sleep 60'":                     "did not end within",
		"sh -c 'sleep 60 & sleep 60'":          "did not end within",
		"sh -c 'sleep 5 & echo x'":             "left a process",
		"sh -c 'head -c 65537 /dev/zero'":      "prints more than 64 KB",
		"sh -c 'echo no   access >&2; exit 3'": "exit status 3: no access",
		"/no/such/program":                     "no such file",
		"no-such-program":                      "executable file not found",
		"./program":                            "no such file",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			timeout := commandTimeout
			if strings.Contains(want, "within") {
				timeout = 200 * time.Millisecond
			}
			_, err := runSecretCommand(text, timeout)
			assert.ErrorContains(t, err, want)
		})
	}
	for text, want := range map[string]string{
		"cat": "", `printf %s "$HOME;*"`: "$HOME;*", "sh -c 'head -c 65536 /dev/zero'": strings.Repeat("\x00", 65536),
	} {
		got, err := runSecretCommand(text, commandTimeout)
		require.NoError(t, err, text)
		assert.True(t, want == string(got), text)
	}
}

// TestCommandsInConfigs checks which configs may run commands: files, and texts that keep the commands of the file.
func TestCommandsInConfigs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "landfall.yaml")
	load := func(command string) (*Config, error) {
		require.NoError(t, os.WriteFile(file, []byte(commandConfig(command)), 0o600))
		c, problems := Load(file, Env{})
		return c, problems.Err()
	}
	c, err := load("exec:echo s3cret")
	require.NoError(t, err)
	assert.Equal(t, "s3cret", c.StateKey)
	assert.Equal(t, []string{"s3cret"}, c.Secrets())
	for command, want := range map[string]string{
		"exec:": "names no program", "exec:sh -c 'exit 3'": "the command sh fails: exit status 3", "exec:true": "the command true prints nothing",
		"exec:'/no/such program' s3cret": "the command /no/such program fails",
	} {
		_, err := load(command)
		require.ErrorContains(t, err, want, command)
		assert.NotContains(t, err.Error(), "s3cret", "arguments can be secret")
	}

	marker := filepath.Join(dir, "ran")
	base, err := yamldoc.Parse("base", []byte(commandConfig("exec:touch "+marker)))
	require.NoError(t, err)
	for name, env := range map[string]Env{"a text": {}, "a text of the console": {Base: base.Value()}} {
		_, problems := ParseAt(file, []byte(commandConfig("exec:touch "+marker+" ")), env)
		assert.ErrorContains(t, problems, "only in the config file itself", name)
		assert.NoFileExists(t, marker, name)
	}
	_, problems := ParseAt(file, []byte(commandConfig("exec:touch "+marker)), Env{Base: base.Value()})
	assert.ErrorContains(t, problems, "prints nothing")
	assert.FileExists(t, marker, "the text has the command of the file")
}

// TestCommandsRunOnce checks that a command runs once until its output is forgotten, and a failed one not at once again.
func TestCommandsRunOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, count := filepath.Join(dir, "landfall.yaml"), filepath.Join(dir, "count")
	runs := func() int {
		text, err := os.ReadFile(count)
		require.NoError(t, err)
		return strings.Count(string(text), "x")
	}
	command := "exec:sh -c 'printf x >>" + count + "; echo v'"
	require.NoError(t, os.WriteFile(file, []byte(commandConfig(command)), 0o600))
	commands := NewCommands()
	for range 3 {
		c, problems := Load(file, Env{Commands: commands})
		require.Empty(t, problems)
		assert.Equal(t, "v", c.StateKey)
	}
	assert.Equal(t, 1, runs())
	commands.Forget()
	_, _ = Load(file, Env{Commands: commands})
	assert.Equal(t, 2, runs())
	_, _ = Load(file, Env{})
	assert.Equal(t, 3, runs())

	require.NoError(t, os.WriteFile(file, []byte(commandConfig("exec:sh -c 'printf x >>"+count+"; exit 1'")), 0o600))
	for range 2 {
		_, problems := Load(file, Env{Commands: commands})
		assert.Error(t, problems.Err())
	}
	assert.Equal(t, 4, runs())
}
