package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/netutil"

	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/admin"
	"github.com/landfall-dev/landfall/framework/server/console"
)

// listenUntil answers requests until ctx ends, and those in progress to their end.
func (v *serving) listenUntil(ctx context.Context, at *listeners) error {
	guard := v.newGuard(at)
	page, err := v.console(guard)
	if err != nil {
		return err
	}
	defer page.Close()
	reloading, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() { defer close(watched); v.watch(reloading) }()
	defer func() { cancel(); <-watched }()

	var servers []*http.Server
	served := make(chan error, 2)
	start := func(server *http.Server, listener net.Listener) {
		servers = append(servers, server)
		go func() { served <- server.Serve(listener) }()
	}
	private := v.adminRoutes(guard, page)
	ingestPort := v.ingestRoutes(private, at)
	if at.admin == nil {
		ingestPort = v.oneRoutes(private)
	} else {
		start(v.newHTTPServer(private), netutil.LimitListener(at.admin, maxAdminConnections))
	}
	events := v.newHTTPServer(ingestPort)
	start(events, v.limitClients(events, at.ingest))
	return v.stopServers(ctx, servers, served)
}

// stopServers waits until ctx ends or a server fails, and then for the end of all servers.
func (v *serving) stopServers(ctx context.Context, servers []*http.Server, served <-chan error) error {
	left := len(servers)
	var errs []error
	select {
	case err := <-served:
		errs, left = append(errs, err), left-1
	case <-ctx.Done():
	}
	signal.Reset(os.Interrupt, syscall.SIGTERM) // another one ends at once
	v.log.Info("stopping: no more events are taken")
	ending, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	for _, server := range servers {
		err := server.Shutdown(ending)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close() // a connection that was never used, or a client that waits: nothing is lost
		}
		errs = append(errs, err)
	}
	for range left {
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (v *serving) newHTTPServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 10 * time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(v.log.Handler(), slog.LevelDebug),
	}
}

// maxAdminConnections bounds the connections to the admin API, the console and the metrics.
const maxAdminConnections = 256

// newGuard decides who may use the admin API, the console and the metrics.
func (v *serving) newGuard(at *listeners) *access.Guard {
	return access.NewGuard(access.Config{
		Key: func() string { return v.config.Load().Server.AdminKey }, Token: v.admin.token, AllowLocal: at.private(), Log: v.log,
		Proxies: v.proxies,
	})
}

// proxies are the trusted proxies in the config of the moment.
func (v *serving) proxies() access.Proxies { return v.config.Load().Server.TrustedProxies }

// console is the page to see the server work.
func (v *serving) console(guard *access.Guard) (*console.Console, error) {
	p := pages{path: v.path, definitions: *v.definitions, live: v.target, store: v.store, host: &v.hosting, log: v.log, guard: guard}
	settings := p.settings()
	settings.Queue, settings.Runner = v.queue, v.runner
	settings.RemovedInstances = v.gone
	settings.Running = func() ([]console.Instance, error) { return shown(*v.running.Load()), nil }
	return console.New(settings)
}

// adminRoutes are the admin API, the metrics and the console, with the health of the server.
func (v *serving) adminRoutes(guard *access.Guard, page *console.Console) *http.ServeMux {
	s := &admin.Server{
		Queue: v.queue, Runner: v.runner, Status: v.status, Health: v.runner.Health, Resume: v.runner.Resume, Reload: v.reload, Metrics: v.metricsHandler(),
		Guard: guard, Sources: sourcesOf(v.config.Load), Subscriptions: subscriptionsOf(v.config.Load), Backup: v.backup,
	}
	mux, own := http.NewServeMux(), s.Handler()
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/admin/"} {
		mux.Handle(path, own)
	}
	mux.Handle(console.Path, page.Handler())
	mux.Handle("GET /{$}", http.RedirectHandler(console.Path, http.StatusSeeOther))
	return mux
}

// ingestRoutes are the tracking API and the health of the server. What has moved to the admin listener says so.
func (v *serving) ingestRoutes(private http.Handler, at *listeners) *http.ServeMux {
	mux := http.NewServeMux()
	for _, path := range []string{"/healthz", "/readyz"} {
		mux.Handle(path, private)
	}
	moved := movedTo(at)
	for _, path := range []string{"/admin", "/admin/", "/metrics", "/metrics/", "/console", console.Path} {
		mux.Handle(path, moved)
	}
	mux.Handle("/", traced(v.tracer, v.ingest))
	return mux
}

// movedTo answers requests for what is on the admin listener. Where that is on this machine is said, other addresses are not.
func movedTo(at *listeners) http.Handler {
	where := "at the address that admin.listen in the config names"
	if at.admin != nil && at.private() && at.admin.Addr().Network() != "unix" {
		where = "at " + at.adminURL() + " on the server's machine (admin.listen in the config)"
	}
	text := "The admin API, the console and the metrics are not on this port. They are " + where + ".\n"
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, text)
	})
}

// oneRoutes are all routes on one port. A browser that asks for no page in particular gets the console.
func (v *serving) oneRoutes(private http.Handler) *http.ServeMux {
	mux := http.NewServeMux()
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/admin/", console.Path} {
		mux.Handle(path, private)
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Accept"), "text/html") {
			private.ServeHTTP(w, r)
			return
		}
		v.ingest.ServeHTTP(w, r)
	})
	mux.Handle("/", traced(v.tracer, v.ingest))
	return mux
}

// warnWeakKey warns of an admin key that can be guessed.
func (v *serving) warnWeakKey(cfg *config.Config) {
	if key := cfg.Server.AdminKey; key != "" && len(key) < minKeyLength {
		v.log.Warn(fmt.Sprintf("admin.key has fewer than %d characters and may be guessed: openssl rand -base64 32 makes a better one", minKeyLength))
	}
}

// minKeyLength is how many characters a key should have.
const minKeyLength = 16

// subscriptionsOf returns the names of an instance's subscriptions in the config of the moment.
func subscriptionsOf(cfg func() *config.Config) func(string) []string {
	return func(id string) (names []string) {
		for _, in := range cfg().Instances {
			if in.ID != id {
				continue
			}
			for _, s := range in.Subscriptions {
				names = append(names, s.Name)
			}
		}
		return names
	}
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
