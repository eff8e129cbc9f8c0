// Package acmetest starts Pebble, an ACME authority for tests. It connects to a port of this machine to verify a domain.
package acmetest

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/challtestsrv"
	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/testport"
)

// Authority issues certificates for domains that lead to one address.
type Authority struct {
	Directory string         // the URL for its clients
	Roots     string         // a file with the certificate of its own server
	Issuers   *x509.CertPool // verify the certificates that it issues

	t       *testing.T
	handler atomic.Pointer[http.Handler]
}

// New starts an authority that answers no request until Verify is called. It ends with the test.
func New(t *testing.T) *Authority {
	a := &Authority{t: t, Issuers: x509.NewCertPool(), Roots: filepath.Join(t.TempDir(), "roots.pem")}
	a.Fail()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*a.handler.Load()).ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	a.Directory = server.URL + wfe.DirectoryPath
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(t, os.WriteFile(a.Roots, own, 0o600))
	return a
}

// Fail makes the authority answer every request with an error.
func (a *Authority) Fail() {
	down := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusInternalServerError) }))
	a.handler.Store(&down)
}

// Verify makes the authority issue certificates, and verify domains at an address of this machine.
func (a *Authority) Verify(address string) {
	a.t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	a.t.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	_, number, err := net.SplitHostPort(address)
	require.NoError(a.t, err)
	port, err := strconv.Atoi(number)
	require.NoError(a.t, err)
	quiet, store := log.New(io.Discard, "", 0), db.NewMemoryStore()
	issuer := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {}})
	a.Issuers.AddCert(issuer.GetRootCert(0).Cert)
	front := wfe.New(quiet, store, va.New(quiet, 0, port, true, a.serveNames(), store), issuer, []string{"pebble.test"}, true, false, 0, 0)
	handler := front.Handler()
	a.handler.Store(&handler)
}

// serveNames starts a DNS server that knows this machine alone, by every name, and returns where it is.
func (a *Authority) serveNames() string {
	address := testport.Free(a.t) // it serves UDP and TCP there
	names, err := challtestsrv.New(challtestsrv.Config{DNSAddrs: []string{address}, Log: log.New(io.Discard, "", 0)})
	require.NoError(a.t, err)
	names.SetDefaultDNSIPv4("127.0.0.1")
	names.SetDefaultDNSIPv6("")
	names.Run() // starts its servers in the background
	a.t.Cleanup(names.Shutdown)
	require.Eventually(a.t, func() bool { return answersNames(address) }, time.Minute, 10*time.Millisecond)
	return address
}

// answersNames reports whether a DNS server listens at an address. A client whose domain is not found waits for a minute.
func answersNames(address string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	if _, err := resolver.LookupHost(ctx, "any.example.test"); err != nil {
		return false
	}
	conn, err := net.Dial("tcp", address)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}
