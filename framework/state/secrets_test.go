package state_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSecretsByName checks that secrets are kept, replaced and deleted by name, and that a missing one is no error.
func TestSecretsByName(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, location string) {
		s := open(t, location)
		read := func(name string) string {
			sealed, err := s.Secret(t.Context(), name)
			require.NoError(t, err)
			return sealed
		}
		assert.Empty(t, read("main/key"))
		require.NoError(t, s.PutSecret(t.Context(), "main/key", "sealed-1"))
		require.NoError(t, s.PutSecret(t.Context(), "other/key", "sealed-2"))
		require.NoError(t, s.PutSecret(t.Context(), "main/key", "sealed-3"))
		assert.Equal(t, []string{"sealed-3", "sealed-2"}, []string{read("main/key"), read("other/key")})
		require.NoError(t, s.DeleteSecret(t.Context(), "main/key"))
		require.NoError(t, s.DeleteSecret(t.Context(), "main/key"), "again")
		assert.Equal(t, []string{"", "sealed-2"}, []string{read("main/key"), read("other/key")})
		require.NoError(t, s.Close())
		_, err := s.Secret(t.Context(), "other/key")
		assert.Error(t, err, "a state that cannot be read is no missing secret")
	})
}
