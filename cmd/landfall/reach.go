package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/admin"
	"github.com/landfall-dev/landfall/framework/config"
	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/httpx"
	"github.com/landfall-dev/landfall/framework/sandbox"
)

// addressFile holds, in a data directory in use, where its server answers.
const addressFile = "serve.json"

type address struct {
	URL     string `json:"url"`
	Sandbox string `json:"sandbox,omitempty"` // that it delivers to; "" for real remotes
}

// tellAddress writes down where this server answers, until forget.
func (v *serving) tellAddress(cfg *config.Config, listening string) (forget func(), err error) {
	dir := dataDir(cfg, v.data)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(listening)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	text, err := json.Marshal(address{URL: "http://" + net.JoinHostPort(host, port), Sandbox: v.target.sandboxName()})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, addressFile)
	return func() { _ = os.Remove(file) }, replaceFile(file, text)
}

// replaceFile puts a private file in the place of what is there, all at once; where that is a link, what it leads to stays.
func replaceFile(file string, text []byte) error {
	made, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	_, err = made.Write(text)
	if err = errors.Join(err, made.Close()); err == nil {
		err = os.Rename(made.Name(), file)
	}
	if err != nil {
		_ = os.Remove(made.Name())
	}
	return err
}

// reaching is what the commands on a queue share: the server that uses it, else the queue itself.
type reaching struct {
	streams
	config string
	data   string
	target target // whose queue it is
	json   bool
	client *admin.Client
	cfg    *config.Config
	close  func()
	server bool // a server is reached, not the queue alone
	only   bool // nothing but a server will do
}

func (c *reaching) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.config, "config", configFile, "the config `FILE`")
	f.StringVar(&c.data, "data", "", "the data `DIR`; by default the config's, else "+defaultData+" beside it")
	f.BoolVar(&c.json, "json", false, "print JSON for programs, an object a line")
	c.target.sandboxFlags(cmd, "the queue of")
}

// chooseSandbox returns the name of the sandbox whose queue is meant: that of the flags, otherwise that of the server that runs, of
// real remotes if there is such a queue, or of the only sandbox that has one.
func (c *reaching) chooseSandbox(dir string) (string, error) {
	if c.target.sandbox && c.target.sandboxURL != "" {
		return "", misuse("give one of --sandbox and --sandbox-url")
	}
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

// open reaches the server that has the data directory, else opens the queue.
func (c *reaching) open(ctx context.Context) error {
	cfg, problems := config.Load(c.config, config.Env{})
	if cfg == nil || len(problems) > 0 {
		return problems.Err()
	}
	c.cfg, c.close = cfg, func() {}
	dir := dataDir(cfg, c.data)
	name, err := c.chooseSandbox(dir)
	if err != nil {
		return err
	}
	switch _, err := os.Stat(filepath.Join(dir, queueName(name))); {
	case c.only && cfg.Server.NATS != "":
		return c.dial()
	case cfg.Server.NATS == "" && errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("there is no queue in %s, so no server has run with it: start one with landfall serve, or give another directory with --data", dir)
	}
	queue, err := openQueue(ctx, cfg, c.data, name, false, slog.New(slog.DiscardHandler))
	if errors.Is(err, delivery.ErrInUse) {
		return c.dial()
	}
	if err != nil {
		return err
	}
	key := rand.Text()
	s := &admin.Server{Queue: queue, Key: func() string { return key }, Sources: sourcesOf(func() *config.Config { return cfg })}
	c.client = &admin.Client{Transport: sandbox.Transport(s.Handler()), URL: "http://queue", Key: key}
	c.close = queue.Close
	return nil
}

// readAddress reads what the server of a data directory says of itself.
func readAddress(dir string) (at address, err error) {
	file := filepath.Join(dir, addressFile)
	text, err := os.ReadFile(file)
	if err != nil {
		return at, err
	}
	if err := json.Unmarshal(text, &at); err != nil {
		return at, fmt.Errorf("%s is damaged: delete it, and start the server again", file)
	}
	return at, nil
}

func (c *reaching) dial() error {
	dir := dataDir(c.cfg, c.data)
	at, err := readAddress(dir)
	if errors.Is(err, os.ErrNotExist) && c.cfg.Server.NATS != "" {
		return fmt.Errorf("no server of this machine uses the data directory %s: start one with landfall serve", dir)
	}
	if errors.Is(err, os.ErrNotExist) {
		return errors.New("a process uses the queue, but there is no server to ask: a server that is starting, or another command; try again in a moment")
	}
	if err != nil {
		return err
	}
	transport := httpx.NewTransport(httpx.TransportConfig{})
	transport.Proxy = nil
	c.client = &admin.Client{Transport: transport, URL: at.URL, Key: c.cfg.Server.AdminKey}
	c.server, c.close = true, transport.CloseIdleConnections
	return nil
}

func (c *reaching) print(v any) { _ = json.NewEncoder(c.out).Encode(v) }
