package destinations_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// TestDefaultMappingsCauseNoWarning checks all default mappings and presets. Fields that every config has to map may be missing in them.
func TestDefaultMappingsCauseNoWarning(t *testing.T) {
	check := func(place string, action *destination.ActionDefinition, preset destination.Preset) {
		modes := []string{""}
		if action.SyncMode != nil {
			modes = action.SyncMode.Modes()
		}
		for _, mode := range modes {
			wrong, doubtful := runtime.CheckMapping(action.Fields.ForSyncMode(mode), destination.Overlay(action.DefaultMapping(), preset.Mapping))
			for _, p := range append(wrong, doubtful...) {
				assert.Contains(t, p.Message, "maps nothing to the required field", place)
			}
		}
	}
	for _, entry := range sharedEntries(t) {
		d := entry.Definition
		for _, key := range d.ActionKeys() {
			check(d.Slug+" "+key, d.Action(key), destination.Preset{})
		}
		for _, preset := range d.Presets {
			check(d.Slug+" preset "+preset.Name, d.Action(preset.Action), preset)
		}
	}
}

// TestConfigsInTheTreeCauseNoWarning loads every config file of the repository.
func TestConfigsInTheTreeCauseNoWarning(t *testing.T) {
	registry := sharedRegistry(t)
	loaded := 0
	require.NoError(t, filepath.WalkDir("..", func(path string, _ os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains("\n"+string(text), "\ndestinations:") {
			return err
		}
		loaded++
		cfg, problems := config.ParseAt(path, text, config.Env{Lookup: func(string) (string, bool) { return "https://example.com", true }})
		plans, err := runtime.Load(cfg, problems, registry, nil)
		for _, p := range fault.ProblemsOf(err) {
			assert.NotContains(t, p.Message, "every event is refused", p.String())
		}
		for _, plan := range plans {
			assert.Empty(t, plan.Warnings(), path)
		}
		return nil
	}))
	assert.GreaterOrEqual(t, loaded, 3)
}
