package framework_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/language/mapping"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

var fence = regexp.MustCompile("(?s)```([^\n]*)\n(.*?)```")

// testName matches a reference to tests: `TestA` and `TestB` in DIRECTORY.
var testName = regexp.MustCompile("((?:`Test[A-Za-z0-9]+`(?: and )?)+)\\s+in ([a-z/-]+)")

// requireDifferences checks that the page has each reason for which a case of a destination differs. Braze and webhook have tables in its place.
func requireDifferences(t *testing.T, page string) {
	t.Helper()
	files, err := filepath.Glob("../fixtures/*/cases/differences.ndjson")
	require.NoError(t, err)
	require.Greater(t, len(files), 20)
	for _, file := range files {
		require.Contains(t, page, "`"+filepath.ToSlash(strings.TrimPrefix(file, "../"))+"`")
		if slug := strings.Split(filepath.ToSlash(file), "/")[2]; slug == "braze" || slug == "webhook" {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			if reason, ok := strings.CutPrefix(event.MustParse(line).Get("name").Str(), "differs on purpose: "); ok {
				require.Contains(t, page, "- "+reason+"\n", file)
			}
		}
	}
}

var caseFile = regexp.MustCompile(`fixtures/[a-z0-9-]+/cases/[a-z0-9-]+\.(?:yaml|ndjson)`)

// TestCompatibilityPage runs every example of COMPATIBILITY.md.
func TestCompatibilityPage(t *testing.T) {
	page, err := os.ReadFile("COMPATIBILITY.md")
	require.NoError(t, err)
	var e event.Value
	examples := 0
	for _, block := range fence.FindAllStringSubmatch(string(page), -1) {
		if block[1] == "json event" {
			e = event.MustParse(block[2])
			continue
		}
		for line := range strings.Lines(block[2]) {
			given, want, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " => ")
			require.True(t, ok, line)
			examples++
			t.Run(given, func(t *testing.T) {
				require.Equal(t, want, example(t, block[1], given, want, e))
			})
		}
	}
	require.Greater(t, examples, 30)
	cases := caseFile.FindAllString(string(page), -1)
	require.Greater(t, len(cases), 15)
	require.NotRegexp(t, `(?i)a test of|\*Reference:`, string(page), "every entry names its example, and what the reference does in a sentence")
	named := testName.FindAllStringSubmatch(string(page), -1)
	require.GreaterOrEqual(t, len(named), 5)
	requireDifferences(t, string(page))
	for _, reference := range named {
		requireTests(t, strings.FieldsFunc(reference[1], func(r rune) bool { return r == '`' }), "../"+reference[2])
	}
	for _, file := range cases { // they run with the tests of their destinations
		require.FileExists(t, "../"+file)
	}
}

// example returns the result of an example, in the words of want if it is equal.
func example(t *testing.T, language, given, want string, e event.Value) string {
	left, right, _ := strings.Cut(given, " | ")
	switch language {
	case "mapping":
		m, err := mapping.Compile(event.MustParse(given))
		if err != nil {
			return "error " + err.Error()
		}
		got, err := m.Resolve(e)
		require.NoError(t, err)
		return inTheWordsOf(want, got)
	case "fql":
		q, err := fql.Compile(left)
		if err != nil {
			return "error"
		}
		return event.NewBool(q.Match(event.MustParse(right))).JSON()
	case "integrations":
		return onOrOff(t, given)
	case "fields":
		fields, err := fieldschema.ParseFields(event.MustParse(left))
		require.NoError(t, err)
		s, err := fieldschema.Compile(fields)
		require.NoError(t, err)
		got, err := s.Process(event.MustParse(right))
		if err != nil {
			return "invalid"
		}
		return inTheWordsOf(want, got)
	}
	t.Fatalf("a block of an unknown language: %q", language)
	return ""
}

// requireTests checks that the tests among names exist in a directory.
func requireTests(t *testing.T, names []string, directory string) {
	files, err := filepath.Glob(filepath.Join(directory, "*_test.go"))
	require.NoError(t, err)
	var code strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		code.Write(text)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "Test") {
			require.Contains(t, code.String(), "func "+name+"(t *testing.T)", directory)
		}
	}
}

// onOrOff delivers an event with an integrations object to the sandbox of Braze Cohorts, as the instance braze-main.
func onOrOff(t *testing.T, integrations string) string {
	plugin := brazecohorts.Plugin()
	definition, err := plugin.Load()
	require.NoError(t, err)
	instance := config.InstanceOf(event.MustParse(`{"id":"braze-main","settings":{"endpoint":"https://rest.iad-01.braze.com","client_secret":"s","partner_api_key":"k"},
		"subscriptions":[{"action":"syncAudiences","mapping":{"personas_audience_key":"vip"}}]}`))
	plan, err := runtime.New(plugin, definition, instance, runtime.Host{
		Transport: sandbox.Transport(plugin.Sandbox.New(nil)), State: destination.NewMemoryState(), Members: destination.NewMemoryMembers(),
	})
	require.NoError(t, err)
	e, err := event.Parse([]byte(`{"type":"track","event":"Audience Entered","userId":"u","timestamp":"2026-01-02T03:04:05Z","properties":{"audience_key":"vip","vip":true},
		"context":{"personas":{"computation_class":"audience","computation_id":"aud_1","computation_key":"vip"}},"integrations":` + integrations + `}`))
	require.NoError(t, err)
	switch v := plan.Run(t.Context(), e)[0]; {
	case v.Outcome == runtime.Delivered:
		return "on"
	case v.Cause == fault.CauseOptedOut:
		return "off"
	default:
		return v.Reason
	}
}

func inTheWordsOf(want string, got event.Value) string {
	if wanted, err := event.ParseString(want); err == nil && event.Equal(wanted, got) {
		return want
	}
	return got.JSON()
}
