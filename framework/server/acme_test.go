package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/challtestsrv"
	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const acmeDomain = "events.example.test"

// authority is Pebble, an ACME authority for tests. It connects to a port of this machine to verify a domain.
type authority struct {
	*testing.T
	server  *httptest.Server
	handler atomic.Pointer[http.Handler]
	roots   string // a file with the certificate of the authority's own server
	issuers *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	a := &authority{T: t, issuers: x509.NewCertPool(), roots: filepath.Join(t.TempDir(), "roots.pem")}
	a.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*a.handler.Load()).ServeHTTP(w, r) }))
	t.Cleanup(a.server.Close)
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.server.Certificate().Raw})
	require.NoError(t, os.WriteFile(a.roots, own, 0o600))
	return a
}

// verify makes the authority verify domains at an address.
func (a *authority) verify(address string) {
	a.Setenv("PEBBLE_VA_NOSLEEP", "1")
	a.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	_, number, err := net.SplitHostPort(address)
	require.NoError(a, err)
	port, err := strconv.Atoi(number)
	require.NoError(a, err)
	quiet, store := log.New(io.Discard, "", 0), db.NewMemoryStore()
	authority := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {}})
	a.issuers.AddCert(authority.GetRootCert(0).Cert)
	front := wfe.New(quiet, store, va.New(quiet, 0, port, true, a.serveNames(), store), authority, []string{"pebble.test"}, true, false, 0, 0)
	handler := front.Handler()
	a.handler.Store(&handler)
}

// serveNames starts a DNS server that knows one address for all names, and returns where it is.
func (a *authority) serveNames() string {
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(a, err)
	address := free.LocalAddr().String()
	require.NoError(a, free.Close())
	names, err := challtestsrv.New(challtestsrv.Config{DNSAddrs: []string{address}, Log: log.New(io.Discard, "", 0)})
	require.NoError(a, err)
	names.SetDefaultDNSIPv4("127.0.0.1")
	names.SetDefaultDNSIPv6("")
	go names.Run()
	a.Cleanup(names.Shutdown)
	return address
}

// settings returns the config of a server with certificates from the authority.
func (a *authority) settings(data string) string {
	return "data: " + data + "\ntls: {acme: {domains: [" + acmeDomain + "], email: ops@example.test, directory: '" + a.server.URL + wfe.DirectoryPath + "', roots: " + a.roots + "}}"
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
	a, data := newAuthority(t), t.TempDir()
	first := openPort(t, a.settings(data))
	a.verify(first.address)
	assert.Zero(t, first.server.certificates.expiry().Unix(), "there is none yet")
	_, err := first.connect(a.issuers)
	require.Error(t, err)
	stop := first.requestCertificates()
	var cert *x509.Certificate
	require.Eventually(t, func() bool { cert, err = first.connect(a.issuers); return err == nil }, time.Minute, 50*time.Millisecond)
	assert.Equal(t, []string{acmeDomain}, cert.DNSNames)
	assert.Equal(t, cert.NotAfter, first.server.certificates.expiry())
	first.server.certificates.refresh()
	stop()
	info, err := os.Stat(filepath.Join(data, acmeDir))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())

	unreachable := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusInternalServerError) }))
	a.handler.Store(&unreachable)
	second := openPort(t, a.settings(data))
	defer second.requestCertificates()()
	var again *x509.Certificate
	require.Eventually(t, func() bool { again, err = second.connect(a.issuers); return err == nil }, time.Minute, 50*time.Millisecond)
	assert.Equal(t, cert.SerialNumber, again.SerialNumber)
}

// TestACMEFailure checks that a server says what to do if an authority cannot verify the domain, and that unusable settings are refused.
func TestACMEFailure(t *testing.T) {
	a := newAuthority(t)
	p := openPort(t, a.settings(t.TempDir()))
	a.verify("127.0.0.1:1")
	var logged lockedBuffer
	p.server.certificates.(*acmeCertificates).log = slog.New(slog.NewTextHandler(&logged, nil))
	defer p.requestCertificates()()
	require.Eventually(t, func() bool { return strings.Contains(logged.String(), "no TLS certificate was received") }, time.Minute, 50*time.Millisecond)
	assert.Contains(t, logged.String(), "domain="+acmeDomain)
	assert.NotContains(t, logged.String(), "ops@example.test")
	_, err := openCertificates(parsePort(t, t.TempDir(), strings.Replace(a.settings(t.TempDir()), a.roots, "none.pem", 1)), "", p.server.Log)
	assert.ErrorContains(t, err, "tls.acme.roots cannot be read")
	_, err = openCertificates(parsePort(t, t.TempDir(), strings.Replace(a.settings(t.TempDir()), a.roots, p.ky, 1)), "", p.server.Log)
	assert.ErrorContains(t, err, "has no certificate in PEM")
}

// lockedBuffer is a buffer that can be read while it is written.
type lockedBuffer struct {
	lock sync.Mutex
	text bytes.Buffer
}

// Write appends to the buffer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.text.Write(p)
}

// String returns the content.
func (b *lockedBuffer) String() string {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.text.String()
}
