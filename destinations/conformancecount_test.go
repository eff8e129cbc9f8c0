package destinations_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the counts of cases into the READMEs of destinations")

// conformanceCount counts the cases of a destination by how they compare with the reference.
type conformanceCount struct {
	slug          string
	reasons       []differenceReason
	cases         int
	equal         int            // requests and results are those of the reference
	equalRequests int            // the requests are, whatever the results are
	by, alone     map[string]int // cases that differ for a reason, by its text, and those that differ for no other
}

func newConformanceCount(slug string, reasons []differenceReason) *conformanceCount {
	return &conformanceCount{slug: slug, reasons: reasons, by: map[string]int{}, alone: map[string]int{}}
}

// add counts a case that differs at places for the used reasons.
func (c *conformanceCount) add(places []string, used map[string]bool) {
	c.cases++
	if len(places) == 0 {
		c.equal++
	}
	if !containsRequests(places) {
		c.equalRequests++
	}
	for text := range used {
		c.by[text]++
		if len(used) == 1 {
			c.alone[text]++
		}
	}
}

// containsRequests reports whether requests differ: at one of places, or because the case did not run at all.
func containsRequests(places []string) bool {
	for _, place := range places {
		if place == "" || strings.HasPrefix(place, "/requests") {
			return true
		}
	}
	return false
}

// percentOf returns a share in percent, rounded down.
func percentOf(n, of int) int { return 100 * n / of }

// summary returns the counts as one line, and a line for each reason.
func (c *conformanceCount) summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d cases, %d equal (%d %%), %d equal in requests (%d %%), %d different on purpose", c.slug, c.cases, c.equal, percentOf(c.equal, c.cases),
		c.equalRequests, percentOf(c.equalRequests, c.cases), c.cases-c.equal)
	for _, reason := range c.reasons {
		if n := c.by[reason.text]; n > 0 {
			fmt.Fprintf(&b, "\n  %d (%d alone): %s", n, c.alone[reason.text], reason.text)
		}
	}
	return b.String()
}

// differencesHeading is the heading in a README below which the differences are listed, with the paragraph of the counts if there is one.
var differencesHeading = regexp.MustCompile("(?m)^## (What differs from Segment|Differences from Segment's destination)\n\n(Of the [0-9]+ recorded cases .*\n\n)?")

// checkCountsOfReadme compares the counts in the README of a destination with those of its cases, or writes them.
func checkCountsOfReadme(t *testing.T, c *conformanceCount) {
	file := filepath.Join(c.slug, "README.md")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	counted, err := c.writeCounts(string(text))
	require.NoError(t, err, file)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(counted), 0o644))
		return
	}
	assert.Equal(t, counted, string(text), "%s has other counts: run go test ./destinations -run TestConformance/%s -update", file, c.slug)
}

// writeCounts returns the text of a README with the counts: of all cases in a paragraph, and of each reason behind it.
func (c *conformanceCount) writeCounts(text string) (string, error) {
	at := differencesHeading.FindStringSubmatchIndex(text)
	if at == nil {
		return "", errors.New("there is no heading for the differences")
	}
	all := fmt.Sprintf("Of the %d recorded cases of Segment's destination, %d are equal (%d %%), and %d in their requests (%d %%). %s\n\n",
		c.cases, c.equal, percentOf(c.equal, c.cases), c.equalRequests, percentOf(c.equalRequests, c.cases), c.describeDifferent())
	text = text[:at[3]] + "\n\n" + all + text[at[1]:]
	for _, reason := range c.reasons {
		bullet := regexp.MustCompile("(?m)^- " + regexp.QuoteMeta(reason.text) + `( \*[^*\n]*\*)?$`)
		if len(bullet.FindAllString(text, 2)) != 1 && reason.own {
			return "", fmt.Errorf("the reason is not one line of the list: %s", reason.text)
		}
		text = bullet.ReplaceAllLiteralString(text, "- "+reason.text+" *"+c.describe(reason)+"*")
	}
	return text, nil
}

// describeDifferent says how many cases differ, and how many of them for several reasons or for one that the README does not list.
func (c *conformanceCount) describeDifferent() string {
	different := c.cases - c.equal
	single, shared := 0, 0
	for _, reason := range c.reasons {
		single += c.alone[reason.text]
		if !reason.own {
			shared += c.alone[reason.text]
		}
	}
	text := fmt.Sprintf("%d differ on purpose", different)
	if different == 1 {
		text = "1 differs on purpose"
	}
	if several := different - single; several > 0 {
		text += fmt.Sprintf(", %d of them for several reasons", several)
	}
	if shared > 0 {
		text += fmt.Sprintf(", and %d for one that [all destinations share](../../framework/COMPATIBILITY.md)", shared)
	}
	return text + "."
}

// describe says how many cases differ for a reason.
func (c *conformanceCount) describe(reason differenceReason) string {
	n, alone := c.by[reason.text], c.alone[reason.text]
	switch {
	case n == 0:
		return "None of the recorded cases."
	case n == 1 && alone == 1:
		return "1 case."
	case n == alone:
		return fmt.Sprintf("%d cases.", n)
	case n == 1:
		return "1 case, with other reasons."
	default:
		return fmt.Sprintf("%d cases, %d of them for no other reason.", n, alone)
	}
}
