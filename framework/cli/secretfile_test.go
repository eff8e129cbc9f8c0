package cli

import (
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// TestServeReadsSecretFilesAgain checks that a running server uses the new content of a secret file.
func TestServeReadsSecretFilesAgain(t *testing.T) {
	t.Parallel()
	s := newServed(t, serveConfig+"admin: {key: \"file:admin.key\"}\n", "--sandbox")
	writeFile(t, s.dir, "admin.key", "the-first-admin-key\n")
	s.start()
	ask := func(key string) int {
		status, _ := s.ask("/metrics", "Authorization", "Bearer "+key)
		return status
	}
	assert.Equal(t, 200, ask("the-first-admin-key"))
	writeFile(t, s.dir, "admin.key", "the-second-admin-key\n")
	require.Eventually(t, func() bool { return ask("the-second-admin-key") == 200 }, 10*time.Second, 300*time.Millisecond)
	assert.Equal(t, 401, ask("the-first-admin-key"))
	s.logs("config reloaded")
}

// TestConfigsOfTheSecretsPage checks that the configs of the page about secrets are valid.
func TestConfigsOfTheSecretsPage(t *testing.T) {
	page, err := os.ReadFile("../../cmd/landfall/deploy/SECRETS.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(page, -1)
	require.Len(t, blocks, 2)
	for _, b := range blocks {
		c, problems := config.Parse("SECRETS.md", b[1], config.Env{
			Lookup: func(string) (string, bool) { return "/run/credentials", true }, ReadFile: func(path string) ([]byte, error) { return []byte(path), nil },
		})
		require.Empty(t, problems)
		assert.Contains(t, []string{"/run/credentials/braze", "/run/secrets/landfall/braze"}, c.Instances[0].Settings.Get("client_secret").Str())
	}
}
