package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/acmetest"
	"github.com/landfall-dev/landfall/internal/loglines"
)

const acmeDomain = "events.example.test"

// acmeSettings returns the config of a server with certificates from an authority.
func acmeSettings(a *acmetest.Authority, data string) string {
	return "data: " + data + "\ntls: {acme: {domains: [" + acmeDomain + "], email: ops@example.test, directory: '" + a.Directory + "', roots: " + a.Roots + "}}"
}

// requestCertificates starts the certificates of a port. It returns what ends them.
func (p *port) requestCertificates() (stop func()) {
	at, err := net.ResolveTCPAddr("tcp", p.address)
	require.NoError(p, err)
	ctx, cancel := context.WithCancel(p.Context())
	require.NoError(p, p.server.certificates.start(ctx, at))
	return func() { cancel(); p.server.certificates.close() }
}

// connect returns the certificate that the port shows for the domain, and the error of verifying it.
func (p *port) connect(roots *x509.CertPool) (*x509.Certificate, error) {
	conn, err := tls.Dial("tcp", p.address, &tls.Config{RootCAs: roots, ServerName: acmeDomain, NextProtos: []string{"h2"}})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	assert.Equal(p, "h2", conn.ConnectionState().NegotiatedProtocol)
	return conn.ConnectionState().PeerCertificates[0], nil
}

// TestACME checks that a server gets a certificate from an authority over its own port, and that the next server uses what is stored.
func TestACME(t *testing.T) {
	a, data := acmetest.New(t), t.TempDir()
	first := openPort(t, acmeSettings(a, data))
	a.Verify(first.address)
	assert.Zero(t, first.server.certificates.expiry().Unix(), "there is none yet")
	_, err := first.connect(a.Issuers)
	require.Error(t, err)
	stop := first.requestCertificates()
	var cert *x509.Certificate
	require.Eventually(t, func() bool { cert, err = first.connect(a.Issuers); return err == nil }, patience, 50*time.Millisecond)
	assert.Equal(t, []string{acmeDomain}, cert.DNSNames)
	assert.Equal(t, cert.NotAfter, first.server.certificates.expiry())
	first.server.certificates.refresh()
	stop()
	info, err := os.Stat(filepath.Join(data, acmeDir))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())

	a.Fail()
	second := openPort(t, acmeSettings(a, data))
	defer second.requestCertificates()()
	var again *x509.Certificate
	require.Eventually(t, func() bool { again, err = second.connect(a.Issuers); return err == nil }, patience, 50*time.Millisecond)
	assert.Equal(t, cert.SerialNumber, again.SerialNumber)
}

// TestACMEFailure checks that a server says what to do if an authority cannot verify the domain, and that unusable settings are refused.
func TestACMEFailure(t *testing.T) {
	a := acmetest.New(t)
	p := openPort(t, acmeSettings(a, t.TempDir()))
	a.Verify("127.0.0.1:1")
	var logged loglines.Buffer
	p.server.certificates.(*acmeCertificates).log = logged.NewLogger(slog.LevelInfo)
	defer p.requestCertificates()()
	require.Eventually(t, func() bool { return strings.Contains(logged.String(), "no TLS certificate was received") }, patience, 50*time.Millisecond)
	assert.Contains(t, logged.String(), "domain="+acmeDomain)
	assert.NotContains(t, logged.String(), "ops@example.test")
	_, err := openCertificates(parsePort(t, t.TempDir(), strings.Replace(acmeSettings(a, t.TempDir()), a.Roots, "none.pem", 1)), "", p.server.Log)
	assert.ErrorContains(t, err, "tls.acme.roots cannot be read")
	_, err = openCertificates(parsePort(t, t.TempDir(), strings.Replace(acmeSettings(a, t.TempDir()), a.Roots, p.ky, 1)), "", p.server.Log)
	assert.ErrorContains(t, err, "has no certificate in PEM")
}
