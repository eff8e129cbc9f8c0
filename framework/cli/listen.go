package cli

import (
	"context"
	"fmt"
	"net/http"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/server"
)

// serveHTTP serves HTTP at an address until ctx ends. what names the service in messages.
func serveHTTP(ctx context.Context, s streams, what, address string, handler http.Handler) error {
	listener, err := server.Listen(address)
	if err != nil {
		return fmt.Errorf("cannot listen: %s: give another address with --listen", fault.ListenReason(err))
	}
	fmt.Fprintf(s.out, "%s listening on %s\n", what, server.AddressURL(listener.Addr()))
	return server.ServeHandler(ctx, listener, handler)
}
