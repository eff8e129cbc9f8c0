package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// serveHTTP serves what, as people are told, at an address until ctx ends.
func serveHTTP(ctx context.Context, s streams, what, address string, handler http.Handler) error {
	listener, err := listenAt(address)
	if err != nil {
		return fmt.Errorf("cannot listen: %w: give another address with --listen", err)
	}
	return serveOn(ctx, s, what, listener, handler)
}

// serveOn serves what, as people are told, on a listener until ctx ends.
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
		err = server.Close() // a connection that was never used, or a client that waits: nothing is lost
	}
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		return served
	}
	return err
}
