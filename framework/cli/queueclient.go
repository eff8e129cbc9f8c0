package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/admin"
	"github.com/landfall-dev/landfall/framework/server/why"
)

// adminKeyVariable is the environment variable with the admin key for --url.
const adminKeyVariable = "LANDFALL_ADMIN_KEY"

// errNoServer means that no running server uses the data directory.
var errNoServer = errors.New("no server is running")

// queueClient is shared by the commands that work on a queue. It talks to the server that uses the queue. If none runs, it opens the queue
// and serves the admin API of it within this process.
type queueClient struct {
	streams
	config      string
	data        string
	url         string
	keyFile     string
	target      target // only its sandbox: which queue it is
	json        bool
	client      *admin.Client
	cfg         *config.Config  // nil if the file cannot be used, which is possible only with a server
	unusable    error           // why cfg is nil
	queue       *delivery.Queue // nil with a server
	sandbox     string          // the name of the sandbox whose queue it is; "" for real remotes
	instanceIDs []string        // the ids of the list
	close       func()
	server      bool // client talks to a running server
	needsServer bool // the command needs a running server
	needsState  bool // without a server, the command needs the state too
	healthOnly  bool // the command only asks for the health, which requires no key
}

func (c *queueClient) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.config, "config", configFile, "the config `FILE`; optional if --data or --url leads to a running server")
	f.StringVar(&c.data, "data", "", "the data `DIR`; by default the config's, otherwise "+instances.DefaultData+" beside the config")
	f.StringVar(&c.url, "url", "", "the `URL` of a running server's admin API, or unix:PATH, instead of --data")
	f.StringVar(&c.keyFile, "key-file", "", "with --url: the `FILE` of the admin key; by default $"+adminKeyVariable+", otherwise the config's")
	f.BoolVar(&c.json, "json", false, "print JSON, one object per line")
	c.target.addSandboxFlags(cmd, "use the queue of")
}

// chooseSandbox returns the name of the sandbox whose queue to use: the one in the flags, otherwise that of the running server, otherwise
// "" if there is a queue of real remotes, otherwise the only sandbox that has a queue.
func (c *queueClient) chooseSandbox(dir string) (string, error) {
	if name := c.target.SandboxName(); name != "" {
		return name, nil
	}
	if c.cfg.Server.NATS != "" {
		return "", nil
	}
	if at, err := server.ReadAddress(dir); err == nil && delivery.InUse(filepath.Join(dir, instances.QueueName(at.Sandbox))) {
		return at.Sandbox, nil
	}
	return instances.OnlySandbox(c.err, dir, instances.QueueDir, instances.QueueName("*")), nil
}

// connect connects to the server of --url, or to the one that uses the data directory. If none runs, it opens the queue.
func (c *queueClient) connect(ctx context.Context) error {
	c.close = func() {}
	cfg, problems := config.Load(c.config, config.Env{})
	if cfg == nil || len(problems) > 0 {
		c.unusable = problems.Err()
	} else {
		c.cfg = cfg
	}
	if c.url != "" {
		c.sandbox = c.target.SandboxName()
		return c.dialURL(ctx, cfg)
	}
	dir := c.dataPath(cfg)
	err := c.dialDir(ctx, dir, cfg)
	switch {
	case err == nil || !errors.Is(err, errNoServer):
		return err
	case c.unusable != nil && c.data == "":
		return fmt.Errorf("%w\nno running server uses the data directory %s: give another one with --data, or a server with --url", c.unusable, dir)
	case c.needsServer && (c.unusable != nil || cfg.Server.NATS != ""):
		return fmt.Errorf("no server on this machine uses the data directory %s: start one with landfall serve, or give another directory with --data or a server with --url", dir)
	case c.unusable != nil:
		return fmt.Errorf("no server on this machine uses the data directory %s, and without a server the config is needed (--config): %w", dir, c.unusable)
	}
	name, err := c.chooseSandbox(dir)
	switch {
	case err != nil:
		return err
	case cfg.Server.NATS == "" && server.IsMissing(filepath.Join(dir, instances.QueueName(name))):
		return fmt.Errorf("there is no queue in %s, so no server has run with it: start one with landfall serve, or give another directory with --data", dir)
	case c.needsServer:
		return fmt.Errorf("no server on this machine uses the data directory %s: start one with landfall serve, or give another directory with --data or a server with --url", dir)
	}
	c.sandbox = name
	return c.openQueue(ctx, dir, name)
}

// dataPath returns the data directory. cfg may have mistakes or be nil.
func (c *queueClient) dataPath(cfg *config.Config) string {
	if cfg != nil {
		return instances.DataDir(cfg, c.data)
	}
	return cmp.Or(c.data, filepath.Join(filepath.Dir(c.config), instances.DefaultData))
}

