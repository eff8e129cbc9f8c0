package state

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	sqlitedriver "modernc.org/sqlite"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/diskspace"
)

// OpenError is the error of a database that cannot be opened.
type OpenError struct {
	Location string // without its password
	Reason   string
	Cause    error
}

func (e *OpenError) Error() string {
	return fmt.Sprintf("opening the state at %s: %s", e.Location, e.Reason)
}

// Unwrap returns the database's error.
func (e *OpenError) Unwrap() error { return e.Cause }

// openError returns err with a reason that says what to do, if it is one of PostgreSQL.
func openError(location string, err error) error {
	e := &OpenError{Location: withoutSecrets(location), Reason: err.Error(), Cause: err}
	var server *pgconn.PgError
	var connecting *pgconn.ConnectError
	var parsing *pgconn.ParseConfigError
	switch {
	case asSQLite(err) != nil:
		e.Reason = sqliteReason(asSQLite(err), location)
	case errors.As(err, &parsing):
		e.Reason = "the URL cannot be read: write state.url as postgres://USER:PASSWORD@HOST:PORT/DATABASE"
	case errors.As(err, &server):
		e.Reason = serverReason(server)
	case errors.As(err, &connecting):
		if e.Reason = fault.NetworkReason(err); e.Reason == "" {
			e.Reason = "the server cannot be reached, or does not support TLS, which sslmode in the URL requires"
		}
		e.Reason += "; check state.url, and that PostgreSQL runs and accepts connections from this machine"
	}
	return e
}

// ErrorText returns the text of an error, in which this package's explanation replaces that of the database if there is one.
func ErrorText(err error) string {
	text := err.Error()
	if e := asSQLite(err); e != nil && !errors.As(err, new(*FileError)) {
		text = strings.Replace(text, e.Error(), sqliteReason(e, ""), 1)
	}
	var server *pgconn.PgError
	if errors.As(err, &server) {
		text = strings.Replace(text, server.Error(), serverReason(server), 1)
	}
	return text
}

// asSQLite returns the error of SQLite in an error, or nil.
func asSQLite(err error) *sqlitedriver.Error {
	var e *sqlitedriver.Error
	errors.As(err, &e)
	return e
}

// sqliteReason says what SQLite objects to, by its primary result code. file is the database; "" if it is not known.
func sqliteReason(e *sqlitedriver.Error, file string) string {
	const busy, locked, readOnly, diskError, damaged, full, cannotOpen, notDatabase = 5, 6, 8, 10, 11, 13, 14, 26
	const restore = "restore it from a backup (landfall restore), or move it away and send all members again (landfall members resync)"
	code := e.Code() & 0xff
	if code == diskError && file != "" && diskspace.IsFull(filepath.Dir(file)) {
		code = full
	}
	switch code {
	case notDatabase:
		return "the file is damaged, or is not a database of SQLite: " + restore
	case damaged:
		return "the file is damaged: " + restore
	case readOnly:
		return "the user of this process may not write the file, or its directory: check their owner and permissions, and that the file system is not read-only"
	case cannotOpen:
		return "the file cannot be opened: check the owner and the permissions of it and its directory"
	case busy, locked:
		return "another program keeps the file locked: end it, and try again"
	case full:
		return "the disk is full: free disk space; a server then tries again, and a command can be repeated"
	case diskError:
		return fmt.Sprintf("the disk reports an error (code %d of SQLite): check the disk, the system's log and the free space; if the file is damaged afterwards, %s", e.Code(), restore)
	}
	return "SQLite reports: " + e.Error()
}

// serverReason says what a server objects to, by its SQLSTATE.
func serverReason(e *pgconn.PgError) string {
	switch e.Code {
	case "28P01", "28000":
		return "the server refuses this user: check the user and the password in state.url, and pg_hba.conf on the server"
	case "3D000":
		return "the database does not exist on the server: create it, or change its name in state.url"
	case "42501":
		return "the user in state.url lacks the permission to create the tables of the state: " + e.Message
	case "53300":
		return "the server accepts no more connections: raise its max_connections, or close other connections"
	}
	return fmt.Sprintf("PostgreSQL reports %s (SQLSTATE %s)", e.Message, e.Code)
}
