package natslog

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/testport"
)

func TestConnectErrors(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, Username: "u", Password: "p", NoSigs: true})
	require.NoError(t, err)
	s.Start()
	defer s.Shutdown()
	address := s.Addr().String()
	unused := testport.Free(t)
	credentials := filepath.Join(t.TempDir(), "app.creds")
	require.NoError(t, os.WriteFile(credentials, []byte("junk"), 0o600))
	for _, tc := range []struct{ url, credentials, want string }{
		{url: "nats://u:wr0ng@" + address, want: "at nats://" + address + ": the server refuses this user: check the user and the password in nats.url"},
		{url: "tls://u:wr0ng@" + address, want: "the server does not use TLS: write nats:// instead of tls://"},
		{url: "nats://u:wr0ng@" + unused, want: "at nats://" + unused + ": no server answers: check nats.url"},
		{url: "nats://u:wr0ng@ho st", want: "the URL cannot be read"},
		{url: "nats://u:wr0ng@nowhere.invalid", want: "the host nowhere.invalid is not known"},
		{url: "nats://" + address, credentials: "none.creds", want: "with the credentials of none.creds: none.creds: there is no such file"},
		{url: address, credentials: credentials, want: "with the credentials of " + credentials},
	} {
		_, err := Open(Config{URL: tc.url, Credentials: tc.credentials})
		require.Error(t, err, tc.url)
		assert.Contains(t, err.Error(), tc.want)
		assert.NotContains(t, err.Error(), "wr0ng")
		assert.NotContains(t, err.Error(), "nats: ")
	}
}
