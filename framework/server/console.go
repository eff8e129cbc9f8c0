package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/console"
	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// ConsoleOptions says what a console without a queue shows and where it listens.
type ConsoleOptions struct {
	Config  string            // the config file, which the console creates if it does not exist
	Data    string            // the data directory; "" for the config's
	Listen  string            // the address, or unix:PATH; "" for DefaultAdmin, or a free port if that is in use
	Target  instances.Target  // where its events are sent
	Catalog instances.Catalog // the destinations
	Log     *slog.Logger
}

// RunConsole serves the console without a queue until ctx ends. It calls started with the URL, or unix:PATH, once it listens.
func RunConsole(ctx context.Context, o ConsoleOptions, started func(at string)) error {
	catalog, err := o.Catalog.Load()
	if err != nil {
		return err
	}
	commands := config.NewCommands()
	if err := o.checkPaths(); err != nil {
		return err
	}
	page := consoleHost{path: o.Config, commands: commands, data: o.Data, catalog: catalog, live: o.Target, log: o.Log}
	cfg, _ := config.Load(o.Config, config.Env{Commands: commands})
	if store, err := openExistingState(ctx, cfg, o.Data, o.Target.SandboxName()); err != nil {
		return err
	} else if store != nil {
		defer store.Close()
		page.store = store
	}
	key := &fileKey{path: o.Config, commands: commands, locked: NewToken()}
	listener, err := o.openListener(key.readKey() != "")
	if err != nil {
		return err
	}
	page.guard = access.NewGuard(access.Config{Key: key.readKey, AllowLocal: isPrivate(listener.Addr()), Proxies: key.trustedProxies, Log: page.log})
	served, err := console.New(page.consoleConfig())
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer served.Close()
	mux := http.NewServeMux()
	mux.Handle(console.Path, served.Handler())
	mux.Handle("GET /{$}", http.RedirectHandler(console.Path, http.StatusSeeOther))
	started(AddressURL(listener.Addr()))
	return ServeHandler(ctx, listener, mux)
}

// checkPaths returns an error if the config is no file that can be read or created, or the data directory is no directory.
func (o *ConsoleOptions) checkPaths() error {
	if err := refusePipe(o.Config); err != nil {
		return err
	}
	if _, err := textfile.ReadAtMost(o.Config, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return optionErrorf("--config %s: %s", o.Config, fault.FileReason(err))
	}
	if o.Data == "" {
		return nil
	}
	if _, err := os.ReadDir(o.Data); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return optionErrorf("--data %s: %s", o.Data, fault.FileReason(err))
	}
	return nil
}

// openListener listens on the given address. If none was given and the default one is in use, it listens on a free port.
func (o *ConsoleOptions) openListener(hasKey bool) (net.Listener, error) {
	asked := cmp.Or(o.Listen, DefaultAdmin)
	if problem := config.CheckAdminListen(asked, hasKey); problem != "" || asked == config.AdminOnIngest {
		return nil, optionErrorf("--listen %s %s", asked, cmp.Or(problem, "is for a server: give an address"))
	}
	listener, err := Listen(asked)
	if o.Listen == "" && errors.Is(err, syscall.EADDRINUSE) {
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %s: give another address with --listen", fault.ListenReason(err))
	}
	return listener, nil
}

// openExistingState opens the state of a config. It returns nil if the state does not exist yet and the config has no key for tokens.
func openExistingState(ctx context.Context, cfg *config.Config, data, sandbox string) (*state.Store, error) {
	if cfg == nil {
		return nil, nil
	}
	if cfg.StateURL == "" {
		if _, err := os.Stat(filepath.Join(instances.DataDir(cfg, data), state.File(sandbox))); err != nil && cfg.StateKey == "" {
			return nil, nil
		}
	}
	return instances.OpenState(ctx, cfg, data, sandbox)
}

// fileKey reads the admin key of a config file, which may change at any time. If the file cannot be read or its key cannot be resolved,
// the last key stays valid. If there was no key before, no key is valid.
type fileKey struct {
	path     string
	commands *config.Commands
	locked   string // a random key, used if no key could be read
	mu       sync.Mutex
	last     string
}

// readKey returns the current key, or "" if the file sets none.
func (k *fileKey) readKey() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	cfg, _ := config.Load(k.path, config.Env{Commands: k.commands})
	switch {
	case cfg == nil && k.last == "" && IsMissing(k.path):
		return ""
	case cfg == nil || cfg.Server.HasAdminKey && cfg.Server.AdminKey == "":
		return cmp.Or(k.last, k.locked)
	}
	k.last = cfg.Server.AdminKey
	return k.last
}

// trustedProxies returns the trusted proxies that the file currently sets.
func (k *fileKey) trustedProxies() access.Proxies {
	cfg, _ := config.Load(k.path, config.Env{Commands: k.commands})
	if cfg == nil {
		return nil
	}
	return cfg.Server.TrustedProxies
}

// IsMissing reports whether there is no file at a path.
func IsMissing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}
