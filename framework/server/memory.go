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

// ingestMemory returns the limit of the requests in progress.
func (v *server) ingestMemory(cfg *config.Config) int64 {
	return cmp.Or(cfg.Server.MaxMemory, memoryShare(v.memory, ingest.DefaultMaxMemory))
}

// memoryShare returns the default of a limit of memory: at most a quarter of what the server may use, if that is known.
func memoryShare(all memorylimit.Limit, usual int64) int64 {
	if all.Bytes == 0 {
		return usual
	}
	return min(usual, all.Bytes/4)
}
