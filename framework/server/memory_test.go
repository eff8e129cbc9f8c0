package server

import (
	"log/slog"
	"math"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/internal/memorylimit"
)

// TestLimitMemory checks where the limit of memory comes from, that Go obeys it, and that the limit of requests follows it.
func TestLimitMemory(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64))
	t.Setenv("GOMEMLIMIT", "")
	var log strings.Builder
	v := &server{Options: Options{Log: slog.New(slog.NewTextHandler(&log, nil))}}
	cfg, problems := config.Parse("landfall.yaml", []byte("memoryBytes: 500000000"+firstConfig), config.Env{})
	require.Empty(t, problems)
	v.limitMemory(cfg)
	assert.EqualValues(t, 400_000_000, debug.SetMemoryLimit(-1))
	assert.Contains(t, log.String(), `msg="limit of memory" memoryBytes=500000000 from=config`)
	assert.EqualValues(t, 125_000_000, v.ingestMemory(cfg))
	assert.EqualValues(t, 125_000_000, QueueConfig(cfg, "/data", "", nil).MaxMemory)
	cfg.Server.MaxMemory = 300_000_000
	assert.EqualValues(t, 300_000_000, v.ingestMemory(cfg), "the config says it")

	cfg.Server.MaxMemory = 0
	v.memory.Bytes = 64 << 30
	assert.EqualValues(t, 256<<20, v.ingestMemory(cfg))
	v.memory.Bytes = 0
	assert.EqualValues(t, 256<<20, v.ingestMemory(cfg), "the limit is not known")

	t.Setenv("GOMEMLIMIT", "800000000")
	assert.Equal(t, memorylimit.FromConfig, memoryLimitOf(&config.Config{Server: config.Server{MemoryBytes: 1}}).From)
	debug.SetMemoryLimit(800_000_000)
	assert.Equal(t, memorylimit.Limit{Bytes: 1_000_000_000, From: memorylimit.FromEnvironment}, memoryLimitOf(&config.Config{}))
}
