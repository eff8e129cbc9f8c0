package state

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/landfall-dev/landfall/framework/fault"
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
