package connect

import (
	"context"
	"log/slog"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// slogOf writes to a component's log.
func slogOf(log *service.Logger) *slog.Logger { return slog.New(&logs{log}) }

type logs struct{ log *service.Logger }

// Enabled tells that what is below information is left out: nothing tells whether the component's log wants it.
func (*logs) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle writes one line.
func (l *logs) Handle(_ context.Context, r slog.Record) error {
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

// WithAttrs adds to every line.
func (l *logs) WithAttrs(attrs []slog.Attr) slog.Handler {
	log := l.log
	for _, a := range attrs {
		log = log.With(a.Key, a.Value.Resolve().String())
	}
	return &logs{log}
}

// WithGroup leaves groups out.
func (l *logs) WithGroup(string) slog.Handler { return l }
