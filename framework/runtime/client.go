package runtime

import (
	"context"
	"net/http"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/httpx"
)

// client is the way of the instance's requests. Its secrets are the password settings, what came from the environment and
// what the host names; they show nowhere, also where a remote repeats them.
func (c *compiler) client(settings event.Value) destination.Client {
	names := c.definition.Secrets()
	values := append(c.looked, c.host.Secrets...)
	for _, name := range names {
		if v := settings.Get(name); v.IsString() {
			values = append(values, v.Str())
		}
	}
	redactor := httpx.NewRedactor(names, values)
	var authorize func(context.Context, *http.Request) error
	if token, instance := c.host.Token, c.instance.ID; token != nil {
		authorize = func(ctx context.Context, r *http.Request) error {
			bearer, err := token(ctx, instance)
			if err == nil && bearer != "" {
				r.Header.Set("Authorization", "Bearer "+bearer)
			}
			return err
		}
	}
	return destination.NewClient(httpx.New(httpx.Config{
		Base: c.host.Transport, Redactor: redactor, Authorize: authorize, Observe: c.host.Observe, Log: c.host.Log,
	}), redactor.Redact)
}
