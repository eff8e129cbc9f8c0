package sqlsource

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
)

// databaseCursor reads a result through database/sql.
type databaseCursor struct {
	db     *sql.DB
	tx     *sql.Tx
	rows   *sql.Rows
	names  []audiencesync.Column
	now    time.Time // the clock of the database before the snapshot, if it was asked for
	values []any     // what a row is scanned into
	text   func(typeName string, value any) (text, problem string)
	json   func(typeName string, value any) (v event.Value, problem string)
}

// querier is a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// startQuery runs a query and reads the columns of its result.
func (c *databaseCursor) startQuery(ctx context.Context, q querier, query string, args ...any) error {
	var err error
	if c.rows, err = q.QueryContext(ctx, query, args...); err != nil {
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
		c.names = append(c.names, newColumn(t.Name(), strings.ToLower(t.DatabaseTypeName())))
	}
	return nil
}

func (c *databaseCursor) clock() time.Time { return c.now }

func (c *databaseCursor) columns() []audiencesync.Column { return c.names }

func (c *databaseCursor) next(used []int, record []string) (problem string, err error) {
	if !c.rows.Next() {
		return "", c.readEnd()
	}
	if err := c.rows.Scan(c.values...); err != nil {
		return "", err
	}
	for _, i := range used {
		text, wrong := c.text(c.names[i].Type, c.values[i])
		if record[i] = text; wrong != "" {
			problem = c.names[i].Name + " " + wrong
		}
	}
	return problem, nil
}

func (c *databaseCursor) value(column int) (event.Value, string) {
	return c.json(c.names[column].Type, c.values[column])
}

// readEnd returns io.EOF if the driver has read the end of the only result.
func (c *databaseCursor) readEnd() error {
	err := c.rows.Err()
	if err == nil && c.rows.NextResultSet() {
		return &OptionError{"the query has several results: it should be a single statement"}
	}
	if err == nil {
		err = c.rows.Err()
	}
	switch {
	case err == nil:
		return io.EOF
	case isEndOfConnection(err):
		return io.ErrUnexpectedEOF
	}
	return err
}

// isEndOfConnection reports whether a connection ended. Drivers wrap io.EOF for it, which must not be taken for the end of a result.
func isEndOfConnection(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
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
