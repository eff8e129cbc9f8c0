package framework_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

var fence = regexp.MustCompile("(?s)```([^\n]*)\n(.*?)```")

var caseFile = regexp.MustCompile(`fixtures/[a-z-]+/cases/[a-z0-9-]+\.yaml`)

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

func inTheWordsOf(want string, got event.Value) string {
	if wanted, err := event.ParseString(want); err == nil && event.Equal(wanted, got) {
		return want
	}
	return got.JSON()
}
