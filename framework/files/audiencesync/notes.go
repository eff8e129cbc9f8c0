package audiencesync

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// noteKind is something about rows that were read which their owner may not have meant.
type noteKind int

const (
	noteSpaces noteKind = iota
	noteSpreadsheet
	noteKinds
)

// notes counts what is worth a warning.
type notes struct {
	counts  [noteKinds]int
	first   [noteKinds]int // line
	ignored []string       // columns
}

func (n *notes) add(kind noteKind, line int) {
	if n.counts[kind]++; n.counts[kind] == 1 {
		n.first[kind] = line
	}
}

// exportColumns are columns that Landfall itself writes beside the identity.
func exportColumns() []string {
	return []string{"", "at", "delivered", "confirmed", "doubt", "member", "known", "history", "cohort", "cohortName"}
}

// maxIgnored bounds the ignored columns that are named.
const maxIgnored = 20

// ignore notes columns that are not used.
func (r *Rows) ignore(names ...string) {
	for _, name := range names {
		name = strings.TrimSpace(name)
		if len(r.notes.ignored) > maxIgnored || slices.Contains(r.notes.ignored, name) || slices.Contains(exportColumns(), name) {
			continue
		}
		r.notes.ignored = append(r.notes.ignored, name)
	}
}

// Warnings says what was noticed in the rows read so far and was no reason to refuse them.
func (r *Rows) Warnings() []string {
	var list []string
	if ignored := r.notes.ignored; len(ignored) > 0 {
		list = append(list, fmt.Sprintf("%s ignored, only %s name users: %s", pluralOf(len(ignored), "a column is", "columns are"), strings.Join(r.identifiers, ", "), showNames(ignored)))
	}
	if n := r.notes.counts[noteSpaces]; n > 0 {
		list = append(list, fmt.Sprintf("white space around %s was removed (first: line %d)", count(n, "identifier"), r.notes.first[noteSpaces]))
	}
	if n := r.notes.counts[noteSpreadsheet]; n > 0 {
		list = append(list, fmt.Sprintf("%s like what a spreadsheet makes of another value, such as 1.23457E+15 or #N/A (first: line %d): format the column as text and export it again",
			pluralOf(n, "an identifier looks", fmt.Sprintf("%d identifiers look", n)), r.notes.first[noteSpreadsheet]))
	}
	return list
}

func pluralOf(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
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
