package destinations_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

var configs = regexp.MustCompile("(?ms)^( *)```yaml\n(.*?)^ *```")

// TestConfigsOfReadmesAreValid makes plans of every config that the READMEs of destinations show.
func TestConfigsOfReadmesAreValid(t *testing.T) {
	registry := sharedRegistry(t)
	pages, err := filepath.Glob("*/README.md")
	require.NoError(t, err)
	shown := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, block := range configs.FindAllStringSubmatch(string(text), -1) {
			yaml := strings.TrimPrefix(strings.ReplaceAll("\n"+block[2], "\n"+block[1], "\n"), "\n")
			if !strings.HasPrefix(yaml, "destinations:") {
				continue
			}
			shown++
			cfg, problems := config.Parse(page, []byte(yaml), config.Env{Lookup: func(string) (string, bool) { return "a-secret", true }})
			assert.Empty(t, problems, page)
			plans, err := runtime.Load(cfg, problems, registry, func(config.Instance, destination.Entry) (runtime.Host, error) { return runtime.Host{}, nil })
			assert.NoError(t, err, page)
			for _, plan := range plans {
				assert.Empty(t, plan.Warnings(), page)
			}
		}
	}
	assert.GreaterOrEqual(t, shown, 2)
}

// TestMainPageListsEveryDestination finds each destination of the project once in the table of README.md.
func TestMainPageListsEveryDestination(t *testing.T) {
	page, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	definitions, err := filepath.Glob("*/destination.yaml")
	require.NoError(t, err)
	for _, file := range definitions {
		if slug := filepath.Dir(file); hasFixtures(slug) {
			link := "(destinations/" + slug + "/README.md)"
			assert.Equal(t, 1, strings.Count(string(page), link), link)
		}
	}
}
