package audiencesync

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Table is a source of rows with named columns, such as the result of a query.
type Table interface {
	Columns() []Column
	// Use says which columns are read. It is called once, before Next.
	Use(columns []int)
	// Next returns the texts of the next row, by column; the text of NULL is "". It returns io.EOF only if the source has confirmed that the
	// last row was read, a *RowError if only this row is unreadable, and any other error if the result is incomplete.
	Next() ([]string, error)
}

// Column is a column of a Table.
type Column struct {
	Name  string
	Type  string // its type in the source; "" if it has none
	Unfit string // why its values cannot identify users; "" if they can
	Bytes bool   // its values have no JSON form, so it cannot be sent as a property
}

// PropertyTable is a Table whose columns can be sent as properties.
type PropertyTable interface {
	Table
	// UseProperties says which columns Properties returns. It is called once, before Next.
	UseProperties(columns []int)
	// Properties returns the values of these columns in the row that Next has returned. The problem, if not "", says why one has no JSON form.
	Properties() (values []event.Value, problem string)
}

// TableRows reads users from a table. The error is a *HeaderError if no column identifies users.
func TableRows(t Table, o Options) (*Rows, error) {
	return openTable(t, o, sourceWords{"the result", "row"}, &columnShape{Source: o.Source})
}

// openTable is TableRows. shape gets the columns that are used, unless it is nil.
func openTable(t Table, o Options, words sourceWords, shape *columnShape) (*Rows, error) {
	columns := t.Columns()
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	rows := &Rows{
		identifiers: o.Identifiers, renamed: o.Columns, words: words, at: o.At, only: o.Only, properties: propertiesOfRows(o),
		records: &tableReader{table: t}, shape: shape,
	}
	if err := rows.useHeader(names); err != nil {
		return nil, err
	}
	var used []int
	for _, id := range rows.identifierNames() {
		at, ok := rows.columns[id]
		if !ok {
			continue
		}
		c := columns[at]
		if c.Unfit != "" {
			return nil, &HeaderError{fmt.Sprintf("the column %s has the type %s, which cannot identify users: %s", fault.Shorten(c.Name, maxName), c.Type, c.Unfit)}
		}
		used = append(used, at)
		if shape != nil {
			shape.Columns = append(shape.Columns, strings.TrimSpace(id+" "+c.Type))
		}
	}
	if at := rows.onlyAt; at >= 0 && !slices.Contains(used, at) {
		if c := columns[at]; c.Unfit != "" {
			return nil, &HeaderError{fmt.Sprintf("the column %s has the type %s, which cannot name audiences: %s", fault.Shorten(c.Name, maxName), c.Type, c.Unfit)}
		}
		used = append(used, at)
	}
	t.Use(used)
	return rows, rows.useTableProperties(t, columns)
}

// tableReader counts the rows of a table.
type tableReader struct {
	table Table
	row   int
}

func (t *tableReader) readRow() ([]string, int, error) {
	t.row++
	fields, err := t.table.Next()
	return fields, t.row, err
}

// columnShape is the identifier columns of a table with their types.
type columnShape struct {
	Source  string   `json:"source"`
	Columns []string `json:"columns"`
}

// ColumnsChangedError means that the columns that identify users have changed since the last run of the same query. Nothing was sent:
// the same users may have other identifiers now.
type ColumnsChangedError struct{ Before, Now []string }

func (e *ColumnsChangedError) Error() string {
	return fmt.Sprintf("the columns that identify users have changed since the last run, from %s to %s: nothing was sent; use --yes if the identifiers are the same",
		strings.Join(e.Before, ", "), strings.Join(e.Now, ", "))
}

// shapeKey is the ledger's key of the shape that an audience's query had last.
func shapeKey(audience string) string { return "columns/" + audience }

// checkShape returns a *ColumnsChangedError if the last run of the same query had other identifier columns.
func (s *Syncer) checkShape(ctx context.Context, audience string, rows *Rows) error {
	if rows.shape == nil || s.RemoveAll {
		return nil
	}
	text, found, err := s.Ledger.Get(ctx, shapeKey(audience))
	if err != nil || !found {
		return err
	}
	var before columnShape
	if json.Unmarshal([]byte(text), &before) != nil || before.Source != rows.shape.Source || slices.Equal(before.Columns, rows.shape.Columns) {
		return nil
	}
	return &ColumnsChangedError{before.Columns, rows.shape.Columns}
}

// saveShape records the identifier columns of a query that was used.
func (s *Syncer) saveShape(ctx context.Context, audience string, rows *Rows) error {
	if rows.shape == nil {
		return nil
	}
	text, err := json.Marshal(rows.shape)
	if err != nil {
		return err
	}
	return s.Ledger.Put(ctx, shapeKey(audience), string(text))
}
