// Package fql is Segment's Destination Filter Query Language, in which a subscription says which events it takes:
//
//	type = "track" and (event = "Order Completed" or match(event, "Checkout *"))
//
// Compile turns the text into a Query once; matching an event then neither parses nor compiles. README.md is the
// language on one page. The package knows nothing of subscriptions or destinations. A Query is immutable: any number
// of goroutines may use it at once.
package fql

import (
	"slices"

	"github.com/landfall-dev/landfall/framework/event"
)

// Bounds of a query. A text beyond one of them is refused with the bound named.
const (
	MaxBytes   = 64 << 10 // bytes of a query
	MaxDepth   = 200      // parentheses, negations and functions inside each other
	MaxItems   = 1000     // items of a list
	MaxPattern = 1000     // characters of a pattern; one that comes from an event and is longer matches nothing
)

// Query is a compiled query. The zero Query is not valid; use Compile.
type Query struct {
	root  condition
	paths []event.Path
}

// Everything is a query that takes every event.
const Everything = `type = null or type != null`

// Compile reads a query. The error is a fault.Problems with the place of the mistake.
func Compile(text string) (*Query, error) {
	p, err := newParser(text)
	if err != nil {
		return nil, err
	}
	root, err := p.query()
	if err != nil {
		return nil, err
	}
	return &Query{root: root, paths: p.paths}, nil
}

// Match tells whether the query takes an event. A value that is no object matches nothing.
func (q *Query) Match(root event.Value) bool {
	return root.Kind() == event.Object && q.root.match(root)
}

// String is the query in its normal form: one space round operators, double quotes, "and" written out, only the
// parentheses it needs. It compiles to the same query, unless spelling it out makes it longer than MaxBytes.
func (q *Query) String() string { return q.root.String() }

// Words says the query in plain English, such as: the event is “Audience Entered” or “Audience Exited”.
func (q *Query) Words() string { return q.root.words(false) }

// Paths are the fields that the query reads, each once, in the order of the text.
func (q *Query) Paths() []event.Path { return slices.Clone(q.paths) }
