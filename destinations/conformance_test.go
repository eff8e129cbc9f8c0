package destinations_test

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/internal/author/harness"
)

// leastEqual returns the least share of cases, in percent, in which a destination does what the reference does. It is lower if the
// cases repeat one fault of the reference.
func leastEqual(slug string) int {
	switch slug {
	case "criteo-audiences": // events without an address that are called delivered, and batches of two audiences
		return 56
	case "marketo-static-lists": // files whose columns are shifted, and batches with several lookup fields
		return 61
	case "tiktok-audiences": // events without an audience or without an identifier, and errors that are taken for a success
		return 67
	case "linkedin-audiences": // users who have left, events without an identifier, and batches of several segments
		return 82
	case "facebook-custom-audiences": // users who leave and enter in one batch, and batches of several audiences
		return 88
	case "braze": // the addresses of catalog items, sync modes that are missing, and times in digits
		return 86
	case "amplitude": // times in digits, which are misread: 16 of 153 cases
		return 89
	case "webhook": // headers of any kind, and signatures of lists
		return 89
	}
	return 90
}

// TestConformance runs situations with the exact requests and results of Segment's destinations. Each place at which a case differs
// must be explained by a reason in testdata/differences.yaml of the destination, and each reason must explain a case. The README of the
// destination has the counts; -update writes them.
func TestConformance(t *testing.T) {
	registry := sharedRegistry(t)
	files, err := filepath.Glob("../fixtures/conformance/destinations/*.ndjson.gz")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	general := readReasons(t, "differences.yaml", "../framework/COMPATIBILITY.md", "../fixtures/conformance/differences.ndjson")
	for _, file := range files {
		slug := strings.TrimSuffix(filepath.Base(file), ".ndjson.gz")
		t.Run(slug, func(t *testing.T) {
			t.Parallel()
			count := countConformance(t, registry, slug, readGzip(t, file), general)
			t.Log(count.summary())
			assert.GreaterOrEqual(t, 100*count.equal, leastEqual(slug)*count.cases)
			checkCountsOfReadme(t, count)
		})
	}
}

// countConformance runs the cases of a destination, checks that reasons explain all differences, and counts them.
func countConformance(t *testing.T, registry *destination.Registry, slug string, text []byte, general []differenceReason) *conformanceCount {
	cases, err := harness.Parse(slug+".ndjson", text)
	require.NoError(t, err)
	own := readReasons(t, filepath.Join(slug, "testdata", "differences.yaml"), filepath.Join(slug, "README.md"), filepath.Join("..", "fixtures", slug, "cases", "differences.ndjson"))
	count := newConformanceCount(slug, append(own, general...))
	suite := harness.Suite{Registry: registry}
	for _, c := range cases {
		r := suite.Run(t.Context(), c)
		if r.Passed() {
			count.add(nil, nil)
			continue
		}
		used := map[string]bool{}
		unexplained := explain(t, situationOf(t, registry, r), r.Places(), count.reasons, used)
		if !assert.Empty(t, unexplained, "%s: no reason explains these places", c.Name) {
			t.Log(strings.Join(r.Problems, "\n"))
		}
		count.add(r.Places(), used)
	}
	for _, reason := range own {
		assert.Equal(t, !reason.unseen, count.by[reason.text] > 0, "whether a case differs for the reason: %s", reason.text)
	}
	return count
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
