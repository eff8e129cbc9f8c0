package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/server/actionserver"
)

// defaultActions is the default address of --actions, the same as that of Segment's development server.
const defaultActions = "127.0.0.1:3000"

// actionOptions holds the flags of `serve --actions`, which runs single actions with all inputs in the request.
type actionOptions struct {
	on          bool
	destination string
	keyFile     string
	timeout     time.Duration
}

// servedEntries returns one destination, or all if slug is "".
func servedEntries(registry *destination.Registry, slug string) ([]destination.Entry, error) {
	if slug == "" {
		return registry.Entries()
	}
	entry, err := findDestination(registry, slug)
	return []destination.Entry{entry}, err
}

// serveActions serves the actions of all destinations, or of one.
func (c *serveCommand) serveActions(ctx context.Context, log *slog.Logger) error {
	key, err := c.actions.readKey(c.options.Listen)
	if err != nil {
		return err
	}
	registry, err := c.catalog().RegistryFor(nil)
	if err != nil {
		return err
	}
	entries, err := servedEntries(registry, c.actions.destination)
	if err != nil {
		return err
	}
	config := actionserver.Config{Key: key, Timeout: c.actions.timeout, Env: os.LookupEnv, Log: log}
	for _, e := range entries {
		transport, err := c.target.NewTransport(e.Plugin)
		if err != nil {
			if c.actions.destination == "" {
				continue // the destination has no sandbox
			}
			return err
		}
		config.Destinations = append(config.Destinations, actionserver.Destination{Entry: e, Transport: transport})
	}
	if c.options.Listen == "" {
		c.options.Listen = defaultActions
	}
	for _, d := range config.Destinations {
		for _, action := range d.Definition.ActionKeys() {
			fmt.Fprintf(c.out, "POST /%s/%s\n", d.Definition.Slug, action)
		}
	}
	return serveHTTP(ctx, c.streams, "actions ("+c.target.Description()+")", c.options.Listen, actionserver.New(config))
}

// readKey returns the key that requests must send, from the key file. Without a key file, it refuses an address that other machines can
// reach.
func (a *actionOptions) readKey(listen string) (string, error) {
	if a.keyFile == "" {
		host, _, _ := net.SplitHostPort(listen)
		if ip := net.ParseIP(host); listen == "" || host == "localhost" || ip.IsLoopback() {
			return "", nil
		}
		return "", usageErrorf("other machines can reach %s: require a key from clients with --key-file, or listen on 127.0.0.1", listen)
	}
	text, err := readFile(a.keyFile)
	if err != nil {
		return "", usageErrorf("--key-file %w", err)
	}
	if text, err = event.WithoutBOM(text); err != nil {
		return "", fmt.Errorf("--key-file %s: %w", a.keyFile, err)
	}
	key := strings.TrimSpace(string(text))
	if len(key) < 16 {
		return "", fmt.Errorf("the key in %s should have 16 characters or more", a.keyFile)
	}
	return key, nil
}
