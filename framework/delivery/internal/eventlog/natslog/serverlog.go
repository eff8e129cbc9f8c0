package natslog

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
)

// serverLog passes the log of the embedded NATS server to a slog.Logger, with notices at the debug level.
type serverLog struct {
	log    *slog.Logger
	failed *atomic.Bool // set if the server says that it cannot continue
}

func (l serverLog) Noticef(format string, v ...any) { l.logAt(slog.LevelDebug, format, v) }
func (l serverLog) Debugf(format string, v ...any)  { l.logAt(slog.LevelDebug, format, v) }
func (l serverLog) Tracef(format string, v ...any)  { l.logAt(slog.LevelDebug, format, v) }
func (l serverLog) Warnf(format string, v ...any)   { l.logAt(slog.LevelWarn, format, v) }
func (l serverLog) Errorf(format string, v ...any)  { l.logAt(slog.LevelError, format, v) }

func (l serverLog) Fatalf(format string, v ...any) {
	l.failed.Store(true)
	l.logAt(slog.LevelError, format, v)
}

func (l serverLog) logAt(level slog.Level, format string, v []any) {
	l.log.Log(context.Background(), level, "log storage: "+fmt.Sprintf(format, v...))
}
