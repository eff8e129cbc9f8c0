package state

import (
	"context"
	"database/sql/driver"

	sqlitedriver "modernc.org/sqlite"
)

// sqliteConnector opens connections to a file that keep their prepared statements. Preparing the statements of a small write takes SQLite as
// long as running them.
type sqliteConnector struct{ file, source string }

func (c sqliteConnector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.Driver().Open(c.source)
	if err != nil {
		return nil, nameFile(c.file, err)
	}
	return &preparedConn{sqliteConn: conn.(sqliteConn), file: c.file, statements: map[string]*preparedStatement{}}, nil
}

func (sqliteConnector) Driver() driver.Driver { return &sqlitedriver.Driver{} }

// sqliteConn is what a connection of the driver implements.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// maxPrepared limits the statements that a connection keeps. There are fewer, unless a command builds the text of its statements.
const maxPrepared = 100

// preparedConn is a connection that keeps prepared statements. Its errors name the file.
type preparedConn struct {
	sqliteConn
	file       string
	statements map[string]*preparedStatement
}

// preparedStatement is a statement of a connection.
type preparedStatement struct {
	driver.Stmt
	open bool // it has rows that are not closed
}

// prepared returns the statement of a text, or nil if it should not be kept or its rows are being read. A text without arguments may be
// a script.
func (c *preparedConn) prepared(ctx context.Context, text string, args int) (*preparedStatement, error) {
	if s := c.statements[text]; s != nil {
		if s.open {
			return nil, nil
		}
		return s, nil
	}
	if args == 0 || len(c.statements) >= maxPrepared {
		return nil, nil
	}
	stmt, err := c.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	s := &preparedStatement{Stmt: stmt}
	c.statements[text] = s
	return s, nil
}

// PrepareContext implements driver.ConnPrepareContext.
func (c *preparedConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	stmt, err := c.sqliteConn.PrepareContext(ctx, text)
	if err != nil {
		return nil, nameFile(c.file, err)
	}
	return &fileStatement{stmt, c.file}, nil
}

// BeginTx implements driver.ConnBeginTx.
func (c *preparedConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	tx, err := c.sqliteConn.BeginTx(ctx, options)
	if err != nil {
		return nil, nameFile(c.file, err)
	}
	return fileTx{tx, c.file}, nil
}

// Ping implements driver.Pinger.
func (c *preparedConn) Ping(ctx context.Context) error {
	return nameFile(c.file, c.sqliteConn.Ping(ctx))
}

// ExecContext implements driver.ExecerContext.
func (c *preparedConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.prepared(ctx, text, len(args))
	if err != nil {
		return nil, err
	}
	if s == nil {
		result, err := c.sqliteConn.ExecContext(ctx, text, args)
		return result, nameFile(c.file, err)
	}
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

// QueryContext implements driver.QueryerContext.
func (c *preparedConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.prepared(ctx, text, len(args))
	if err != nil {
		return nil, err
	}
	if s == nil {
		rows, err := c.sqliteConn.QueryContext(ctx, text, args)
		if err != nil {
			return nil, nameFile(c.file, err)
		}
		return fileRows{rows, c.file}, nil
	}
	rows, err := s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.open = true
	return preparedRows{rows, s}, nil
}

// Close closes the statements and the connection.
func (c *preparedConn) Close() error {
	for _, s := range c.statements {
		_ = s.Stmt.Close()
	}
	clear(c.statements)
	return c.sqliteConn.Close()
}

// preparedRows are the rows of a preparedStatement.
type preparedRows struct {
	driver.Rows
	statement *preparedStatement
}

// Close implements driver.Rows.
func (r preparedRows) Close() error {
	r.statement.open = false
	return r.Rows.Close()
}
