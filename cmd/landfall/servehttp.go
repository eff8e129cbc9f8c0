package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/landfall-dev/landfall/framework/admin"
	"github.com/landfall-dev/landfall/framework/config"
	"github.com/landfall-dev/landfall/framework/console"
)

// listenUntil answers requests until ctx ends, and those that have begun to their end.
func (v *serving) listenUntil(ctx context.Context, listener net.Listener) error {
	page, err := v.console()
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer page.Close()
	server := &http.Server{
		Handler: v.routes(page), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 10 * time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(v.log.Handler(), slog.LevelDebug),
	}
	listener = v.limitClients(server, listener)
	reloading, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() { defer close(watched); v.watch(reloading) }()
	defer func() { cancel(); <-watched }()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	signal.Reset(os.Interrupt, syscall.SIGTERM) // another one ends at once
	v.log.Info("stopping: no more events are taken")
	ending, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	err = server.Shutdown(ending)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close() // a connection that was never used, or a client that waits: nothing is lost
	}
	if s := <-served; !errors.Is(s, http.ErrServerClosed) {
		err = s
	}
	return err
}

// console is the page to see the server work.
func (v *serving) console() (*console.Console, error) {
	p := pages{path: v.path, definitions: *v.definitions, live: v.target, store: v.store, host: &v.hosting, log: v.log}
	settings := p.settings()
	settings.Queue, settings.Runner = v.queue, v.runner
	settings.Key = func() string { return v.config.Load().Server.AdminKey }
	settings.Running = func() ([]console.Instance, error) { return shown(*v.running.Load()), nil }
	return console.New(settings)
}

// routes are the tracking API, the admin's and the console's. A browser that asks for no page in particular gets the console.
func (v *serving) routes(page *console.Console) http.Handler {
	s := &admin.Server{
		Queue: v.queue, Status: v.runner.Status, Ready: v.ready, Reload: v.reload, Metrics: v.metricsHandler(),
		Key: func() string { return v.config.Load().Server.AdminKey }, Sources: sourcesOf(v.config.Load),
	}
	mux, own := http.NewServeMux(), s.Handler()
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/admin/"} {
		mux.Handle(path, own)
	}
	mux.Handle(console.Path, page.Handler())
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Accept"), "text/html") {
			http.Redirect(w, r, console.Path, http.StatusSeeOther)
			return
		}
		v.ingest.ServeHTTP(w, r)
	})
	mux.Handle("/", traced(v.tracer, v.ingest))
	return mux
}

// sourcesOf tells an instance's sources by the config of the moment.
func sourcesOf(cfg func() *config.Config) func(string) ([]string, bool) {
	return func(id string) ([]string, bool) {
		for _, in := range cfg().Instances {
			if in.ID == id {
				return in.Sources, true
			}
		}
		return nil, false
	}
}
