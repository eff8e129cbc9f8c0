// Package suite checks a destination against a table of named checks that every good destination passes. Package destinationtest runs them in
// tests of Go, and landfall suite without Go; the README.md of destinationtest lists them.
//
// The checks need only a plugin and its cases (testdata/cases). They set passwords to canaries, derive invalid input from the fields, and
// send requests to the sandbox or to a misbehaving remote. Intended exceptions are listed in testdata/waivers.yaml with a reason.
//
// The checks look for leaked goroutines, so nothing may run concurrently with them.
package suite

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/goleak"

	"github.com/landfall-dev/landfall/framework/destination"
)

// Finding is one check that a destination does not pass.
type Finding struct {
	Check   string // name of the check
	Of      string // the subject, such as action.field; "" for the destination
	Message string
	Place   string // of the subject in a file, as file:line:column; "" if it has none
}

func (f Finding) String() string {
	text := f.Message
	for _, before := range []string{f.Of, f.Place} {
		if before != "" {
			text = before + ": " + text
		}
	}
	return text
}

// check is a named check. run adds findings to the subject.
type check struct {
	name string
	run  func(*subject)
}

// ofRemotes wraps a check of requests and responses. It finds nothing for destinations whose actions run in the browser.
func ofRemotes(run func(*subject)) func(*subject) {
	return func(s *subject) {
		if s.definition.Browser == "" {
			run(s)
		}
	}
}

// CasesPass is the name of the check that runs the cases.
const CasesPass = "cases pass"

// allChecks returns all checks. The first ones need only the definition; the others need cases that pass.
func allChecks() []check {
	return []check{
		lintCheck(destination.CheckNames), lintCheck(destination.CheckDescriptions), lintCheck(destination.CheckSecrets),
		lintCheck(destination.CheckDefaults), lintCheck(destination.CheckFields),
		{"clients and clocks come from the framework", checkPlumbing},
		{"every action has a case", checkActionsHaveCases},
		{CasesPass, checkCasesPass},
		{"the sandbox accepts what each action sends", checkSandboxAccepts},
		{"presets select events of their action", checkPresets},
		{"bad settings are refused by name and place", checkBadSettings},
		{"bad payloads are refused by name and place", checkBadPayloads},
		{"unknown keys do not reach the handler", checkUnknownKeys},
		{"secrets do not show", checkSecrets},
		{"credentials can be tested", ofRemotes(checkCredentials)},
		{"every status leads to the right outcome", ofRemotes(checkStatusClasses)},
		{"deletions have the right outcome", ofRemotes(checkDeletions)},
		{"choices come from the remote", ofRemotes(checkChoices)},
		{"the remote lists the members of an audience", ofRemotes(checkMemberList)},
		{"unexpected responses are handled", ofRemotes(checkStrangeResponses)},
		{"an event has the same result in a batch and alone", checkBatches},
		{"plans run concurrently", checkConcurrentPlans},
		{"cancelled calls end", ofRemotes(checkCancellation)},
		{"no goroutine leaks", func(s *subject) {
			for _, p := range s.plans {
				if err := p.Close(s.baseContext()); err != nil {
					s.addFinding("", "closing an instance: %v", err)
				}
			}
			if err := goleak.Find(s.before); err != nil {
				s.addFinding("", "%v", err)
			}
		}},
	}
}

// Names returns the names of the checks in their order, which waivers refer to.
func Names() []string {
	var names []string
	for _, c := range allChecks() {
		names = append(names, c.name)
	}
	return names
}

// ErrStaleWaiver is the error of a waiver that waives nothing. The checks have run.
var ErrStaleWaiver = errors.New("the waiver waives nothing: remove it")

// Options selects checks.
type Options struct {
	Only       []string      // the names of the checks to run; nil for all
	EndsWithin time.Duration // how long handlers may take to stop; 0 for the usual time
}

// Find returns the findings for a plugin in a directory, without waived ones. The error says that a definition, a case or a waiver cannot
// be read, or, if all checks run, that a waiver waives nothing.
func Find(p destination.Plugin, dir string, o Options) ([]Finding, error) {
	s, err := newSubject(p, dir)
	if err != nil {
		return nil, err
	}
	s.endsWithin = cmp.Or(o.EndsWithin, endsWithin)
	waivers, err := readWaivers(s.dir)
	if err != nil {
		return nil, err
	}
	s.before = goleak.IgnoreCurrent()
	for _, c := range allChecks() {
		if o.Only == nil || slices.Contains(o.Only, c.name) {
			s.check = c.name
			c.run(s)
		}
	}
	findings, stale := waivers.removeWaived(s.findings)
	if o.Only != nil {
		return findings, nil
	}
	var list []error
	for _, w := range stale {
		list = append(list, fmt.Errorf("%s:%d: %w", w.file, w.line, ErrStaleWaiver))
	}
	return findings, errors.Join(list...)
}
