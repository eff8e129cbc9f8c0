package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/netutil"

	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/admin"
	"github.com/landfall-dev/landfall/framework/server/backup"
	"github.com/landfall-dev/landfall/framework/server/console"
	"github.com/landfall-dev/landfall/framework/server/devicemode"
)

// listenUntil serves requests until ctx ends. Then it waits for the requests in progress.
func (v *server) listenUntil(ctx context.Context, at *listeners) error {
	guard := v.newGuard(at)
	page, err := v.openConsole(guard, at)
	if err != nil {
		return err
	}
	defer page.Close()
	reloading, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() { defer close(watched); v.watchConfig(reloading) }()
	defer func() { cancel(); <-watched }()

	var servers []*http.Server
	served := make(chan error, 2)
	start := func(server *http.Server, listener net.Listener, serve func(*http.Server, net.Listener) error) {
		servers = append(servers, server)
		go func() { served <- serve(server, listener) }()
	}
	private := v.adminRoutes(guard, page, at)
	ingestPort := v.ingestRoutes(private, at)
	if at.admin == nil {
		ingestPort = v.sharedRoutes(private)
	} else {
		start(v.newHTTPServer(private), netutil.LimitListener(at.admin, maxAdminConnections), (*http.Server).Serve)
	}
	events := v.newHTTPServer(passAsterisk(ingestPort, v.ingest))
	start(events, v.readProxyHeaders(v.limitClients(events, at.ingest)), v.serveIngest)
	if v.certificates != nil {
		if err := v.certificates.start(reloading, at.ingest.Addr()); err != nil {
			v.Log.Error("TLS certificates cannot be requested", "error", err)
		}
	}
	return v.stopServers(ctx, servers, served)
}

// stopServers waits until ctx ends or a server fails. Then it shuts all servers down and waits until they have ended.
func (v *server) stopServers(ctx context.Context, servers []*http.Server, served <-chan error) error {
	left := len(servers)
	var errs []error
	select {
	case err := <-served:
		errs, left = append(errs, err), left-1
	case <-ctx.Done():
	}
	signal.Reset(os.Interrupt, syscall.SIGTERM) // a second signal ends the process at once
	v.Log.Info("stopping: the server accepts no more events")
	ending, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	for _, server := range servers {
		err := server.Shutdown(ending)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close() // the open connections are idle or belong to slow clients; closing them loses nothing
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

func (v *server) newHTTPServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 10 * time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(v.Log.Handler(), slog.LevelDebug),
	}
}

// maxAdminConnections limits the connections to the admin API, the console and the metrics.
const maxAdminConnections = 256

// newGuard returns the guard of the admin API, the console and the metrics.
func (v *server) newGuard(at *listeners) *access.Guard {
	return access.NewGuard(access.Config{
		Key: func() string { return v.config.Load().Server.AdminKey }, Token: v.token, AllowLocal: at.hasPrivateAdmin(), Log: v.Log,
		Observe: v.history.AddAudit,
		Proxies: v.trustedProxies,
	})
}

// trustedProxies returns the trusted proxies of the current config.
func (v *server) trustedProxies() access.Proxies { return v.config.Load().Server.TrustedProxies }

// openConsole returns the server's console.
func (v *server) openConsole(guard *access.Guard, at *listeners) (*console.Console, error) {
	p := consoleHost{path: v.Config, commands: v.commands, data: v.Data, catalog: v.Catalog, live: v.Target, store: v.store, host: &v.hosting, log: v.Log, guard: guard}
	settings := p.consoleConfig()
	settings.WaitForConfig = v.waitForReload
	settings.Queue, settings.Runner = v.queue, v.runner
	settings.LedgerSize = v.ledgerSize
	settings.RemovedInstances, settings.MoveInstance, settings.ForgetInstance = v.removedInstances, v.moveInstance, v.forgetInstance
	settings.Why = v.whySource()
	settings.Syncs = v.syncs
	settings.Rejections, settings.Actions = v.latestRejections, v.latestActions
	desk := v.erasures()
	settings.Erasures = &desk
	settings.Configs, settings.ConfigWritten = v.configChanges, v.authors.noteWrite
	settings.History = console.HistorySource{Counts: v.history.CountsSince, Sizes: v.history.SizesSince, Events: v.verdictsOf, Verdicts: v.findVerdicts}
	settings.IngestURL = func(r *http.Request) string { return v.ingestURL(r, at) }
	settings.Running = func() ([]console.Instance, error) { return consoleInstances(v.runningInstances()), nil }
	return console.New(settings)
}

// ingestURL returns the URL of the tracking API: that of ingest.publicURL, otherwise that of the listener. If the server listens on all
// addresses, it has the host by which the reader of a page reaches the console.
func (v *server) ingestURL(r *http.Request, at *listeners) string {
	if public := v.config.Load().Server.PublicURL; public != "" {
		return public
	}
	host, port, err := net.SplitHostPort(at.ingest.Addr().String())
	reached := (&url.URL{Host: r.Host}).Hostname()
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsUnspecified() || reached == "" {
		return v.localIngestURL(at)
	}
	return v.ingestScheme() + "://" + net.JoinHostPort(reached, port)
}

