package cli

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	"github.com/landfall-dev/landfall/destinations/webhook"
	"github.com/landfall-dev/landfall/framework/destination"
)

const pathsConfig = `sources: [{id: web, writeKey: a-key-of-the-test}]
destinations:
  - id: braze
    destination: braze-cohorts
    settings: {client_secret: s, partner_api_key: p}
    subscriptions: [{action: syncAudiences, mapping: {personas_audience_key: vip}}]
`

// fileCommands are commands with a place for a file, and directoryCommands with one for a directory: PATH.
var (
	fileCommands = []string{
		"run --dry-run --config PATH events.ndjson", "run --dry-run --config landfall.yaml PATH", "validate PATH", "validate --config PATH",
		"explain --config PATH --event events.ndjson", "explain --config landfall.yaml --event PATH", "map -m PATH", "test PATH",
		"import subscriptions PATH", "import subscriptions m.json --metadata PATH", "import segment-metadata PATH",
		"sync --dry-run --audience a PATH", "sync --dry-run --audience a --from sqlite:PATH --query select",
		"sync --dry-run --audience a --from sqlite:x --query-file PATH", "sync --dry-run --audience a --from file:PATH --query select",
		"members resync a --dry-run --config PATH",
		"erase --file PATH", "suppress add --file PATH", "new destination foo --from PATH", "status --url http://127.0.0.1:1 --key-file PATH",
		"serve --actions --destination webhook --key-file PATH --listen 127.0.0.1:0", "serve --config PATH --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0",
		"console --config PATH --listen 127.0.0.1:0", "status --config PATH", "doctor --config PATH", "backup --config PATH out", "auth test --config PATH", "auth status --config PATH",
	}
	directoryCommands = []string{
		"run --live --data PATH events.ndjson --config landfall.yaml", "sync --live --audience a --data PATH users.csv",
		"serve --data PATH --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0", "console --data PATH --listen 127.0.0.1:0", "status --data PATH",
		"doctor --data PATH", "backup --data PATH out", "restore PATH", "restore --check PATH", "erase --user u --data PATH", "suppress list --data PATH",
		"members list --data PATH", "state show --data PATH", "instances list --data PATH", "auth status --data PATH",
		"generate --dir PATH", "list --definitions PATH", "validate --definitions PATH landfall.yaml", "man PATH", "dead list --data PATH", "why --user u --data PATH",
	}
)

// rawWords are the words of the operating system.
var rawWords = regexp.MustCompile(`\b(open|mkdir|l?stat|read|openat|fdopendir|write) [\w./]+: |no such file or directory$|not a directory \(|unable to open`)

func runAtPath(t *testing.T, command, path string) (code int, output string) {
	var out bytes.Buffer
	args := strings.Fields(command)
	for i, arg := range args {
		args[i] = strings.ReplaceAll(arg, "PATH", path)
	}
	code = executeCommand(t.Context(), args, streams{in: &bytes.Buffer{}, out: &out, err: &out, plugins: []destination.Plugin{brazecohorts.Plugin(), webhook.Plugin()}})
	return code, out.String()
}

// TestEveryPathOfTheWrongKind gives each command something else than the file or the directory that it wants. It must refuse, name the
// path, and say what is wrong in words of its own.
func TestEveryPathOfTheWrongKind(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"landfall.yaml": pathsConfig, "events.ndjson": `{"type":"track","event":"e","userId":"u"}` + "\n", "users.csv": "external_id\nu\n", "m.json": "[]", "a-file": "text",
	} {
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
	require.NoError(t, os.Symlink("nowhere", "dangling"))
	require.NoError(t, os.Mkdir("folder", 0o700))
	for path, reason := range map[string]string{
		"folder":         "is a directory|the folder has no files|the directory has no case files",
		"a-file/x":       "a-file is a file, not a directory|is not a directory of destinations",
		"dangling":       "is a link to nowhere, which does not exist",
		"missing/inside": "there is no directory missing",
	} {
		for _, command := range fileCommands {
			isNew := strings.HasPrefix(command, "serve --config") || strings.HasPrefix(command, "console") // they create a config
			if isNew && (path == "dangling" || path == "missing/inside") {
				continue
			}
			checkRefused(t, command, path, reason)
		}
	}
	for _, command := range directoryCommands {
		checkRefused(t, command, "a-file", "is a file, not a directory")
		if !slices.Contains([]string{"restore PATH", "restore --check PATH"}, command) {
			checkRefused(t, command, "a-file/x", "a-file:? is a file, not a directory")
		}
	}
}

func checkRefused(t *testing.T, command, path, reason string) {
	t.Helper()
	code, output := runAtPath(t, command, path)
	at := fmt.Sprintf("%s, with %s:\n%s", command, path, output)
	assert.NotZero(t, code, at)
	assert.Regexp(t, reason, output, at)
	assert.NotRegexp(t, rawWords, output, at)
}
