package connect

import (
	"context"
	"log/slog"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// newSlogger returns a slog.Logger that writes to a component's log.
func newSlogger(log *service.Logger) *slog.Logger { return slog.New(&logHandler{log}) }

type logHandler struct{ log *service.Logger }

// Enabled reports whether a level is at least LevelInfo. Lower levels are left out, since the level of the component's log is unknown.
func (*logHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle writes a record.
func (l *logHandler) Handle(_ context.Context, r slog.Record) error {
	log := l.log
	r.Attrs(func(a slog.Attr) bool {
		log = log.With(a.Key, a.Value.Resolve().String())
		return true
	})
	switch {
	case r.Level >= slog.LevelError:
		log.Error(r.Message)
	case r.Level >= slog.LevelWarn:
		log.Warn(r.Message)
	default:
		log.Info(r.Message)
	}
	return nil
}

// WithAttrs returns a handler that adds attributes to every record.
func (l *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	log := l.log
	for _, a := range attrs {
		log = log.With(a.Key, a.Value.Resolve().String())
	}
	return &logHandler{log}
}

// WithGroup ignores groups.
func (l *logHandler) WithGroup(string) slog.Handler { return l }