// adminRoutes returns the routes of the admin API, the metrics, the console and the health checks. The paths of events answer where to send them.
func (v *server) adminRoutes(guard *access.Guard, page *console.Console, at *listeners) *http.ServeMux {
	s := &admin.Server{
		Queue: v.queue, Runner: v.runner, Status: v.fullStatus, Health: v.runner.Health, Resume: v.runner.Resume, Reload: v.reloadConfig, OnMove: v.expireRemoved, Metrics: v.metricsHandler(),
		Guard: guard, Sources: SourcesOf(v.config.Load), Subscriptions: SubscriptionsOf(v.config.Load), Backup: v.writeBackup, Why: v.whySource(), Syncs: v.syncs, Erasures: v.erasures(), Budgets: v.hosting.Budgets.Lend,
	}
	mux, own := http.NewServeMux(), s.Handler()
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/admin/"} {
		mux.Handle(path, own)
	}
	mux.Handle(console.Path, page.Handler())
	mux.Handle("GET /{$}", http.RedirectHandler(console.Path, http.StatusSeeOther))
	mux.Handle("/v1/", answerMoved(func(r *http.Request) string {
		return "Events are not accepted on this port, which has the admin API and the console. Send them to " + v.ingestURL(r, at) + ".\n"
	}))
	return mux
}

// ingestRoutes returns the routes of the tracking API and the health checks. The paths of the admin listener answer where to find them.
func (v *server) ingestRoutes(private http.Handler, at *listeners) *http.ServeMux {
	mux := http.NewServeMux()
	for _, path := range []string{"/healthz", "/readyz"} {
		mux.Handle(path, private)
	}
	moved := movedTo(at)
	for _, path := range []string{"/admin", "/admin/", "/metrics", "/metrics/", "/console", console.Path} {
		mux.Handle(path, moved)
	}
	v.handleEvents(mux)
	return mux
}

// passAsterisk passes requests whose target is * to events, which says what is wrong: HTTP/2 without TLS begins with one. A ServeMux answers without
// a text.
func passAsterisk(routes, events http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.RequestURI == "*" {
			events.ServeHTTP(w, r)
			return
		}
		routes.ServeHTTP(w, r)
	})
}

// movedTo returns a handler that answers 404 and names the admin listener. It shows the address only if that is on this machine.
func movedTo(at *listeners) http.Handler {
	where := "at the address of admin.listen in the config"
	if at.admin != nil && at.hasPrivateAdmin() && at.admin.Addr().Network() != "unix" {
		where = "at " + at.adminURL() + " on the server's machine (admin.listen in the config)"
	}
	text := "The admin API, the console and the metrics are not on this port. They are " + where + ".\n"
	return answerMoved(func(*http.Request) string { return text })
}

// answerMoved returns a handler that answers 404 with a text that names the right port.
func answerMoved(text func(*http.Request) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, text(r))
	})
}

// sharedRoutes returns all routes for a single port. A browser that requests / gets the console.
func (v *server) sharedRoutes(private http.Handler) *http.ServeMux {
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
	v.handleEvents(mux)
	return mux
}

// handleEvents adds the routes of the tracking API and of pages to mux.
func (v *server) handleEvents(mux *http.ServeMux) {
	for _, path := range devicemode.Paths() {
		mux.Handle(path, v.devices)
	}
	mux.Handle("/", traceRequests(v.tracer, v.ingest))
}

// warnWeakKey warns of an admin key that can be guessed.
func (v *server) warnWeakKey(cfg *config.Config) {
	if key := cfg.Server.AdminKey; key != "" && len(key) < minKeyLength {
		v.Log.Warn(fmt.Sprintf("admin.key has fewer than %d characters and can be guessed: make a longer one with openssl rand -base64 32", minKeyLength))
	}
}

// minKeyLength is the number of characters that a key should have.
const minKeyLength = 16

// SubscriptionsOf returns a function that returns the names of an instance's subscriptions in the current config.
func SubscriptionsOf(cfg func() *config.Config) func(string) []string {
	return func(id string) (names []string) {
		in, _ := cfg().FindInstance(id)
		for _, s := range in.Subscriptions {
			names = append(names, s.Name)
		}
		return names
	}
}

// SourcesOf returns a function that returns an instance's sources in the current config, and whether the instance exists.
func SourcesOf(cfg func() *config.Config) func(string) ([]string, bool) {
	return func(id string) ([]string, bool) {
		in, ok := cfg().FindInstance(id)
		return in.Sources, ok
	}
}

// writeBackup writes a backup of this server to w.
func (v *server) writeBackup(ctx context.Context, w io.Writer) error {
	err := backup.Write(ctx, w, backup.Source{
		Queue: v.queue, Ledger: v.store, Sandbox: v.Target.SandboxName(), Dir: instances.DataDir(v.config.Load(), v.Data),
	})
	if err != nil {
		v.Log.Error("the backup failed", "error", err)
		return err
	}
	v.Log.Info("the backup is complete")
	return nil
}
