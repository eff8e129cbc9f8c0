package framework_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// comparesText matches code that decides by the text of an error or a reason. Case files compare texts on purpose: their authors
// write what a message must contain.
var comparesText = regexp.MustCompile(`\.(Reason|Message|Error\(\)) ?[!=]= ?("[^"]|[a-zA-Z])|strings\.(Contains|HasPrefix|HasSuffix|EqualFold)\(\w+\.(Error\(\)|Reason|Message)`)

var comparesTextAllowed = regexp.MustCompile(`author/harness/`)

// TestNothingIsDecidedByText looks for decisions by the text of errors and reasons, which are typed for that: see fault.Cause.
func TestNothingIsDecidedByText(t *testing.T) {
	require.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || comparesTextAllowed.MatchString(path) {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i, line := range strings.Split(string(text), "\n") {
			if comparesText.MatchString(line) {
				t.Errorf("%s:%d decides by text: %s", path, i+1, strings.TrimSpace(line))
			}
		}
		return nil
	}))
}
