// Package fql implements Segment's Destination Filter Query Language, in which a subscription describes the events that it
// receives:
//
//	type = "track" and (event = "Order Completed" or match(event, "Checkout *"))
//
// Compile turns the text into a Query once. Matching an event then neither parses nor compiles anything. README.md is the reference
// of the language. The package knows nothing about subscriptions or destinations. A Query is immutable and safe for concurrent use.
package fql

import (
	"slices"

	"github.com/landfall-dev/landfall/framework/event"
)

// Limits of a query. A query that exceeds one is refused with an error that names the limit.
const (
	MaxBytes   = 64 << 10 // size of a query in bytes
	MaxDepth   = 200      // nesting depth of parentheses, negations and functions
	MaxItems   = 1000     // items of a list
	MaxPattern = 1000     // characters of a pattern; a longer pattern from an event matches nothing
)

// Query is a compiled query. The zero Query is not valid; use Compile.
type Query struct {
	root  condition
	paths []event.Path
}

// MatchAll is a query that matches every event.
const MatchAll = `type = null or type != null`

// Compile compiles a query. The error is a fault.Problems with the line and column of the mistake.
func Compile(text string) (*Query, error) {
	p, err := newParser(text)
	if err != nil {
		return nil, err
	}
	root, err := p.parseQuery()
	if err != nil {
		return nil, err
	}
	return &Query{root: root, paths: p.paths}, nil
}

// Match reports whether the query matches an event. A value that is not an object never matches.
func (q *Query) Match(root event.Value) bool {
	return root.Kind() == event.Object && q.root.matches(root)
}

// String returns the query in normal form: one space around operators, double quotes, an explicit "and", and no unnecessary
// parentheses. It compiles to an equivalent query, unless it is longer than MaxBytes.
func (q *Query) String() string { return q.root.String() }

// Describe returns the query in plain English, for example: the event is “Audience Entered” or “Audience Exited”.
func (q *Query) Describe() string { return q.root.describe(false) }

// Paths returns the paths of the fields that the query reads, without duplicates, in the order of the text.
func (q *Query) Paths() []event.Path { return slices.Clone(q.paths) }
