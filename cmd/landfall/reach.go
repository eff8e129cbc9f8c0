package main

import (
	"cmp"
	"context"
	"encoding/json"
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
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/admin"
)

// adminKeyVariable holds the admin key for --url.
const adminKeyVariable = "LANDFALL_ADMIN_KEY"

// errNoServer is the error of a data directory that no running server uses.
var errNoServer = errors.New("no server is running")

// reaching is what the commands on a queue share: the server that uses it, or the queue itself.
type reaching struct {
	streams
	config  string
	data    string
	url     string
	keyFile string
	target  target // whose queue it is
	json    bool
	client  *admin.Client
	cfg     *config.Config  // nil if a server is reached and the file cannot be used
	queue   *delivery.Queue // nil if a server is reached
	sandbox string          // the name of the sandbox whose queue it is; "" for real remotes
	known   []string        // the ids of the instances
	close   func()
	server  bool // a server is reached, not the queue alone
	only    bool // nothing but a server will do
}

func (c *reaching) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.config, "config", configFile, "the config `FILE`; not needed to reach a running server with --data or --url")
	f.StringVar(&c.data, "data", "", "the data `DIR`; by default the config's, otherwise "+defaultData+" beside it")
	f.StringVar(&c.url, "url", "", "the `URL` of a running server's admin API, or unix:PATH, in place of --data")
	f.StringVar(&c.keyFile, "key-file", "", "with --url: the `FILE` of the admin key; by default $"+adminKeyVariable+", otherwise the config's")
	f.BoolVar(&c.json, "json", false, "print JSON for programs, an object a line")
	c.target.sandboxFlags(cmd, "the queue of")
}

// chooseSandbox returns the name of the sandbox whose queue is meant: that of the flags, otherwise that of the server that runs, of
// real remotes if there is such a queue, or of the only sandbox that has one.
func (c *reaching) chooseSandbox(dir string) (string, error) {
	if name := c.target.sandboxName(); name != "" {
		return name, nil
	}
	if c.cfg.Server.NATS != "" {
		return "", nil
	}
	if at, err := readAddress(dir); err == nil && delivery.InUse(filepath.Join(dir, queueName(at.Sandbox))) {
		return at.Sandbox, nil
	}
	return onlySandbox(c.err, dir, queueDir, queueName("*")), nil
}

// open reaches the server that was named, or the one that has the data directory. Without one it opens the queue.
func (c *reaching) open(ctx context.Context) error {
	c.close = func() {}
	cfg, problems := config.Load(c.config, config.Env{})
	var unusable error
	if cfg == nil || len(problems) > 0 {
		unusable = problems.Err()
	} else {
		c.cfg = cfg
	}
	if c.url != "" {
		c.sandbox = c.target.sandboxName()
		return c.dialURL(ctx, cfg)
	}
	dir := c.dataOf(cfg)
	err := c.dialDir(ctx, dir, cfg)
	switch {
	case err == nil || !errors.Is(err, errNoServer):
		return err
	case unusable != nil && c.data == "":
		return fmt.Errorf("%w\nno server is running with the data directory %s: name another one with --data, or a server with --url", unusable, dir)
	case c.only && (unusable != nil || cfg.Server.NATS != ""):
		return fmt.Errorf("no server of this machine uses the data directory %s: start one with landfall serve, or name another directory with --data or a server with --url", dir)
	case unusable != nil:
		return fmt.Errorf("no server of this machine uses the data directory %s, and without one the config is needed (--config): %w", dir, unusable)
	}
	name, err := c.chooseSandbox(dir)
	switch {
	case err != nil:
		return err
	case cfg.Server.NATS == "" && isMissing(filepath.Join(dir, queueName(name))):
		return fmt.Errorf("there is no queue in %s, so no server has run with it: start one with landfall serve, or give another directory with --data", dir)
	case c.only:
		return fmt.Errorf("no server of this machine uses the data directory %s: start one with landfall serve, or name another directory with --data or a server with --url", dir)
	}
	c.sandbox = name
	return c.openQueue(ctx, dir, name)
}

// dataOf returns the data directory. A config with mistakes may still name it.
func (c *reaching) dataOf(cfg *config.Config) string {
	if cfg != nil {
		return dataDir(cfg, c.data)
	}
	return cmp.Or(c.data, filepath.Join(filepath.Dir(c.config), defaultData))
}

