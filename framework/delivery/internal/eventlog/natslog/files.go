package natslog

import (
	"context"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/natslog/logfiles"
)

// maxDamageCopies limits the bytes of copies of damaged files.
const maxDamageCopies = 1 << 30

// Files is the directory of an embedded server. It implements eventlog.Files.
type Files string

// Salvage implements eventlog.Files. It does not read the files that the server has closed properly.
func (dir Files) Salvage(ctx context.Context) ([]eventlog.FileDamage, error) {
	known, err := logfiles.TakeStamps(string(dir))
	if err != nil {
		return nil, err
	}
	return logfiles.Salvage(ctx, string(dir), known, maxDamageCopies)
}

// Check implements eventlog.Files.
func (dir Files) Check(ctx context.Context, rest time.Duration) ([]eventlog.FileDamage, error) {
	return logfiles.Check(ctx, string(dir), nil, rest)
}

// CopyDamaged implements eventlog.Files.
func (dir Files) CopyDamaged(d eventlog.FileDamage) (path, reason string) {
	return logfiles.CopyDamaged(string(dir), d, maxDamageCopies)
}
