package harness_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/internal/author/harness"
	"github.com/landfall-dev/landfall/schemas"
)

// TestDocumentedCases checks that the cases of the documentation pass, and that it describes every key of a case.
func TestDocumentedCases(t *testing.T) {
	text, err := os.ReadFile("../../../framework/destination/destinationtest/README.md")
	require.NoError(t, err)
	registry, err := destinations.Registry()
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```yaml case\n(.*?)```").FindAllSubmatch(text, -1)
	require.Len(t, blocks, 2)
	for _, block := range blocks {
		cases, err := harness.Parse("README.yaml", block[1])
		require.NoError(t, err)
		for _, c := range cases {
			r := (&harness.Suite{Registry: registry}).Run(t.Context(), c)
			assert.True(t, r.Passed(), "%s: %v", c.Name, r.Problems)
		}
	}
	properties := event.MustParse(string(schemas.Text(schemas.Fixture))).Get("properties")
	for _, of := range []event.Value{properties, properties.Get("expect").Get("properties")} {
		for key := range of.Members() {
			assert.Regexp(t, "(?m)^\\|[^|]*`"+key+"`", string(text))
		}
	}
}
