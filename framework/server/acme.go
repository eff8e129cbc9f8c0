package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// acmeDir is the directory of accounts and certificates in the data directory.
const acmeDir = "acme"

// acmeCertificates are the certificates of tls.acme in the config: they are requested from an authority, which connects to the ingest port to
// verify the domains, and renewed in time.
type acmeCertificates struct {
	domains []string
	cache   *certmagic.Cache
	magic   *certmagic.Config
	issuer  certmagic.ACMEIssuer // what is known before the port is open
	log     *slog.Logger
}

// openACME prepares the certificates. start requests them.
func openACME(cfg *config.Config, data string, log *slog.Logger) (*acmeCertificates, error) {
	a := cfg.Server.ACME
	c := &acmeCertificates{domains: a.Domains, log: log}
	quiet := zap.New(slogCore{log})
	c.issuer = certmagic.ACMEIssuer{CA: a.Directory, Email: a.Email, Agreed: true, DisableHTTPChallenge: true, Logger: quiet}
	if a.Directory == "" {
		c.issuer.CA = certmagic.LetsEncryptProductionCA
	}
	if a.Roots != "" {
		text, err := textfile.ReadFile(cfg.ResolvePath(a.Roots))
		if err != nil {
			return nil, fmt.Errorf("tls: the certificates of tls.acme.roots cannot be read: %w", err)
		}
		c.issuer.TrustedRoots = x509.NewCertPool()
		if !c.issuer.TrustedRoots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("tls: %s has no certificate in PEM", a.Roots)
		}
	}
	c.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return c.magic, nil }, Logger: quiet,
	})
	c.magic = certmagic.New(c.cache, certmagic.Config{
		Storage: &certmagic.FileStorage{Path: filepath.Join(instances.DataDir(cfg, data), acmeDir)}, Logger: quiet, OnEvent: c.onEvent,
		OCSP: certmagic.OCSPConfig{DisableStapling: true}, DefaultServerName: a.Domains[0],
	})
	return c, nil
}

// start requests the certificates that are missing or expire soon, in the background, until ctx ends. The port must be open, since the
// authority connects to it.
func (c *acmeCertificates) start(ctx context.Context, port net.Addr) error {
	host, number, err := net.SplitHostPort(port.String())
	if err != nil {
		return err
	}
	c.issuer.ListenHost = host
	if c.issuer.AltTLSALPNPort, err = strconv.Atoi(number); err != nil {
		return err
	}
	c.magic.Issuers = []certmagic.Issuer{certmagic.NewACMEIssuer(c.magic, c.issuer)}
	return c.magic.ManageAsync(ctx, c.domains)
}

// close ends the maintenance of the certificates.
func (c *acmeCertificates) close() { c.cache.Stop() }

// refresh does nothing: certificates are renewed in the background.
func (c *acmeCertificates) refresh() {}

// config returns the settings of TLS.
func (c *acmeCertificates) config() *tls.Config {
	settings := c.magic.TLSConfig()
	settings.MinVersion = tls.VersionTLS12
	return settings
}

// expiry returns when the first certificate expires, or the beginning of Unix time if one is missing.
func (c *acmeCertificates) expiry() time.Time {
	var first time.Time
	for _, domain := range c.domains {
		found := c.cache.AllMatchingCertificates(domain)
		if len(found) == 0 {
			return time.Unix(0, 0)
		}
		for _, cert := range found {
			if at := cert.Leaf.NotAfter; first.IsZero() || at.Before(first) {
				first = at
			}
		}
	}
	return first
}

// onEvent logs what happens to certificates.
func (c *acmeCertificates) onEvent(_ context.Context, event string, data map[string]any) error {
	switch event {
	case "cert_obtained":
		c.log.Info("TLS certificate received", "domain", data["identifier"], "renewal", data["renewal"])
	case "cert_failed":
		c.log.Error("no TLS certificate was received, it is requested again later: the domain must lead to this server, with its port 443 to the port for events",
			"domain", data["identifier"], "error", data["error"])
	}
	return nil
}

// slogCore passes warnings and errors of the ACME client on to a logger.
type slogCore struct{ log *slog.Logger }

// Enabled reports whether entries of a level are logged. Errors are logged by onEvent, with what to do.
func (c slogCore) Enabled(level zapcore.Level) bool { return level == zapcore.WarnLevel }

// With returns a core with fields for all of its entries.
func (c slogCore) With(fields []zapcore.Field) zapcore.Core {
	return slogCore{c.log.With(attributes(fields)...)}
}

// Check adds the core to an entry if it is logged.
func (c slogCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write logs an entry.
func (c slogCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	c.log.Warn("certificates: "+entry.Message, attributes(fields)...)
	return nil
}

// Sync does nothing.
func (slogCore) Sync() error { return nil }

// attributes converts the fields of an entry.
func attributes(fields []zapcore.Field) (list []any) {
	values := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(values)
	}
	for name, value := range values.Fields {
		list = append(list, slog.Any(name, value))
	}
	return list
}
