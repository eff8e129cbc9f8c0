package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// serveHTTP serves HTTP at an address until ctx ends. what names the service in messages.
func serveHTTP(ctx context.Context, s streams, what, address string, handler http.Handler) error {
	listener, err := listenAt(address)
	if err != nil {
		return fmt.Errorf("cannot listen: %w: give another address with --listen", err)
	}
	return serveOn(ctx, s, what, listener, handler)
}

// serveOn serves HTTP on a listener until ctx ends. what names the service in messages.
func serveOn(ctx context.Context, s streams, what string, listener net.Listener, handler http.Handler) error {
	shown := "http://" + listener.Addr().String()
	if listener.Addr().Network() == "unix" {
		shown = addressURL(listener.Addr())
	}
	fmt.Fprintf(s.out, "%s listening on %s\n", what, shown)
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 1 << 16}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err := server.Shutdown(stopping)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close() // the open connections are idle or belong to slow clients; closing them loses nothing
	}
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		return served
	}
	return err
}