// openQueue opens the queue of a data directory that no server uses.
func (c *reaching) openQueue(ctx context.Context, dir, sandboxName string) error {
	cfg := c.cfg
	queue, err := openQueue(ctx, cfg, c.data, sandboxName, false, slog.New(slog.DiscardHandler))
	if errors.Is(err, delivery.ErrInUse) {
		return fmt.Errorf("a process uses the queue in %s, but there is no server to ask: a server that is starting, or another command; try again in a moment", dir)
	}
	if err != nil {
		return err
	}
	token, current := newToken(), func() *config.Config { return cfg }
	s := &admin.Server{
		Queue: queue, Guard: access.NewGuard(access.Config{Token: token}),
		Sources: sourcesOf(current), Subscriptions: subscriptionsOf(current),
	}
	c.client = &admin.Client{Transport: sandbox.Transport(s.Handler()), URL: "http://queue", Key: token}
	c.queue, c.sandbox, c.close = queue, sandboxName, queue.Close
	for _, in := range cfg.Instances {
		c.known = append(c.known, in.ID)
	}
	return nil
}

// dialDir reaches the server that uses a data directory, with the token that it left there. The error is errNoServer if none
// does: there is no address, or what answers there does not know the token, as the server has ended without removing it.
func (c *reaching) dialDir(ctx context.Context, dir string, cfg *config.Config) error {
	if c.target.sandbox && c.target.sandboxURL != "" {
		return misuse("give one of --sandbox and --sandbox-url")
	}
	at, err := readAddress(dir)
	asked := c.target.sandboxName()
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && asked != "" && asked != at.Sandbox:
		return errNoServer
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: run this as the user that the server runs as, or name the server with --url", err)
	case err != nil:
		return err
	}
	key := at.Token
	if key == "" && cfg != nil {
		key = cfg.Server.AdminKey // a server of an earlier version
	}
	c.sandbox = at.Sandbox
	err = c.dial(ctx, at.URL, key)
	var refused *admin.StatusError
	if errors.As(err, &refused) && (refused.Code == http.StatusUnauthorized || refused.Code == http.StatusNotFound) && at.Token != "" || isNobody(err) {
		return errNoServer
	}
	return err
}

// isNobody reports whether an error says that nobody listens at an address.
func isNobody(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist)
}

// dialURL reaches the server that --url names, with the key of --key-file, the environment, or the config.
func (c *reaching) dialURL(ctx context.Context, cfg *config.Config) error {
	if u, err := url.Parse(c.url); err != nil || !strings.HasPrefix(c.url, unixPrefix) && (u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return misuse("--url should be as http://127.0.0.1:8081 or unix:PATH but is %q", c.url)
	}
	key := os.Getenv(adminKeyVariable)
	switch {
	case c.keyFile != "":
		text, err := os.ReadFile(c.keyFile)
		if err != nil {
			return fmt.Errorf("reading the key: %w", err)
		}
		key = strings.TrimSpace(string(text))
	case key == "" && cfg != nil:
		key = cfg.Server.AdminKey
	}
	err := c.dial(ctx, strings.TrimSuffix(c.url, "/"), key)
	var refused *admin.StatusError
	switch {
	case isNobody(err):
		return fmt.Errorf("no server answers at %s: is it running, and is this the address of its admin API? (%w)", c.url, err)
	case errors.As(err, &refused) && refused.Code == http.StatusUnauthorized:
		return fmt.Errorf("%w: give the key with --key-file FILE or in $%s", err, adminKeyVariable)
	case errors.As(err, &refused) && refused.Code == http.StatusNotFound:
		return fmt.Errorf("there is no admin API at %s: it is on a port of its own, %s unless admin.listen says otherwise (%w)", c.url, defaultAdmin, err)
	}
	return err
}

// dial reaches a server and asks it for its instances.
func (c *reaching) dial(ctx context.Context, at, key string) error {
	transport := httpx.NewTransport(httpx.TransportConfig{})
	transport.Proxy = nil
	if path, ok := strings.CutPrefix(at, unixPrefix); ok {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
		at = "http://localhost"
	}
	c.client = &admin.Client{Transport: transport, URL: at, Key: key}
	c.server, c.close = true, transport.CloseIdleConnections
	list, err := c.client.Status(ctx)
	if err != nil {
		c.close()
		return err
	}
	for _, s := range list {
		c.known = append(c.known, s.Instance)
	}
	return nil
}

func (c *reaching) print(v any) { _ = json.NewEncoder(c.out).Encode(v) }
