package state

import (
	"context"
	"database/sql"
	"errors"

	"github.com/landfall-dev/landfall/framework/fault"
)

// createSecrets creates the table of secrets of the config. It has no version, since earlier programs ignore it.
const createSecrets = `CREATE TABLE IF NOT EXISTS secrets (name TEXT NOT NULL PRIMARY KEY, sealed TEXT NOT NULL)`

// PutSecret stores an encrypted secret under a name, and replaces an earlier one.
func (s *Store) PutSecret(ctx context.Context, name, sealed string) error {
	_, err := s.db.ExecContext(ctx, `INSERT INTO secrets (name, sealed) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed`, toSQL.Replace(name), sealed)
	if err != nil {
		return fault.StateUnavailable("writing a secret", err)
	}
	return nil
}

// Secret returns the encrypted secret of a name; "" if there is none.
func (s *Store) Secret(ctx context.Context, name string) (sealed string, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT sealed FROM secrets WHERE name = $1`, toSQL.Replace(name)).Scan(&sealed)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fault.StateUnavailable("reading a secret", err)
	}
	return sealed, nil
}

// DeleteSecret deletes the secret of a name, if there is one.
func (s *Store) DeleteSecret(ctx context.Context, name string) error {
	if _, err := s.db.ExecContext(ctx, `DELETE FROM secrets WHERE name = $1`, toSQL.Replace(name)); err != nil {
		return fault.StateUnavailable("deleting a secret", err)
	}
	return nil
}
