package suite

import (
	"context"
	"fmt"
	"slices"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/internal/author/harness"
)

// baseContext returns the context of a check.
func (s *subject) baseContext() context.Context { return context.Background() }

// checkActionsHaveCases checks that a case exists for each action.
func checkActionsHaveCases(s *subject) {
	var shown []string
	for _, c := range s.cases {
		if in, err := c.Instance(s.definition); err == nil {
			for _, sub := range in.Subscriptions {
				shown = append(shown, sub.Action)
			}
		}
	}
	for _, action := range s.definition.ActionKeys() {
		if !slices.Contains(shown, action) {
			s.addFinding(action, "no case in testdata/cases uses the action%s", s.stray)
		}
	}
}

// checkCasesPass runs the cases.
func checkCasesPass(s *subject) {
	registry, err := destination.NewRegistry([]destination.Plugin{s.plugin})
	if err != nil {
		s.addFinding("", "%v", err)
		return
	}
	suite := harness.Suite{Registry: registry}
	for _, c := range s.cases {
		for _, problem := range suite.Run(s.baseContext(), c).Problems {
			s.addFindingAt(fmt.Sprintf("%s:%d:1", c.File, c.Line), c.Name, "%s", problem)
		}
	}
}
