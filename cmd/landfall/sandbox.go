package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/destination"
)

func newSandbox(s streams) *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use:   "sandbox",
		Short: "Pretend to be the API of a destination",
		Long: "Serves an API's documented behaviour on this machine, for running without an account. Every sandbox also answers\n" +
			"  GET  /__sandbox/state      what it holds\n" +
			"  GET  /__sandbox/requests   what it was asked\n" +
			"  POST /__sandbox/faults     {\"path\", \"times\", \"status\", \"delay_ms\", \"drop\"}: the next requests go wrong\n" +
			"  POST /__sandbox/reset      forget everything",
	}
	for _, sb := range sandboxes() {
		options := map[string]*[]string{}
		sub := &cobra.Command{
			Use: sb.Name, Short: "Pretend to be " + sb.Name, Args: exactly(0, "flags only"),
			Example: "  landfall sandbox " + sb.Name + " --listen 127.0.0.1:8900",
			RunE: func(cmd *cobra.Command, _ []string) error {
				values := map[string][]string{}
				for name, list := range options {
					values[name] = *list
				}
				return serveSandbox(cmd.Context(), s, listen, sb.New(values))
			},
		}
		sub.Flags().StringVar(&listen, "listen", "127.0.0.1:8900", "the `ADDRESS` to listen on")
		for _, o := range sb.Options {
			options[o.Name] = sub.Flags().StringSlice(o.Name, nil, o.Usage)
		}
		cmd.AddCommand(sub)
	}
	return cmd
}

// sandboxes are the sandboxes of all destinations, each once.
func sandboxes() []*destination.Sandbox {
	var list []*destination.Sandbox
	seen := map[string]bool{}
	for _, p := range destinations.All() {
		if p.Sandbox != nil && !seen[p.Sandbox.Name] {
			seen[p.Sandbox.Name] = true
			list = append(list, p.Sandbox)
		}
	}
	return list
}

// serveSandbox serves until ctx ends.
func serveSandbox(ctx context.Context, s streams, address string, handler http.Handler) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", address, err)
	}
	fmt.Fprintf(s.out, "sandbox listening on http://%s\n", listener.Addr())
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
	if err = server.Shutdown(stopping); errors.Is(err, context.DeadlineExceeded) {
		err = server.Close() // a connection that was never used, or a client that waits: nothing is lost
	}
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		return served
	}
	return err
}
