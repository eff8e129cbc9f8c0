package framework_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/landfall-dev/landfall/"

// floors is the house, from the ground up: a package may import packages of lower floors, and on its own floor only those
// that beside says. An entry that ends in /… stands for everything below it.
var floors = [][]string{
	{"schemas", "fixtures", "framework/event", "framework/fault", "framework/room", "framework/source", "framework/textfile"},
	{"framework/access", "framework/event/incoming", "framework/mapping", "framework/mapping/…", "framework/fql", "framework/schema", "framework/httpx", "framework/oauth", "framework/request", "framework/sandbox", "framework/delivery/internal/…"},
	{"framework/destination"},
	{"framework/config", "framework/runtime", "framework/state"},
	{
		"framework/actions", "framework/admin", "framework/audience", "framework/backup", "framework/delivery", "framework/destinationtest", "framework/console", "framework/explain", "framework/fixture",
		"framework/generate", "framework/ingest", "framework/scaffold", "framework/segment", "framework/stream", "framework/sample",
		"framework/state/statetest", "framework/oauth/oauthtest", "framework/sandbox/sandboxtest",
	},
	{"destinations/internal/…"},
	{"destinations/…"},
	{"destinations"},
	{"cmd/…"},
}

// beside are the imports within a floor.
var beside = map[string][]string{
	"framework/event":           {"framework/fault"},
	"framework/source":          {"framework/event", "framework/fault"},
	"framework/textfile":        {"framework/event", "framework/fault"},
	"schemas":                   {"framework/event", "framework/fault"},
	"framework/mapping":         {"framework/mapping/…"},
	"framework/oauth":           {"framework/httpx", "framework/mapping"},
	"framework/request":         {"framework/mapping"},
	"framework/runtime":         {"framework/config"},
	"framework/audience":        {"framework/stream"},
	"framework/admin":           {"framework/backup", "framework/delivery"},
	"framework/backup":          {"framework/delivery"},
	"framework/console":         {"framework/admin", "framework/audience", "framework/delivery", "framework/explain"},
	"framework/destinationtest": {"framework/fixture"},
	"framework/scaffold":        {"framework/generate"},
}

// authors is what a destination may import: the author's view and below, never the runtime and never another destination.
const authors = 2

func TestImportsPointDownwards(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}:{{join .Imports " "}}`, module+"...").Output()
	require.NoError(t, err)
	for line := range strings.Lines(strings.TrimSpace(string(out))) {
		path, imports, _ := strings.Cut(strings.TrimSpace(line), ":")
		from := strings.TrimPrefix(path, module)
		if from == "framework" {
			continue // this test
		}
		floor := floorOf(from)
		if floor < 0 {
			t.Errorf("%s stands on no floor: give it one", from)
			continue
		}
		for _, imported := range strings.Fields(imports) {
			to, ours := strings.CutPrefix(imported, module)
			if ours && !allowed(from, to, floor) {
				t.Errorf("%s (floor %d) must not import %s (floor %d)", from, floor+1, to, floorOf(to)+1)
			}
		}
	}
}

func allowed(from, to string, floor int) bool {
	if isDestination(from) {
		return floorOf(to) <= authors || within("destinations/internal/…", to)
	}
	if floorOf(to) < floor {
		return true
	}
	for _, pattern := range beside[from] {
		if within(pattern, to) {
			return true
		}
	}
	return false
}

func isDestination(path string) bool {
	return within("destinations/…", path)
}

// floorOf is the floor of a package, -1 where it has none. The first floor that names it counts.
func floorOf(path string) int {
	for i, packages := range floors {
		for _, pattern := range packages {
			if within(pattern, path) {
				return i
			}
		}
	}
	return -1
}

func within(pattern, path string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "…"); ok {
		return strings.HasPrefix(path, prefix)
	}
	return pattern == path
}
