package framework_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/landfall-dev/landfall/"

// floors are the layers, from the lowest: a package may import packages of lower layers, and of its own layer only those listed in
// beside. An entry that ends in /… matches all packages below it.
var floors = [][]string{
	{
		"github.com/landfall-dev/landfall", "schemas", "fixtures", "framework/event", "framework/fault", "framework/dispatch/budget", "framework/runtime/ballast", "framework/language/reference",
		"framework/language/yamldoc", "internal/textfile", "internal/diskspace", "internal/pool", "internal/pause", "internal/poller", "internal/loglines", "internal/testport", "internal/testsize", "internal/moduleproxy", "internal/chromium", "internal/buildinfo", "internal/memorylimit", "internal/storedtime",
	},
	{
		"framework/event/identifier", "framework/event/incoming", "framework/language/…", "framework/server/access", "framework/state/sortedfile", "framework/delivery/internal/…",
		"framework/destination/httpx", "framework/destination/oauth", "framework/destination/request", "framework/destination/sandbox", "internal/acmetest",
	},
	{"framework/destination"},
	{"framework/runtime/config", "framework/runtime", "framework/state", "framework/dispatch", "framework/runtime/tasks"},
	{
		"framework/runtime/explain", "framework/runtime/instances", "internal/author/…", "framework/files/…", "framework/delivery", "framework/server/…",
		"framework/destination/destinationtest", "framework/state/statetest", "framework/destination/oauth/oauthtest",
		"framework/destination/sandbox/sandboxtest",
	},
	{"framework/server"},
	{"framework/cli"},
	{"destinations/internal/…"},
	{"destinations/…"},
	{"destinations"},
	{"cmd/…"},
}

// beside lists the allowed imports within a layer.
var beside = map[string][]string{
	"framework/event":               {"framework/fault"},
	"framework/language/yamldoc":    {"framework/event", "framework/fault"},
	"internal/textfile":             {"framework/event", "framework/fault"},
	"schemas":                       {"framework/event", "framework/fault"},
	"framework/language/mapping":    {"framework/language/mapping/…"},
	"framework/destination/oauth":   {"framework/destination/httpx", "framework/language/mapping"},
	"framework/destination/request": {"framework/language/mapping"},
	"framework/destination/sandbox": {"framework/destination/httpx", "framework/language/mapping"},
	"framework/runtime":             {"framework/runtime/config"},
	"framework/runtime/tasks":       {"framework/runtime", "framework/dispatch"},
	"framework/files/audiencesync":  {"framework/files/stream"},
	"framework/files/parquetfile":   {"framework/files/audiencesync"},
	"framework/files/sqlsource":     {"framework/files/audiencesync"},
	"framework/server/admin":        {"framework/server/audienceruns", "framework/server/erasure", "framework/server/backup", "framework/server/why", "framework/delivery"},
	"framework/server/audienceruns": {"framework/files/audiencesync", "framework/files/sqlsource", "framework/runtime/instances"},
	"framework/server/backup":       {"framework/delivery"},
	"framework/server/console":      {"framework/server/admin", "framework/server/audienceruns", "framework/server/erasure", "framework/server/history", "framework/server/why", "framework/files/audiencesync", "framework/delivery", "framework/runtime/explain"},
	"framework/server/erasure":      {"framework/server/history", "framework/delivery", "framework/files/audiencesync", "framework/files/stream", "framework/runtime/instances"},
	"framework/server/docs":         {"framework/server/console"},
	"framework/server/history":      {"framework/delivery"},
	"framework/server/why": {
		"framework/server/history", "framework/delivery", "framework/files/audiencesync", "framework/runtime/explain", "framework/runtime/instances",
	},
	"framework/destination/destinationtest": {"internal/author/suite"},
	"internal/author/suite":                 {"internal/author/harness"},
	"internal/author/scaffold":              {"internal/author/generate", "internal/author/segment"},

	"framework/delivery/internal/eventlog/eventlogtest":     {"framework/delivery/internal/eventlog"},
	"framework/delivery/internal/eventlog/memlog":           {"framework/delivery/internal/eventlog"},
	"framework/delivery/internal/eventlog/natslog":          {"framework/delivery/internal/eventlog", "framework/delivery/internal/eventlog/compressed", "framework/delivery/internal/eventlog/natslog/logfiles"},
	"framework/delivery/internal/eventlog/natslog/logfiles": {"framework/delivery/internal/eventlog"},
}

// natsPackage is the only package that imports NATS. Tests of other packages may, to start servers.
const natsPackage = module + "framework/delivery/internal/eventlog/natslog"

func TestOnlyOnePackageImportsNATS(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}:{{join .Imports " "}}`, module+"...").Output()
	require.NoError(t, err)
	var importers []string
	for line := range strings.Lines(string(out)) {
		path, imports, _ := strings.Cut(strings.TrimSpace(line), ":")
		if strings.Contains(imports, "github.com/nats-io/") || strings.Contains(imports, "github.com/synadia-io/") {
			importers = append(importers, path)
		}
	}
	require.Equal(t, []string{natsPackage}, importers)
}

// authors lists what a destination may import: the packages for authors and below, but neither the runtime nor another destination.
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

// floorOf returns the layer of a package, or -1 if it has none. The first match counts.
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
