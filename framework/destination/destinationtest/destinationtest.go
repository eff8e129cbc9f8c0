// Package destinationtest checks destinations against a table of named checks that every good destination passes. Call Run in
// the test of a plugin. All destinations of the registry are checked with the same table.
//
// The checks need only a plugin and its cases (testdata/cases). They set passwords to canaries, derive invalid input from the
// fields, and send requests to the sandbox or to a misbehaving remote. Intended exceptions are listed in testdata/waivers.yaml
// with a reason. README.md lists the checks. The command landfall suite runs them on destinations without code.
//
// The checks look for leaked goroutines, so nothing may run concurrently with them.
package destinationtest

import (
	"testing"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/internal/author/suite"
)

// Finding is one check that a destination does not pass.
type Finding struct {
	Check   string // name of the check
	Of      string // the subject, such as action.field; "" for the destination
	Message string
	Place   string // of the subject in a file, as file:line:column; "" if it has none
}

func (f Finding) String() string { return suite.Finding(f).String() }

// Names returns the names of the checks, which waivers refer to.
func Names() []string { return suite.Names() }

// Run runs all checks on a plugin, from a test in the plugin's directory.
func Run(t *testing.T, p destination.Plugin) {
	t.Helper()
	RunIn(t, p, ".")
}

// RunIn is like Run for a plugin in another directory.
func RunIn(t *testing.T, p destination.Plugin, dir string) {
	t.Helper()
	findings, err := Find(p, dir)
	if err != nil {
		t.Fatal(err)
	}
	reportFindings(t, Names(), findings)
}

// RunCases runs only the cases of a plugin, from a test in the plugin's directory. Use it while handlers are not complete.
func RunCases(t *testing.T, p destination.Plugin) {
	t.Helper()
	only := []string{suite.CasesPass}
	findings, err := find(p, ".", suite.Options{Only: only})
	if err != nil {
		t.Fatal(err)
	}
	reportFindings(t, only, findings)
}

// reportFindings runs a subtest for each check, which fails if the check has findings.
func reportFindings(t *testing.T, names []string, findings []Finding) {
	t.Helper()
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			for _, f := range findings {
				if f.Check == name {
					t.Error(f)
				}
			}
		})
	}
}

// Find returns the findings for a plugin in a directory, without waived ones. The error says that a definition, a case or a
// waiver cannot be read, or that a waiver waives nothing.
func Find(p destination.Plugin, dir string) ([]Finding, error) { return find(p, dir, suite.Options{}) }

func find(p destination.Plugin, dir string, o suite.Options) ([]Finding, error) {
	found, err := suite.Find(p, dir, o)
	var findings []Finding
	for _, f := range found {
		findings = append(findings, Finding(f))
	}
	return findings, err
}