// openQueue opens the queue of a data directory that no server uses.
func (c *queueClient) openQueue(ctx context.Context, dir, sandboxName string) error {
	cfg := c.cfg
	log := slog.New(slog.DiscardHandler)
	if cfg.Server.NATS != "" { // whose servers may not answer for a while
		log = slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	queue, err := server.OpenQueue(ctx, cfg, c.data, sandboxName, false, log)
	if errors.Is(err, delivery.ErrInUse) {
		return fmt.Errorf("another process uses the queue in %s, but it is not a running server: it may be a server that is starting, or another command; try again in a moment", dir)
	}
	if err != nil {
		return err
	}
	token, current := server.NewToken(), func() *config.Config { return cfg }
	s := &admin.Server{
		Queue: queue, Guard: access.NewGuard(access.Config{Token: token}),
		Sources: server.SourcesOf(current), Subscriptions: server.SubscriptionsOf(current),
	}
	c.queue, c.sandbox, c.close = queue, sandboxName, queue.Close
	if c.needsState {
		if err := c.openState(ctx, s); err != nil {
			queue.Close()
			return err
		}
	}
	c.client = &admin.Client{Transport: sandbox.Transport(s.Handler()), URL: "http://queue", Key: token}
	for _, in := range cfg.Instances {
		c.instanceIDs = append(c.instanceIDs, in.ID)
	}
	return nil
}

// openState opens the state of the queue that was opened, for the answers of s.
func (c *queueClient) openState(ctx context.Context, s *admin.Server) error {
	store, err := instances.OpenExistingState(ctx, c.cfg, c.data, c.sandbox)
	if err != nil {
		return err
	}
	queue, catalog := c.queue, c.catalog()
	c.close = func() {
		queue.Close()
		_ = store.Close()
	}
	s.Why = &why.Source{Queue: queue, Store: store, Instances: func(observe func(httpx.Exchange)) ([]instances.Instance, error) {
		return server.ExplainInstances(c.cfg, catalog, store, c.data, observe)
	}}
	return nil
}

// dialDir connects to the server that uses a data directory, with the token from its address file. The error is errNoServer if none runs:
// there is no address file, or it is left over from a server that did not stop cleanly, so that no server or another one answers there.
func (c *queueClient) dialDir(ctx context.Context, dir string, cfg *config.Config) error {
	if c.target.Sandbox && c.target.SandboxURL != "" {
		return usageErrorf("give one of --sandbox and --sandbox-url")
	}
	at, err := server.ReadAddress(dir)
	asked := c.target.SandboxName()
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && asked != "" && asked != at.Sandbox:
		return errNoServer
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: give the data directory of the server with --data", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: run this as the user that the server runs as, or name the server with --url", err)
	case err != nil:
		return err
	}
	key := at.Token
	if key == "" && cfg != nil {
		key = cfg.Server.AdminKey // the address file of an earlier version has no token
	}
	c.sandbox = at.Sandbox
	err = c.dial(ctx, at.URL, key)
	var refused *admin.StatusError
	if errors.As(err, &refused) && (refused.Code == http.StatusUnauthorized || refused.Code == http.StatusNotFound) && at.Token != "" || isNotListening(err) {
		return errNoServer
	}
	return err
}

// isNotListening reports whether an error means that no server listens at an address.
func isNotListening(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist)
}

// dialURL connects to the server of --url, with the key from --key-file, the environment or the config.
func (c *queueClient) dialURL(ctx context.Context, cfg *config.Config) error {
	if u, err := url.Parse(c.url); err != nil || !strings.HasPrefix(c.url, server.UnixPrefix) && (u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return usageErrorf("--url should be like http://127.0.0.1:8081 or unix:PATH but is %q", c.url)
	}
	key := os.Getenv(adminKeyVariable)
	switch {
	case c.keyFile != "":
		text, err := readFile(c.keyFile)
		if err != nil {
			return usageErrorf("--key-file %w", err)
		}
		key = strings.TrimSpace(string(text))
	case key == "" && cfg != nil:
		key = cfg.Server.AdminKey
	}
	err := c.dial(ctx, strings.TrimSuffix(c.url, "/"), key)
	var refused *admin.StatusError
	switch {
	case isNotListening(err):
		return fmt.Errorf("no server answers at %s: check that it runs and that this is the address of its admin API (%w)", c.url, err)
	case errors.As(err, &refused) && refused.Code == http.StatusUnauthorized:
		return fmt.Errorf("%w: give the admin key with --key-file FILE or in $%s", err, adminKeyVariable)
	case errors.As(err, &refused) && refused.Code == http.StatusNotFound:
		return fmt.Errorf("there is no admin API at %s: it has its own port, by default %s, or admin.listen in the config (%w)", c.url, server.DefaultAdmin, err)
	}
	return err
}

// dial connects to a server and asks it for its instances, unless the command needs only its health.
func (c *queueClient) dial(ctx context.Context, at, key string) error {
	transport := httpx.NewTransport(httpx.TransportConfig{})
	transport.Proxy = nil
	if path, ok := strings.CutPrefix(at, server.UnixPrefix); ok {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
		at = "http://localhost"
	}
	c.client = &admin.Client{Transport: transport, URL: at, Key: key}
	c.server, c.close = true, transport.CloseIdleConnections
	if c.healthOnly {
		return nil
	}
	list, err := c.client.Status(ctx)
	if err != nil {
		c.close()
		return err
	}
	for _, s := range list {
		c.instanceIDs = append(c.instanceIDs, s.Instance)
	}
	return nil
}
