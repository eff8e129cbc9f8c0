package state

import (
	"fmt"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOpenErrorsSayWhatToDo(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	_, err = Open(t.Context(), "postgres://u:not-to-be-seen@"+address+"/x")
	assert.EqualError(t, err, "opening the state at postgres://u:xxxxx@"+address+"/x: connection refused: nothing listens there; check state.url, and that PostgreSQL runs and accepts connections from this machine")
	_, err = Open(t.Context(), "postgres://u:not-to-be-seen@127.0.0.1/x?sslmode=nonsense")
	assert.ErrorContains(t, err, ": the URL cannot be read: write state.url as postgres://USER:PASSWORD@HOST:PORT/DATABASE")
	assert.NotContains(t, err.Error(), "not-to-be-seen")
	for code, want := range map[string]string{
		"28P01": "check the user and the password in state.url", "28000": "check the user and the password in state.url", "3D000": "create it, or change its name in state.url",
		"42501": "lacks the permission to create the tables of the state: words", "53300": "raise its max_connections", "XX000": "PostgreSQL reports words (SQLSTATE XX000)",
	} {
		assert.ErrorContains(t, openError("postgres://h/d", fmt.Errorf("migrating: %w", &pgconn.PgError{Code: code, Message: "words"})), want, code)
	}
}
