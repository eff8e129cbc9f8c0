package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/console"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// setupPoll is the time between two looks at the config while the server has none.
const setupPoll = 100 * time.Millisecond

// needsSetup reports whether a config file does not exist, or has no content other than comments.
func needsSetup(path string) bool {
	text, err := textfile.ReadFile(path)
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	return isBlankConfig(text)
}

// refusePipe returns an error if the config is a pipe, which cannot be read again.
func refusePipe(path string) error {
	if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
		return optionErrorf("--config %s is a pipe, but a server reads its config again and again: give it a file, which can refer to secrets with ${VARIABLE}, file:PATH and exec:COMMAND", path)
	}
	return nil
}

// isBlankConfig reports whether the text of a config has no content other than comments.
func isBlankConfig(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

// serveSetup serves the console until it has written a config with which the server can start, or ctx ends. It creates nothing. The
// listener stays open for the server, so that the browser's next request waits instead of failing.
func (v *server) serveSetup(ctx context.Context) error {
	listener, err := v.openAdmin(&config.Config{}, nil)
	if err != nil {
		return err
	}
	if listener == nil {
		return optionErrorf("--admin-listen %s needs a config: leave it out to set up the first destination", config.AdminOnIngest)
	}
	v.keptAdmin = listener
	guard := access.NewGuard(access.Config{Token: v.token, AllowLocal: isPrivate(listener.Addr()), Log: v.Log})
	page := consoleHost{path: v.Config, commands: v.commands, data: v.Data, catalog: v.Catalog, live: v.Target, log: v.Log, guard: guard}
	settings := page.consoleConfig()
	settings.Starting, settings.ConfigWritten = true, v.authors.noteWrite
	served, err := console.New(settings)
	if err != nil {
		return err
	}
	defer served.Close()
	v.announceSetup(listener)
	mux := http.NewServeMux()
	mux.Handle(console.Path, served.Handler())
	mux.Handle("GET /{$}", http.RedirectHandler(console.Path, http.StatusSeeOther))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "not ready: there is no config yet: set up a destination in the console", http.StatusServiceUnavailable)
	})
	ready, cancel := context.WithCancel(ctx)
	defer cancel()
	watched := make(chan struct{})
	go func() { defer close(watched); v.awaitConfig(ready); cancel() }()
	err = ServeHandler(ready, keepOpen(listener), mux)
	cancel()
	<-watched
	if ctx.Err() == nil && err == nil {
		v.Log.Info("the setup is saved", "config", v.Config)
	}
	return err
}

// announceSetup tells the user where to set up the server.
func (v *server) announceSetup(listener net.Listener) {
	at := AddressURL(listener.Addr())
	v.Log.Warn("there is no config yet: set up the first destination in the console; nothing is created until you save", "config", v.Config, "console", at+console.Path)
	if v.Started != nil {
		v.Started(at+console.Path, at+console.Path+"login?token="+v.token)
	}
}

// awaitConfig returns when the config can be used, or ctx ends.
func (v *server) awaitConfig(ctx context.Context) {
	ticker := time.NewTicker(setupPoll)
	defer ticker.Stop()
	var last []byte
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		text, err := textfile.ReadFile(v.Config)
		if err != nil || bytes.Equal(text, last) || isBlankConfig(text) {
			continue
		}
		last = text
		v.commands.Forget()
		cfg, problems := config.Load(v.Config, config.Env{Commands: v.commands})
		_, err = instances.Load(cfg, problems, instances.Options{Target: &instances.Target{DryRun: true}, Catalog: v.Catalog, Data: v.Data})
		if err == nil {
			err = v.checkConfig(cfg)
		}
		if err == nil {
			return
		}
		v.logRefusal(err)
	}
}

// keptListener is a listener that can be used again after it was closed.
type keptListener struct {
	net.Listener
	deadline interface{ SetDeadline(time.Time) error }
}

// keepOpen returns a listener whose Close only stops its Accept. Connections that arrive later wait for the next Accept of l.
func keepOpen(l net.Listener) net.Listener {
	inner := l
	if s, ok := l.(*unixSocket); ok {
		inner = s.Listener
	}
	deadline, ok := inner.(interface{ SetDeadline(time.Time) error })
	if !ok {
		return l // TCP and Unix listeners have deadlines
	}
	return &keptListener{l, deadline}
}

// Accept waits for the next connection. After Close, it returns net.ErrClosed.
func (l *keptListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		_ = l.deadline.SetDeadline(time.Time{}) // the next user waits without a deadline
		return nil, net.ErrClosed
	}
	return conn, err
}

// Close makes the pending Accept return.
func (l *keptListener) Close() error { return l.deadline.SetDeadline(time.Unix(1, 0)) }
