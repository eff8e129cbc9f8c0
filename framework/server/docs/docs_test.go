package docs

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall"
)

const elsewhere = "https://repository.example/"

func newSite(t *testing.T) *Site {
	site, err := New(landfall.Pages, elsewhere)
	require.NoError(t, err)
	return site
}

// TestAllPages checks that every Markdown file of the module is a page. Those of other modules cannot be embedded.
func TestAllPages(t *testing.T) {
	out, err := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "../../../*.md").Output()
	if err != nil {
		t.Skip("the files of the project are listed by git")
	}
	site := newSite(t)
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		name = path.Join("framework/server/docs", name)
		if _, err := os.Stat("../../../" + name); err != nil || strings.Contains(name, "/testdata/") || strings.HasPrefix(name, "cmd/landfall-connect/") {
			continue
		}
		if p := site.Find(name); assert.NotNil(t, p, "%s is not in pages.go at the root", name) {
			assert.NotEqual(t, p.Path, p.Title, "%s has no heading", name)
		}
	}
}

// TestLinks checks that every link of every page leads to a page, to a heading, or to a file of the repository.
func TestLinks(t *testing.T) {
	site := newSite(t)
	for _, p := range site.Pages {
		for _, l := range p.links {
			if name, ok := strings.CutPrefix(l.to, elsewhere); ok {
				_, err := os.Stat("../../../" + name)
				assert.NoError(t, err, "%s links to %s", p.Path, l.written)
				continue
			}
			if strings.Contains(l.to, "://") {
				continue
			}
			name, id, _ := strings.Cut(l.to, "#")
			target := p
			if name != "" {
				target = site.Find(name)
			}
			if id == "" || target == nil {
				continue
			}
			found := slices.ContainsFunc(target.sections, func(s section) bool { return s.ID == id })
			assert.True(t, found, "%s links to %s, but that page has no such heading", p.Path, l.written)
		}
	}
}

func TestHandler(t *testing.T) {
	handler := newSite(t).Handler()
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w
	}
	home := get("/")
	assert.Equal(t, 200, home.Code)
	assert.Contains(t, home.Body.String(), `href="/cmd/landfall/deploy/README.md"`)
	assert.Contains(t, home.Body.String(), `src="/framework/server/console/console.png"`)
	assert.Contains(t, home.Header().Get("Content-Security-Policy"), "default-src 'none'")
	for _, name := range regexp.MustCompile(`(?:src|href|action)="(/[^"#]*)`).FindAllStringSubmatch(home.Body.String(), -1) {
		assert.Equal(t, 200, get(name[1]).Code, name[1])
	}
	moved := get("/framework/delivery")
	assert.Equal(t, 301, moved.Code)
	assert.Equal(t, "/framework/delivery/README.md", moved.Header().Get("Location"))
	missing := get("/no/<page>")
	assert.Equal(t, 404, missing.Code)
	assert.Contains(t, missing.Body.String(), "no/&lt;page&gt;")
	assert.Contains(t, get("/search?q=dead+letter").Body.String(), "#")
	assert.Contains(t, get("/search?q=%3Cscript%3E").Body.String(), "No section contains")
	assert.Equal(t, 404, get("/pages.go").Code)
}

func TestSearch(t *testing.T) {
	site, err := New(fstest.MapFS{
		"a.md":              {Data: []byte("# Letters\n\nAbout *letters* that are `dead`.\n\n## Replay\n\nSend the letters again.\n\n## Replay\n\nOnce more, [here](b.md#x).\n")},
		"CHANGELOG.md":      {Data: []byte("# Changelog\n\nOnce more once more once more.\n")},
		"b.md":              {Data: []byte("# Other\n\nOne letter.\n\n<script>alert(1)</script>\n\n| a | b |\n|---|---|\n| dead | 2 |\n")},
		"testdata/other.md": {Data: []byte("# Not a page\n")},
	}, elsewhere)
	require.NoError(t, err)
	found := func(query string) (places []string) {
		for _, r := range site.Search(query) {
			places = append(places, r.Page+"#"+r.ID)
		}
		return places
	}
	for query, want := range map[string][]string{
		"dead letter": {"a.md#", "b.md#"},
		"REPLAY":      {"a.md#replay", "a.md#replay-1"},
		"replay once": {"a.md#replay-1"},
		"once more":   {"a.md#replay-1", "CHANGELOG.md#"},
		"nowhere":     nil,
		"":            nil,
		"page":        nil,
	} {
		assert.Equal(t, want, found(query), query)
	}
	assert.Equal(t, "About letters that are dead.", site.Find("a").Lead)
	assert.NotContains(t, string(site.Find("b").html), "<script>")
	assert.Contains(t, string(site.Find("a").html), `href="/b.md#x"`)
}

// TestSearchRanksHeadingsAndPhrases checks which of several sections a reader wants first.
func TestSearchRanksHeadingsAndPhrases(t *testing.T) {
	site, err := New(fstest.MapFS{
		"limits.md": {Data: []byte("# Limits\n\nWhat a remote\nallows in a\\\nwhile.\n\n## Budgets\n\nShared by instances.\n\n## Rates\n\nA rate limit is a limit, and a limit of a rate.\n")},
		"other.md":  {Data: []byte("# Other\n\nBudgets, budgets, budgets, budgets, budgets and budgets.\n\n## More\n\nA limit, or the limits, of the rate of a limit. The rate.\n")},
	}, elsewhere)
	require.NoError(t, err)
	for query, want := range map[string]string{"budgets": "limits.md#budgets", "limit": "limits.md#", "rate limit": "limits.md#rates"} {
		results := site.Search(query)
		require.Greater(t, len(results), 1, query)
		assert.Equal(t, want, results[0].Page+"#"+results[0].ID, query)
	}
	assert.Equal(t, "What a remote allows in a while.", site.Find("limits").Lead)
	w := httptest.NewRecorder()
	site.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/other.md", nil))
	assert.Contains(t, w.Body.String(), `href="/limits.md"`, "each page lists the others")
}

// TestExcerptsAreCutAtWords checks that the part of a text that is shown has what was found, and no part of a word before it.
func TestExcerptsAreCutAtWords(t *testing.T) {
	words := strings.Repeat("früher ", 100)
	text := words + "needle " + words
	part := excerpt(text, []string{"none", "needle"})
	assert.Contains(t, part, "needle")
	assert.True(t, strings.HasPrefix(part, "… früher "), part)
	assert.True(t, strings.HasSuffix(part, " …"), part)
	assert.Less(t, len(part), excerptLen+40)
	assert.Equal(t, "a needle", excerpt("a  needle", []string{"needle"}))
}
