package framework_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// oddWords are words and phrases that plain technical English does not use.
var oddWords = []*regexp.Regexp{
	regexp.MustCompile(`(?i)\b(nobody|somebody|whoever|anew|lest|ere|henceforth|thereof|whereof)\b`),
	regexp.MustCompile(`(?i)\bwhere there (is|are)\b`),
	regexp.MustCompile(`(?i)\b(who (does|has|wants|likes|calls|needs)|(he|those|one) who)\b`),
	regexp.MustCompile(`(?i)\bwhat (became|becomes) of\b`),
	regexp.MustCompile(`(?i)\b(for want of|save for|in vain|the like of)\b`),
	regexp.MustCompile(`(?i)\b(is|are|was) so\b(?: ?[,.;:]|$)`),
	regexp.MustCompile(`(^|[.;,] )(Else|else)\b|\b(Go|It|it|which|that) else\b`),
}

// mostOdd is how many lines in 1,000 may have one of them.
const mostOdd = 2

// TestPlainWords counts the lines of prose that use odd words: comments and texts of Go code, Markdown, templates, definitions. With -v
// it lists them.
func TestPlainWords(t *testing.T) {
	out, err := exec.Command("git", "ls-files", "-z", "..").Output()
	if err != nil {
		t.Skip("the files of the project are listed by git")
	}
	lines, odd := 0, map[string][]string{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // deleted and not committed yet
		}
		for _, l := range proseOf(t, name, string(text)) {
			lines++
			if slices.ContainsFunc(oddWords, func(r *regexp.Regexp) bool { return r.MatchString(l.text) }) {
				odd[path.Dir(name)] = append(odd[path.Dir(name)], fmt.Sprintf("%s:%d: %s", name, l.number, strings.TrimSpace(l.text)))
			}
		}
	}
	require.Greater(t, lines, 5000)
	total := 0
	for _, list := range odd {
		total += len(list)
		for _, l := range list {
			t.Log(l)
		}
	}
	t.Logf("%d of %d lines", total, lines)
	assert.LessOrEqual(t, float64(total)*1000/float64(lines), float64(mostOdd))
}

func TestOddWordsAreFound(t *testing.T) {
	for text, want := range map[string]bool{
		"// Who does not call it leaves them to the collector.": true,
		"// Go else collects a small heap.":                     true,
		"// It waits. Else it fails.":                           true,
		"// true where there is one":                            true,
		"// the user was already so":                            false,
		"// anything else fails":                                false,
		"// no one else reads it":                               false,
		"// reports whether it is so.":                          true,
		"// is so large that":                                   false,
	} {
		found := slices.ContainsFunc(oddWords, func(r *regexp.Regexp) bool { return r.MatchString(strings.TrimPrefix(text, "// ")) })
		assert.Equal(t, want, found, text)
	}
}

type proseLine struct {
	number int
	text   string
}

// proseOf returns the lines of a file that people read.
func proseOf(t *testing.T, name, text string) (lines []proseLine) {
	switch ext := path.Ext(name); {
	case strings.Contains(name, "/testdata/") || strings.Contains(name, "/conformance/") || strings.Contains(name, "/assets/"):
		return nil
	case ext == ".go":
		return goProse(t, name, text)
	case slices.Contains([]string{".md", ".html", ".tmpl", ".yaml", ".txtar", ".txt"}, ext):
		for i, l := range strings.Split(text, "\n") {
			lines = append(lines, proseLine{i + 1, l})
		}
	}
	return lines
}

// goProse returns the comments of a Go file, and its texts that have more than one word.
func goProse(t *testing.T, name, text string) (lines []proseLine) {
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, name, text, parser.ParseComments)
	require.NoError(t, err)
	for _, group := range f.Comments {
		for _, c := range group.List {
			for i, l := range strings.Split(c.Text, "\n") {
				lines = append(lines, proseLine{files.Position(c.Pos()).Line + i, strings.TrimPrefix(l, "// ")})
			}
		}
	}
	if strings.HasSuffix(name, "_test.go") {
		return lines
	}
	for i, l := range strings.Split(text, "\n") {
		for _, m := range quoted.FindAllString(l, -1) {
			if strings.Contains(m, " ") && !strings.HasPrefix(strings.TrimSpace(l), "//") {
				lines = append(lines, proseLine{i + 1, strings.Trim(m, "\"`")})
			}
		}
	}
	return lines
}

// quoted is a text on one line of Go code.
var quoted = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"|`[^`]*`")
