package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// certificate is the TLS certificate of the ingest port. It follows the files that it was read from: refresh reads them again. refresh
// must not be called concurrently; the other methods may.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	current           atomic.Pointer[tls.Certificate]
	loaded            string // the content of the files that current was made from
	failed            string // the content of the last attempt that failed
	reported          bool   // its error was logged
}

// certificates are where the ingest port gets its certificates from: files, or an authority.
type certificates interface {
	config() *tls.Config
	expiry() time.Time
	refresh()                                       // reads changed files
	start(ctx context.Context, port net.Addr) error // is called when the port is open
	close()
}

// openCertificates returns the certificates of tls in the config. It returns nil without TLS.
func openCertificates(cfg *config.Config, data string, log *slog.Logger) (certificates, error) {
	switch {
	case len(cfg.Server.ACME.Domains) > 0:
		return openACME(cfg, data, log)
	case cfg.Server.TLSCert != "":
		return openCertificate(cfg, log)
	}
	return nil, nil
}

// openCertificate reads the certificate of tls in the config.
func openCertificate(cfg *config.Config, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: cfg.ResolvePath(cfg.Server.TLSCert), keyFile: cfg.ResolvePath(cfg.Server.TLSKey), log: log}
	content, err := c.load()
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	c.loaded = content
	return c, nil
}

// load makes the content of the files the current certificate, and returns that content.
func (c *certificate) load() (content string, err error) {
	cert, err := textfile.ReadFile(c.certFile)
	if err != nil {
		return "", fmt.Errorf("the certificate: %w", fault.File(err))
	}
	key, err := textfile.ReadFile(c.keyFile)
	if err != nil {
		return "", fmt.Errorf("the key: %w", fault.File(err))
	}
	content = string(cert) + string(key)
	if content == c.loaded && c.current.Load() != nil {
		return content, nil
	}
	pair, err := c.readPair(cert, key)
	if err != nil {
		return content, err
	}
	c.current.Store(&pair)
	return content, nil
}

// refresh uses the files again if they have changed. While they are invalid, the old certificate stays in effect. The error is logged at
// the second attempt, since programs that renew certificates replace the two files one after the other.
func (c *certificate) refresh() {
	content, err := c.load()
	if err == nil {
		if content != c.loaded {
			c.log.Info("TLS certificate reloaded", "file", c.certFile, "expires", c.expiry().UTC().Format(time.RFC3339))
		}
		c.loaded, c.failed, c.reported = content, "", false
		return
	}
	if failure := err.Error() + content; failure != c.failed {
		c.failed, c.reported = failure, false
	} else if !c.reported {
		c.reported = true
		c.log.Error("the new TLS certificate is not used, the old one stays in effect", "error", err)
	}
}

// expiry returns when the current certificate expires.
func (c *certificate) expiry() time.Time { return c.current.Load().Leaf.NotAfter }

// config returns the settings of TLS.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	}
}

// start does nothing: the certificate is read already.
func (c *certificate) start(context.Context, net.Addr) error { return nil }

// close does nothing.
func (c *certificate) close() {}

// newExpiryMetric returns the metric of the time at which a current certificate expires.
func newExpiryMetric(c certificates) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "landfall", Name: "tls_expiry_timestamp_seconds", Help: "When the TLS certificate of the ingest port expires, in Unix time.",
	}, func() float64 { return float64(c.expiry().Unix()) })
}

// ingestScheme returns the scheme of URLs of the ingest port.
func (v *server) ingestScheme() string {
	if v.certificates != nil {
		return "https"
	}
	return "http"
}

// localIngestURL returns the URL of the ingest port for programs on this machine.
func (v *server) localIngestURL(l *listeners) string {
	return v.ingestScheme() + strings.TrimPrefix(AddressURL(l.ingest.Addr()), "http")
}

// serveIngest serves the ingest port, with TLS if the config has a certificate.
func (v *server) serveIngest(server *http.Server, listener net.Listener) error {
	if v.certificates == nil {
		return server.Serve(listener)
	}
	server.TLSConfig = v.certificates.config()
	return server.ServeTLS(listener, "", "")
}

// proxyHeaderTimeout limits how long a connection of a trusted proxy can take to send the header of the PROXY protocol.
const proxyHeaderTimeout = 5 * time.Second

// readProxyHeaders returns a listener that takes the addresses of clients from the PROXY protocol, if the config has proxyProtocol. Only
// trusted proxies may send its header, and need not. For other clients, it is part of an invalid request.
func (v *server) readProxyHeaders(listener net.Listener) net.Listener {
	if !v.config.Load().Server.ProxyProtocol {
		return listener
	}
	return &proxyproto.Listener{Listener: listener, ReadHeaderTimeout: proxyHeaderTimeout, ConnPolicy: func(c proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
		peer, err := netip.ParseAddrPort(c.Upstream.String())
		if err != nil || !v.trustedProxies().Trusts(peer.Addr().Unmap()) {
			return proxyproto.SKIP, nil
		}
		return proxyproto.USE, nil
	}}
}
