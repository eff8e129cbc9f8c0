package console

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/language/fql"
)

// maxFilterRows limits the rows of a filter.
const maxFilterRows = 100

// readRows reads the filter of a submitted subscription if the form shows it as rows. Rows without a field are not part of the filter yet.
func (s *subscriptionInput) readRows(get func(name string) string) {
	if s.AsRows = get("filter") == "rows"; !s.AsRows {
		return
	}
	n, _ := strconv.Atoi(get("rows"))
	for i := range min(max(n, 0), maxFilterRows) {
		at := fmt.Sprintf("row.%d.", i)
		s.Rows = append(s.Rows, fql.Row{Or: get(at+"join") == "or", Left: strings.TrimSpace(get(at + "left")), Operator: get(at + "operator"), Right: strings.TrimSpace(get(at + "right"))})
	}
	s.Subscribe = queryOfRows(s.Rows)
}

// queryOfRows returns the query of the rows that have a field.
func queryOfRows(rows []fql.Row) string {
	return fql.FromRows(slices.DeleteFunc(slices.Clone(rows), func(r fql.Row) bool {
		return r.Left == "" || !slices.Contains(fql.RowOperators(), r.Operator)
	}))
}

// showRows shows the filter as rows, if it is one that rows can show.
func (s *subscriptionInput) showRows() {
	s.Rows, s.AsRows = nil, true
	if s.query() == "" {
		s.Rows = []fql.Row{{Left: "event", Operator: "="}}
		return
	}
	query, err := fql.Compile(s.query())
	if err != nil {
		s.AsRows = false
		return // the problem is shown below the filter
	}
	rows, ok := query.Rows()
	if ok && len(rows) <= maxFilterRows {
		s.Rows = rows
		return
	}
	s.AsRows = false
	s.Errors["subscribe"] = append(s.Errors["subscribe"], problemView{Message: "This filter is nested and cannot be shown as rows. Edit it as FQL."})
}

// changeRows adds a row, or removes the one that the button names.
func (s *subscriptionInput) changeRows(do, rest string) {
	if do == "row" {
		if len(s.Rows) < maxFilterRows {
			s.Rows = append(s.Rows, fql.Row{Operator: "="})
		}
		return
	}
	_, row, _ := strings.Cut(rest, ".")
	if n, err := strconv.Atoi(row); err == nil && n >= 0 && n < len(s.Rows) {
		s.Rows = slices.Delete(s.Rows, n, n+1)
		s.Subscribe = queryOfRows(s.Rows)
	}
}

// handleEditorAction runs a button that changes how a subscription is shown, or its rows.
func (f *setupForm) handleEditorAction(do, rest string) {
	number, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n >= len(f.Subscriptions) {
		return
	}
	s := f.Subscriptions[n]
	switch do {
	case "open":
		if open := f.openSubscription(); open == nil || open.ErrorCount() == 0 { // what cannot be read would be lost
			f.Open = n
		}
	case "rows":
		s.showRows()
	case "fql":
		s.AsRows = false
	case "row", "unrow":
		s.changeRows(do, rest)
	}
}

// ErrorCount returns the number of errors in the inputs of the subscription.
func (s *subscriptionInput) ErrorCount() (n int) {
	for _, list := range s.Errors {
		n += len(list)
	}
	for _, in := range s.allFields() {
		n += len(in.Errors)
	}
	return n
}
