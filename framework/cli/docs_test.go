package cli

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDocumentationInBrowser looks at pages of the documentation, and follows a search.
func TestDocumentationInBrowser(t *testing.T) {
	b := newBrowser(t)
	script := axe(t)
	site, err := documentation()
	require.NoError(t, err)
	server := httptest.NewServer(site.Handler())
	t.Cleanup(server.Close)
	b.url = server.URL
	for name, path := range map[string]string{
		"docs-home": "/", "docs-tables": "/cmd/landfall/FROM_SEGMENT.md", "docs-code": "/framework/language/mapping/README.md", "docs-search": "/search?q=dead+letter",
		"docs-missing": "/none",
	} {
		b.checkPage(path, name, script)
	}
	b.open("/search?q=glossary")
	assert.Contains(t, b.words(), "One thing has one name")
}
