package destinations_test

import (
	"cmp"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
	"github.com/landfall-dev/landfall/internal/author/harness"
)

// leastEqual is the least share of cases, in percent, in which a destination does what the reference does.
const leastEqual = 90

// fewerEqual has the destinations with a lower share. Many of the cases of audiences say opposite things about one user in one batch,
// which the reference sends at the same time, many of TikTok's have no audience or an error that the reference takes for a success, and
// many of Amplitude's have times in digits, which it misreads.
func fewerEqual() map[string]int {
	return map[string]int{"facebook-custom-audiences": 85, "linkedin-audiences": 78, "amplitude": 89, "tiktok-audiences": 63}
}

// TestConformance runs situations with the exact requests and results of Segment's destinations. A case that differs must be listed
// in testdata/differences.yaml of the destination with a reason that its README gives, and a listed case must differ.
func TestConformance(t *testing.T) {
	registry, err := destinations.Registry()
	require.NoError(t, err)
	files, err := filepath.Glob("../fixtures/conformance/destinations/*.ndjson.gz")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		slug := strings.TrimSuffix(filepath.Base(file), ".ndjson.gz")
		t.Run(slug, func(t *testing.T) {
			t.Parallel()
			cases, err := harness.Parse(slug+".ndjson", readGzip(t, file))
			require.NoError(t, err)
			listed := readDifferences(t, slug)
			suite := harness.Suite{Registry: registry}
			different := 0
			for _, c := range cases {
				r := suite.Run(t.Context(), c)
				if r.Passed() {
					assert.NotContains(t, listed, c.Name, "the case is equal: remove it from the differences")
					continue
				}
				different++
				if !assert.Contains(t, listed, c.Name) {
					t.Logf("%s\n%s", c.Name, strings.Join(r.Problems, "\n"))
				}
			}
			equal := len(cases) - different
			t.Logf("%s: %d equal, %d different, %d listed", slug, equal, different, len(listed))
			assert.GreaterOrEqual(t, 100*equal, cmp.Or(fewerEqual()[slug], leastEqual)*len(cases))
		})
	}
}

func readGzip(t *testing.T, file string) []byte {
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	r, err := gzip.NewReader(f)
	require.NoError(t, err)
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	return text
}

// readDifferences returns the listed cases of a destination with their reasons, and checks that its README gives them.
func readDifferences(t *testing.T, slug string) map[string]string {
	file := filepath.Join(slug, "testdata", "differences.yaml")
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	doc, err := yamldoc.Parse(file, text)
	require.NoError(t, err)
	page, err := os.ReadFile(filepath.Join(slug, "README.md"))
	require.NoError(t, err)
	words := strings.Join(strings.Fields(string(page)), " ")
	require.Equal(t, event.Array, doc.Value().Kind())
	listed := map[string]string{}
	for _, d := range doc.Value().Items() {
		reason := d.Get("reason").Str()
		require.NotEmpty(t, reason)
		assert.Contains(t, words, reason, "the README of %s does not give the reason", slug)
		for _, name := range d.Get("cases").Items() {
			listed[name.Str()] = reason
		}
	}
	return listed
}
