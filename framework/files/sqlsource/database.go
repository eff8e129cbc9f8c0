package sqlsource

import (
	"context"
	"database/sql"
	"io"
	"strings"

	"github.com/landfall-dev/landfall/framework/files/audiencesync"
)

// databaseCursor reads a result through database/sql.
type databaseCursor struct {
	db     *sql.DB
	tx     *sql.Tx
	rows   *sql.Rows
	names  []audiencesync.Column
	values []any // what a row is scanned into
	text   func(value any) (text, problem string)
}

// startQuery runs a query in the connection's read-only transaction.
func (c *databaseCursor) startQuery(ctx context.Context, query string) error {
	var err error
	if c.rows, err = c.tx.QueryContext(ctx, query); err != nil {
		return err
	}
	types, err := c.rows.ColumnTypes()
	if err != nil {
		return err
	}
	if len(types) == 0 {
		return &OptionError{"the query returns no columns"}
	}
	for _, t := range types {
		name := strings.ToLower(t.DatabaseTypeName())
		c.names = append(c.names, audiencesync.Column{Name: t.Name(), Type: name, Unfit: unfitReason(name)})
	}
	return nil
}

func (c *databaseCursor) columns() []audiencesync.Column { return c.names }

func (c *databaseCursor) next(used []int, record []string) (problem string, err error) {
	if !c.rows.Next() {
		if err := c.rows.Err(); err != nil {
			return "", err
		}
		if c.rows.NextResultSet() {
			return "", &OptionError{"the query has several results: it should be a single statement"}
		}
		if err := c.rows.Err(); err != nil {
			return "", err
		}
		return "", io.EOF
	}
	if err := c.rows.Scan(c.values...); err != nil {
		return "", err
	}
	for _, i := range used {
		text, wrong := c.text(c.values[i])
		if record[i] = text; wrong != "" {
			problem = c.names[i].Name + " " + wrong
		}
	}
	return problem, nil
}

func (c *databaseCursor) close() {
	if c.rows != nil {
		_ = c.rows.Close()
	}
	if c.tx != nil {
		_ = c.tx.Rollback()
	}
	_ = c.db.Close()
}
