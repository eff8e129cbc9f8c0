package state

import (
	"context"
	"database/sql/driver"
	"errors"

	sqlitedriver "modernc.org/sqlite"
)

// FileError is an error of SQLite with the file that it concerns. Its text says what to do.
type FileError struct {
	File  string
	Cause *sqlitedriver.Error
}

func (e *FileError) Error() string { return e.File + ": " + e.Reason() }

// Reason returns the text of the error without the file.
func (e *FileError) Reason() string { return sqliteReason(e.Cause, e.File) }

// Unwrap returns SQLite's error.
func (e *FileError) Unwrap() error { return e.Cause }

// nameFile returns an error of SQLite as a *FileError, and any other error as it is.
func nameFile(file string, err error) error {
	if cause := asSQLite(err); cause != nil && !errors.As(err, new(*FileError)) {
		return &FileError{file, cause}
	}
	return err
}

// fileStatement is a prepared statement whose errors name the file.
type fileStatement struct {
	driver.Stmt
	file string
}

// ExecContext implements driver.StmtExecContext.
func (s *fileStatement) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	result, err := s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
	return result, nameFile(s.file, err)
}

// QueryContext implements driver.StmtQueryContext.
func (s *fileStatement) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		return nil, nameFile(s.file, err)
	}
	return fileRows{rows, s.file}, nil
}

// fileRows are rows whose errors name the file.
type fileRows struct {
	driver.Rows
	file string
}

// Next implements driver.Rows.
func (r fileRows) Next(dest []driver.Value) error { return nameFile(r.file, r.Rows.Next(dest)) }

// fileTx is a transaction whose errors name the file.
type fileTx struct {
	driver.Tx
	file string
}

// Commit implements driver.Tx.
func (t fileTx) Commit() error { return nameFile(t.file, t.Tx.Commit()) }

// Rollback implements driver.Tx.
func (t fileTx) Rollback() error { return nameFile(t.file, t.Tx.Rollback()) }
