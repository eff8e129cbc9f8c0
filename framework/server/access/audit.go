package access

import (
	"context"
	"errors"
	"log/slog"
)

// Actor is who makes a request, for the audit log.
type Actor struct {
	Who  string // how it was let in: admin key, local command, local program, session …
	From string // the client's address
}

type actorKey struct{}

// WithActor returns a context with the actor of a request.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorOf returns the actor of a context, the zero Actor if it has none.
func ActorOf(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey{}).(Actor)
	return a
}

// Record writes a line of the audit log: who did what, from where, to what, and whether it worked. The attributes name what was
// changed. They must hold no secret and nothing personal.
func (g *Guard) Record(ctx context.Context, action string, err error, attributes ...any) {
	actor, level := ActorOf(ctx), slog.LevelInfo
	line := []any{"action", action, "who", actor.Who, "from", actor.From, "outcome", "ok"}
	switch {
	case errors.Is(err, ErrUnauthorized):
		line[len(line)-1], level = "refused", slog.LevelWarn
	case err != nil:
		line[len(line)-1], level = "failed", slog.LevelWarn // the error's text may name a person
	}
	g.config.Log.Log(ctx, level, "audit", append(line, attributes...)...)
}
