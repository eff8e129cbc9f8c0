package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// Actor identifies the sender of a request in the audit log.
type Actor struct {
	Who  string // how it was authenticated: admin key, local command, local program, session …
	From string // the client's address
}

// Entry is an entry of the audit log.
type Entry struct {
	Actor
	Action     string
	Outcome    string // ok, failed or refused
	Attributes []any  // names and values: what was changed
}

type actorKey struct{}

// WithActor returns a context with the actor of a request.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorOf returns the actor of a context; the zero Actor if it has none.
func ActorOf(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey{}).(Actor)
	return a
}

// Record writes an entry to the audit log: the actor of ctx, the action and its outcome. The attributes describe what was changed; they
// must contain no secrets and no personal data.
func (g *Guard) Record(ctx context.Context, action string, err error, attributes ...any) {
	actor, level := ActorOf(ctx), slog.LevelInfo
	line := []any{"action", action, "who", actor.Who, "from", actor.From, "outcome", "ok"}
	switch {
	case errors.Is(err, ErrUnauthorized):
		line[len(line)-1], level = "refused", slog.LevelWarn
	case err != nil:
		line[len(line)-1], level = "failed", slog.LevelWarn // the error's text is not logged: it may contain personal data
	}
	g.config.Log.Log(ctx, level, "audit", append(line, attributes...)...)
	if g.config.Observe != nil {
		g.config.Observe(Entry{actor, action, fmt.Sprint(line[len(line)-1]), attributes})
	}
}
