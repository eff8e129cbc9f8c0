package audiencesync

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/fault"
)

// warningKind is a kind of suspicious value in rows.
type warningKind int

const (
	warnSpaces warningKind = iota
	warnSpreadsheet
	warnMissing
	warningKinds
)

// rowWarnings counts suspicious values.
type rowWarnings struct {
	counts  [warningKinds]int
	first   [warningKinds]string // place of the first one
	ignored []string             // columns that are not used

	properties propertyWarnings
}

func (w *rowWarnings) addWarning(kind warningKind, place string) {
	if w.counts[kind]++; w.counts[kind] == 1 {
		w.first[kind] = place
	}
}

// exportColumns returns the columns that Landfall's own exports have beside the identity.
func exportColumns() []string {
	return []string{"", "at", "delivered", "confirmed", "doubt", "member", "known", "history", "cohort", "cohortName"}
}

// maxIgnored limits the ignored columns in a warning.
const maxIgnored = 20

// addIgnored records columns that are not used.
func (r *Rows) addIgnored(names ...string) {
	for _, name := range names {
		name = strings.TrimSpace(name)
		if len(r.warnings.ignored) > maxIgnored || slices.Contains(r.warnings.ignored, name) || slices.Contains(exportColumns(), name) {
			continue
		}
		r.warnings.ignored = append(r.warnings.ignored, name)
	}
}

// Warnings describes suspicious values in the rows read so far, which did not cause an error.
func (r *Rows) Warnings() []string {
	var list []string
	if ignored := r.warnings.ignored; len(ignored) > 0 {
		list = append(list, fmt.Sprintf("%s ignored, only %s name users: %s", fault.Plural(len(ignored), "a column is", "columns are"), strings.Join(r.identifiers, ", "), showNames(ignored)))
	}
	list = append(list, r.warnings.properties.list()...)
	if r.only.Column == "" && slices.ContainsFunc(r.warnings.ignored, func(name string) bool { return sameColumn(name, "audience") }) {
		list = append(list, "all rows were used, whatever their column audience has: use --audience-column audience, or audienceColumn in audienceSyncs, if it names the audience of each row")
	}
	if n := r.warnings.counts[warnSpaces]; n > 0 {
		list = append(list, fmt.Sprintf("white space around %s was removed (first: %s)", fault.Count(n, "identifier"), r.warnings.first[warnSpaces]))
	}
	if n := r.warnings.counts[warnSpreadsheet]; n > 0 {
		list = append(list, fmt.Sprintf("%s damaged by a spreadsheet, such as 1.23457E+15 or #N/A (first: %s): format the column as text and export it again",
			fault.Plural(n, "an identifier looks", fmt.Sprintf("%d identifiers look", n)), r.warnings.first[warnSpreadsheet]))
	}
	if n := r.warnings.counts[warnMissing]; n > 0 {
		list = append(list, fmt.Sprintf("%s like a missing value, such as NULL or N/A (first: %s): export an empty text instead, unless users have this identifier",
			fault.Plural(n, "an identifier looks", fmt.Sprintf("%d identifiers look", n)), r.warnings.first[warnMissing]))
	}
	return list
}

// isMissingValue reports whether a value is what programs write in place of one that is missing.
func isMissingValue(value string) bool {
	switch len(value) {
	case 1:
		return value == "-" || value == "?"
	case 2:
		return value == `\N` || strings.EqualFold(value, "na")
	case 3:
		return strings.EqualFold(value, "n/a") || strings.EqualFold(value, "nan") || strings.EqualFold(value, "nil")
	case 4:
		return strings.EqualFold(value, "null") || strings.EqualFold(value, "none")
	}
	return strings.EqualFold(value, "undefined") || strings.EqualFold(value, "(null)") || strings.EqualFold(value, "[null]")
}

var spreadsheetNumber = regexp.MustCompile(`^[+-]?\d([.,]\d+)?E\+?\d+$`)

// spreadsheetDamage reports whether a value is a rounded number or an error value of a spreadsheet.
func spreadsheetDamage(value string) bool {
	switch value {
	case "#N/A", "#NAME?", "#REF!", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!":
		return true
	}
	return strings.Contains(value, "E") && spreadsheetNumber.MatchString(value)
}
