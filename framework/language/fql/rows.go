package fql

import (
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// Row is a condition of a query as a row of a table. Rows that are joined with or belong together; all others are joined with and.
type Row struct {
	Or       bool   // joined with or to the row before it
	Left     string // a field or a function
	Operator string // one of RowOperators
	Right    string // a value as it is written in a query, or a text without quotes; "" if the operator takes none
}

// Operators of rows that are no operators of the language.
const (
	rowContains    = "contains"
	rowNotContains = "does not contain"
	rowMatches     = "matches"
	rowNotMatches  = "does not match"
	rowTrue        = "is true"
	rowNotTrue     = "is not true"
	rowPresent     = "is present"
	rowMissing     = "is missing"
)

// RowOperators returns the operators of rows.
func RowOperators() []string {
	return []string{"=", "!=", ">", ">=", "<", "<=", "in", rowContains, rowNotContains, rowMatches, rowNotMatches, rowPresent, rowMissing, rowTrue, rowNotTrue}
}

// Rows returns the query as rows. It returns false if the query is nested more deeply than rows can show.
func (q *Query) Rows() (rows []Row, ok bool) {
	parts := []condition{q.root}
	if all, isGroup := q.root.(group); isGroup && !all.or {
		parts = all.parts
	}
	for _, part := range parts {
		any := []condition{part}
		if g, isGroup := part.(group); isGroup {
			if any = g.parts; !g.or {
				return nil, false
			}
		}
		for i, leaf := range any {
			row, ok := rowOf(leaf)
			if !ok {
				return nil, false
			}
			row.Or = i > 0
			rows = append(rows, row)
		}
	}
	return rows, true
}

// rowOf returns a condition as a row; false if it is no single comparison or test.
func rowOf(c condition) (Row, bool) {
	if call := textTest(c); call != nil {
		return textTestRow(call, map[string]string{"contains": rowContains, "match": rowMatches})
	}
	switch c := c.(type) {
	case negatedTextTest:
		return textTestRow(c.call, map[string]string{"contains": rowNotContains, "match": rowNotMatches})
	case valueTest:
		return Row{Left: c.operand.String(), Operator: rowTrue}, true
	case not:
		if test, ok := c.part.(valueTest); ok && textTest(test) == nil {
			return Row{Left: test.operand.String(), Operator: rowNotTrue}, true
		}
	case comparison:
		return comparisonRow(c), true
	}
	return Row{}, false
}

func textTestRow(c *call, operators map[string]string) (Row, bool) {
	operator, ok := operators[c.function.name]
	if !ok || len(c.args) != 2 {
		return Row{}, false
	}
	return Row{Left: c.args[0].String(), Operator: operator, Right: rowValue(c.args[1])}, true
}

func comparisonRow(c comparison) Row {
	if l, ok := c.right.(literal); ok && l.Kind() == event.Null {
		switch c.op {
		case "=":
			return Row{Left: c.left.String(), Operator: rowMissing}
		case "!=":
			return Row{Left: c.left.String(), Operator: rowPresent}
		}
	}
	return Row{Left: c.left.String(), Operator: c.op, Right: rowValue(c.right)}
}

// rowValue returns an operand for the column with values: a text without quotes if it is no other value without them.
func rowValue(o operand) string {
	switch o := o.(type) {
	case *field:
		return "$." + strings.TrimPrefix(o.text, "$.")
	case literal:
		if text := o.Str(); o.IsString() && text != "" && !isQueryValue(text) && text == strings.TrimSpace(text) && !strings.ContainsAny(text, "\n\r\t") {
			return text
		}
	}
	return o.String()
}

// isQueryValue reports whether a text in the column with values is a value of the language, and not a text without quotes.
func isQueryValue(text string) bool {
	if strings.HasPrefix(text, "$.") || strings.ContainsAny(text[:1], `"'[`) {
		return true
	}
	if text == "true" || text == "false" || text == "null" {
		return true
	}
	if name, _, isCall := strings.Cut(text, "("); isCall && slices.ContainsFunc(functions, func(f *function) bool { return f.name == name }) {
		return true
	}
	v, err := event.ParseString(text)
	return err == nil && v.Kind() == event.Number
}

// FromRows returns the query that rows describe. It is not checked: Compile finds the mistakes in it.
func FromRows(rows []Row) string {
	var groups [][]string
	for _, row := range rows {
		if n := len(groups); row.Or && n > 0 {
			groups[n-1] = append(groups[n-1], row.query())
		} else {
			groups = append(groups, []string{row.query()})
		}
	}
	var parts []string
	for _, group := range groups {
		part := strings.Join(group, " or ")
		if len(group) > 1 && len(groups) > 1 {
			part = "(" + part + ")"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, " and ")
}

// query returns the row as a condition.
func (r Row) query() string {
	left, right := strings.TrimSpace(r.Left), strings.TrimSpace(r.Right)
	if right == "" || !isQueryValue(right) {
		right = Quote(right)
	}
	switch r.Operator {
	case rowContains:
		return "contains(" + left + ", " + right + ")"
	case rowNotContains:
		return "!contains(" + left + ", " + right + ")"
	case rowMatches:
		return "match(" + left + ", " + right + ")"
	case rowNotMatches:
		return "!match(" + left + ", " + right + ")"
	case rowTrue:
		return left
	case rowNotTrue:
		return "!" + left
	case rowPresent:
		return left + " != null"
	case rowMissing:
		return left + " = null"
	}
	return left + " " + r.Operator + " " + right
}
