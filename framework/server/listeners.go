package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

const UnixPrefix = "unix:"

// listeners holds the open listeners of a server.
type listeners struct {
	ingest        net.Listener
	admin         net.Listener // nil if the admin API shares the ingest port
	removeAddress func()       // removes the address file
}

// openListeners opens the server's ports and writes the address file.
func (v *server) openListeners(cfg *config.Config) (l *listeners, err error) {
	l = &listeners{removeAddress: func() {}}
	if l.ingest, err = net.Listen("tcp", cmp.Or(v.Listen, cfg.Server.Listen, DefaultListen)); err != nil {
		return nil, fmt.Errorf("cannot listen: %s: give another address with --listen", fault.ListenReason(err))
	}
	if l.admin, err = v.openAdmin(cfg, l.ingest.Addr()); err != nil {
		return nil, errors.Join(err, l.close())
	}
	if l.removeAddress, err = v.writeAddressFile(cfg, l); err != nil {
		l.removeAddress = func() {}
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// openAdmin opens the listener of the admin API. It returns nil if the admin API shares the ingest port. If no address is configured and
// the default one is in use, it listens on a free port. ingest is the address of the ingest port; nil if that is not open.
func (v *server) openAdmin(cfg *config.Config, ingest net.Addr) (net.Listener, error) {
	asked := cmp.Or(v.AdminListen, cfg.Server.AdminListen)
	if problem := config.CheckAdminListen(asked, cfg.Server.AdminKey != ""); problem != "" {
		return nil, optionErrorf("--admin-listen %s %s", asked, problem)
	}
	if asked == config.AdminOnIngest && cfg.Server.HasTLS() {
		return nil, optionErrorf("--admin-listen %s %s", asked, config.NoSharedTLS)
	}
	if kept := v.keptAdmin; kept != nil {
		if v.keptAdmin = nil; asked == "" || v.AdminListen != "" || asked == kept.Addr().String() {
			return kept, nil
		}
		if err := kept.Close(); err != nil { // the config names another address
			return nil, err
		}
	}
	if asked == config.AdminOnIngest {
		return nil, nil
	}
	listener, err := Listen(cmp.Or(asked, DefaultAdmin))
	if asked == "" && errors.Is(err, syscall.EADDRINUSE) {
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err == nil {
			v.Log.Info("the admin port "+DefaultAdmin+" is in use: listening on another port instead", "admin", AddressURL(listener.Addr()))
		}
	}
	if err != nil {
		reason := fault.ListenReason(err)
		if errors.Is(err, syscall.EADDRINUSE) && sharesPort(asked, ingest) {
			reason = asked + " has the port on which events are accepted"
		}
		return nil, fmt.Errorf("the admin API, the console and the metrics cannot listen: %s: give another address with --admin-listen, or admin.listen in the config", reason)
	}
	return listener, nil
}

// sharesPort reports whether an address has the port of a listener, which may be nil.
func sharesPort(address string, at net.Addr) bool {
	if at == nil {
		return false
	}
	_, port, err := net.SplitHostPort(address)
	_, other, otherErr := net.SplitHostPort(at.String())
	return err == nil && otherErr == nil && port == other
}

// hasPrivateAdmin reports whether only this machine can reach the admin API.
func (l *listeners) hasPrivateAdmin() bool {
	if l.admin == nil {
		return false
	}
	return isPrivate(l.admin.Addr())
}

// isPrivate reports whether only this machine can reach an address.
func isPrivate(at net.Addr) bool {
	if at.Network() == "unix" {
		return true
	}
	host, _, err := net.SplitHostPort(at.String())
	return err == nil && config.IsLoopback(host)
}

// adminURL returns the address of the admin API: a URL, or unix:PATH.
func (l *listeners) adminURL() string {
	if l.admin == nil {
		return AddressURL(l.ingest.Addr())
	}
	return AddressURL(l.admin.Addr())
}

// AddressURL returns the URL, or unix:PATH, at which programs on this machine reach a listener.
func AddressURL(at net.Addr) string {
	if at.Network() == "unix" {
		return UnixPrefix + at.String()
	}
	host, port, err := net.SplitHostPort(at.String())
	if err != nil {
		return at.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// close closes the listeners and removes the address file. Later calls do nothing.
func (l *listeners) close() error {
	l.removeAddress()
	var errs []error
	for _, listener := range []net.Listener{l.ingest, l.admin} {
		if listener == nil {
			continue
		}
		if err := listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Listen listens on a TCP address, or on a Unix socket given as unix:PATH.
func Listen(address string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(address, UnixPrefix); ok {
		return listenUnix(path)
	}
	return net.Listen("tcp", address)
}

// unixSocket is a listener that removes its file when it is closed.
type unixSocket struct {
	net.Listener
	address net.Addr
	file    os.FileInfo
}

// Addr returns the path of the socket.
func (s *unixSocket) Addr() net.Addr { return s.address }

// Close closes the listener and removes its file, unless the file was replaced by another one.
func (s *unixSocket) Close() error {
	if now, err := os.Lstat(s.address.String()); err == nil && os.SameFile(now, s.file) {
		_ = os.Remove(s.address.String())
	}
	return s.Listener.Close()
}

// listenUnix listens on a Unix socket that only this user can open. It creates the socket in a private directory and then renames it, so
// that other users can never open it. It replaces a socket without a listener; any other file at the path is an error.
func listenUnix(path string) (net.Listener, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := checkSocket(path); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".s")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	made := filepath.Join(dir, "s")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false)
	s := &unixSocket{Listener: listener, address: &net.UnixAddr{Name: path, Net: "unix"}}
	err = os.Chmod(made, 0o600)
	if err == nil {
		s.file, err = os.Lstat(made)
	}
	if err == nil {
		err = os.Rename(made, path)
	}
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return s, nil
}

// checkSocket returns an error if a file exists at the path, unless it is a socket without a listener.
func checkSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&os.ModeSocket == 0:
		return fmt.Errorf("%s exists and is not a socket: delete it, or give another path", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
		return &os.PathError{Op: "listen", Path: path, Err: syscall.EADDRINUSE}
	}
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("cannot find out whether the socket %s is in use: %w", path, err)
}

// ServeHandler serves HTTP on a listener until ctx ends. Then it waits a second for the requests in progress.
func ServeHandler(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 1 << 16}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err := server.Shutdown(stopping)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close() // the open connections are idle or belong to slow clients; closing them loses nothing
	}
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		return served
	}
	return err
}
