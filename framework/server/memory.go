package server

import (
	"cmp"

	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/ingest"
	"github.com/landfall-dev/landfall/internal/memorylimit"
)

// memoryLimitOf returns how much memory the server of a config may use.
func memoryLimitOf(cfg *config.Config) memorylimit.Limit {
	if n := cfg.Server.MemoryBytes; n > 0 {
		return memorylimit.Limit{Bytes: n, From: memorylimit.FromConfig}
	}
	return memorylimit.Detect()
}

// limitMemory keeps the memory of Go below the limit of the config, and logs the limit.
func (v *server) limitMemory(cfg *config.Config) {
	v.memory = memoryLimitOf(cfg)
	v.memory.Apply()
	if v.memory.Bytes == 0 {
		v.Log.Info("memory is not limited: set memoryBytes in the config to limit it")
		return
	}
	v.Log.Info("limit of memory", "memoryBytes", v.memory.Bytes, "from", v.memory.From)
}

// ingestMemory returns the limit of the requests in progress: that of the config, or by default at most a quarter of the server's memory.
func (v *server) ingestMemory(cfg *config.Config) int64 {
	return cmp.Or(cfg.Server.MaxMemory, v.memoryShare(ingest.DefaultMaxMemory, 4))
}

// memoryShare returns the default of a limit of memory: at most a fraction of the server's memory, if that is known.
func (v *server) memoryShare(usual, fraction int64) int64 {
	if v.memory.Bytes == 0 {
		return usual
	}
	return min(usual, v.memory.Bytes/fraction)
}
