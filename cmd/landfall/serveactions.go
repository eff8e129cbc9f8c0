package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/server/actionserver"
)

// defaultActions is where Segment's development server listens.
const defaultActions = "127.0.0.1:3000"

// actionServing is `serve --actions`: one action at a time, with everything in the request.
type actionServing struct {
	on          bool
	destination string
	keyFile     string
	timeout     time.Duration
}

// actions serves the actions of all destinations, or of one.
func (v *serving) actions(ctx context.Context) error {
	key, err := v.only.key(v.listen)
	if err != nil {
		return err
	}
	registry, err := v.registry()
	if err != nil {
		return err
	}
	entries := registry.Entries()
	if slug := v.only.destination; slug != "" {
		entry, ok := registry.Find(slug)
		if !ok {
			return misuse("there is no destination %q%s", slug, fault.DidYouMean(slug, registry.Slugs()))
		}
		entries = []destination.Entry{entry}
	}
	config := actionserver.Config{Key: key, Timeout: v.only.timeout, Env: os.LookupEnv, Log: v.log}
	for _, e := range entries {
		transport, err := v.target.transport(e.Plugin)
		if err != nil {
			if v.only.destination == "" {
				continue // it has no sandbox
			}
			return err
		}
		config.Destinations = append(config.Destinations, actionserver.Destination{Entry: e, Transport: transport})
	}
	if v.listen == "" {
		v.listen = defaultActions
	}
	for _, d := range config.Destinations {
		for _, action := range d.Definition.ActionKeys() {
			fmt.Fprintf(v.out, "POST /%s/%s\n", d.Definition.Slug, action)
		}
	}
	return serveHTTP(ctx, v.streams, "actions ("+v.target.words()+")", v.listen, actionserver.New(config))
}

// key is what requests need: that of the file. Without one, an address that others reach is refused.
func (a *actionServing) key(listen string) (string, error) {
	if a.keyFile == "" {
		host, _, _ := net.SplitHostPort(listen)
		if ip := net.ParseIP(host); listen == "" || host == "localhost" || ip.IsLoopback() {
			return "", nil
		}
		return "", misuse("others can reach %s: give a key that requests need, with --key-file, or listen on 127.0.0.1", listen)
	}
	text, err := os.ReadFile(a.keyFile)
	if err != nil {
		return "", fmt.Errorf("reading the key: %w", err)
	}
	if text, err = event.WithoutBOM(text); err != nil {
		return "", fmt.Errorf("reading the key: %w", err)
	}
	key := strings.TrimSpace(string(text))
	if len(key) < 16 {
		return "", fmt.Errorf("the key in %s should have 16 characters or more", a.keyFile)
	}
	return key, nil
}
