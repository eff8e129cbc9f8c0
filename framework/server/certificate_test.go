package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/internal/testport"
)

// newCertificate returns a certificate for 127.0.0.1 with a serial number, and its key, in PEM.
func newCertificate(t *testing.T, serial int64) (cert, key []byte) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

// port is an ingest port that responds to each request with the address of its client.
type port struct {
	*testing.T
	server   *server
	cert, ky string // files
	log      bytes.Buffer
	address  string
}

// parsePort returns the config of a port with these settings, in a directory.
func parsePort(t *testing.T, dir, settings string) *config.Config {
	cfg, problems := config.Parse(filepath.Join(dir, "landfall.yaml"), []byte(settings+"\ndestinations: [{id: a, destination: webhook, subscriptions: []}]\n"), config.Env{})
	require.Empty(t, problems)
	return cfg
}

// openPort opens an ingest port with the settings of a config.
func openPort(t *testing.T, settings string) *port {
	p := &port{T: t}
	dir := t.TempDir()
	p.cert, p.ky = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	p.write(newCertificate(t, 1))
	cfg := parsePort(t, dir, settings)
	p.server = &server{Options: Options{Log: slog.New(slog.NewTextHandler(&p.log, nil))}}
	p.server.config.Store(cfg)
	var err error
	p.server.certificates, err = openCertificates(cfg, "", p.server.Log)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p.address = listener.Addr().String()
	proxies := access.Proxies(cfg.Server.TrustedProxies)
	s := p.server.newHTTPServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, proxies.Client(r)) }))
	served := make(chan error, 1)
	limited := p.server.readProxyHeaders(p.server.limitClients(s, listener))
	go func() { served <- p.server.serveIngest(s, limited) }()
	t.Cleanup(func() {
		assert.NoError(t, s.Close())
		assert.ErrorIs(t, <-served, http.ErrServerClosed)
	})
	return p
}

// write replaces the files of the certificate and the key.
func (p *port) write(cert, key []byte) {
	require.NoError(p, os.WriteFile(p.cert, cert, 0o600))
	require.NoError(p, os.WriteFile(p.ky, key, 0o600))
}

// get connects from an address to the port or to a proxy, sends what precedes the connection, and requests the address of the client. It
// returns the response's text, protocol and certificate, or the error.
func (p *port) get(from, to, preface string, secure bool) (text, protocol string, serial int64, err error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{DisableKeepAlives: true, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, "tcp", to)
			if err == nil {
				_, err = io.WriteString(conn, preface)
			}
			return conn, err
		}}
	defer transport.CloseIdleConnections()
	client, scheme := &http.Client{Transport: transport, Timeout: patience}, "http://"
	if secure {
		scheme = "https://"
	}
	answer, err := client.Get(scheme + to)
	if err != nil {
		return "", "", 0, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if answer.TLS != nil {
		serial = answer.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	return string(body), answer.Proto, serial, err
}

const tlsFiles = "tls: {cert: cert.pem, key: key.pem}"

// TestTLS checks that the ingest port uses the certificate of the config with modern protocols, and the new one after the files change.
func TestTLS(t *testing.T) {
	p := openPort(t, tlsFiles)
	text, protocol, serial, err := p.get("127.0.0.7", p.address, "", true)
	require.NoError(t, err)
	assert.Equal(t, []any{"127.0.0.7", "HTTP/2.0", int64(1)}, []any{text, protocol, serial})
	text, _, _, err = p.get("127.0.0.7", p.address, "", false)
	require.NoError(t, err)
	assert.Contains(t, text, "HTTP request to an HTTPS server")
	_, err = tls.Dial("tcp", p.address, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11})
	assert.Error(t, err, "an old version of TLS")
	idle, err := net.Dial("tcp", p.address)
	require.NoError(t, err)
	require.NoError(t, idle.Close())

	used := func() int64 {
		p.server.certificates.refresh()
		_, _, serial, err := p.get("127.0.0.1", p.address, "", true)
		require.NoError(t, err)
		return serial
	}
	cert, key := newCertificate(t, 2)
	require.NoError(t, os.WriteFile(p.cert, cert, 0o600))
	assert.Equal(t, int64(1), used(), "the key is still the old one")
	assert.NotContains(t, p.log.String(), "not used")
	assert.Equal(t, int64(1), used())
	assert.Equal(t, int64(1), used())
	assert.Equal(t, 1, bytes.Count(p.log.Bytes(), []byte("the new TLS certificate is not used")))
	p.write(cert, key)
	for range 2 {
		assert.Equal(t, int64(2), used())
		assert.Equal(t, 1, bytes.Count(p.log.Bytes(), []byte("TLS certificate reloaded")), "it is loaded again only if it changes")
	}
	require.NoError(t, os.Remove(p.ky))
	assert.Equal(t, int64(2), used())
	assert.WithinDuration(t, time.Now().Add(time.Hour), p.server.certificates.expiry(), 30*time.Minute)
}

func TestCertificatesThatCannotBeUsed(t *testing.T) {
	_, err := openCertificate(parsePort(t, t.TempDir(), tlsFiles), slog.Default())
	assert.ErrorContains(t, err, "tls: the certificate: ")
}

// TestProxyProtocol checks whose header of the PROXY protocol counts.
func TestProxyProtocol(t *testing.T) {
	const header = "PROXY TCP4 192.0.2.9 192.0.2.1 5000 443\r\n"
	for _, settings := range []string{"", tlsFiles + "\n"} {
		p := openPort(t, settings+"proxyProtocol: true\ntrustedProxies: [127.0.0.2]")
		secure := settings != ""
		for _, c := range []struct{ from, preface, want string }{
			{"127.0.0.2", header, "192.0.2.9"},
			{"127.0.0.2", "", "127.0.0.2"}, // a health check
			{"127.0.0.2", "PROXY UNKNOWN\r\n", "127.0.0.2"},
			{"127.0.0.3", "", "127.0.0.3"},
		} {
			text, _, _, err := p.get(c.from, p.address, c.preface, secure)
			require.NoError(t, err, c)
			assert.Equal(t, c.want, text, c)
		}
		text, _, _, err := p.get("127.0.0.3", p.address, header, secure)
		assert.True(t, err != nil || text == "400 Bad Request", "a client pretends to be another one: %s", text)
		_, _, _, err = p.get("127.0.0.2", p.address, "PROXY TCP4 nonsense\r\n", secure)
		assert.Error(t, err)
	}
	p := openPort(t, "trustedProxies: [127.0.0.2]")
	text, _, _, err := p.get("127.0.0.2", p.address, header, false)
	assert.True(t, err != nil || text == "400 Bad Request", "without proxyProtocol: %s", text)
}

// TestProxyProtocolOfHAProxy checks that the clients of a real HAProxy, which passes TLS on as it is, have their own addresses, and that
// its health checks work.
func TestProxyProtocolOfHAProxy(t *testing.T) {
	if _, err := exec.LookPath("haproxy"); err != nil {
		t.Skip("haproxy is not installed: apt-get install haproxy")
	}
	for _, version := range []string{"send-proxy", "send-proxy-v2"} {
		p := openPort(t, tlsFiles+"\nproxyProtocol: true\ntrustedProxies: [127.0.0.1]")
		proxy := testport.Free(t)
		file := filepath.Join(t.TempDir(), "haproxy.cfg")
		require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `defaults
	mode tcp
	timeout connect 30s
	timeout client 30s
	timeout server 30s
	timeout check 30s
frontend f
	bind %s
	default_backend b
backend b
	option httpchk GET /readyz
	server s %s check check-ssl verify none inter 100ms %s
`, proxy, p.address, version), 0o600))
		cmd := exec.Command("haproxy", "-db", "-f", file)
		require.NoError(t, cmd.Start())
		var text, protocol string
		require.Eventually(t, func() bool {
			var err error
			text, protocol, _, err = p.get("127.0.0.9", proxy, "", true)
			return err == nil
		}, patience, 20*time.Millisecond)
		time.Sleep(350 * time.Millisecond) // some health checks
		again := ""
		passed := assert.Eventually(t, func() bool { // a check that is late fails, so the port may be down for a moment
			var err error
			again, _, _, err = p.get("127.0.0.10", proxy, "", true)
			return err == nil
		}, patience, 20*time.Millisecond)
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
		require.True(t, passed)
		assert.Equal(t, []string{"127.0.0.9", "HTTP/2.0", "127.0.0.10"}, []string{text, protocol, again}, version)
	}
}

// TestConnectionLimitWithTLS checks that the limit of an address counts connections inside TLS and the PROXY protocol.
func TestConnectionLimitWithTLS(t *testing.T) {
	p := openPort(t, tlsFiles+"\nproxyProtocol: true\ntrustedProxies: [127.0.0.2]\ningest: {maxConnections: 1}")
	first, err := tls.Dial("tcp", p.address, &tls.Config{InsecureSkipVerify: true})
	require.NoError(t, err)
	defer first.Close()
	_, err = io.WriteString(first, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	require.NoError(t, err)
	_, err = first.Read(make([]byte, 1000))
	require.NoError(t, err)
	require.Eventually(t, func() bool { // the first connection becomes idle, and gives way to others
		_, _, _, err = p.get("127.0.0.2", p.address, "PROXY TCP4 192.0.2.9 192.0.2.1 5000 443\r\n", true)
		require.NoError(t, err)
		require.NoError(t, first.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
		_, err = first.Read(make([]byte, 1))
		var timeout net.Error
		return !errors.As(err, &timeout) || !timeout.Timeout()
	}, patience, 10*time.Millisecond)
}

// boundTo is a listener of which only the address is known.
type boundTo struct {
	net.Listener
	address net.TCPAddr
}

func (l boundTo) Addr() net.Addr { return &l.address }

// TestIngestURL checks the URL of the tracking API that the console shows, by the address of the listener and the host of the console.
func TestIngestURL(t *testing.T) {
	for _, c := range []struct {
		address, public, host, want string
		tls                         bool
	}{
		{"127.0.0.1", "", "console.example:8081", "http://127.0.0.1:8080", false},
		{"127.0.0.1", "", "console.example:8081", "https://127.0.0.1:8080", true},
		{"0.0.0.0", "", "console.example:8081", "http://console.example:8080", false},
		{"0.0.0.0", "", "console.example", "https://console.example:8080", true},
		{"::", "", "[2001:db8::1]:8081", "https://[2001:db8::1]:8080", true},
		{"0.0.0.0", "", "", "http://127.0.0.1:8080", false},
		{"0.0.0.0", "https://events.example", "console.example:8081", "https://events.example", false},
	} {
		cfg := &config.Config{}
		cfg.Server.PublicURL = c.public
		v := &server{}
		v.config.Store(cfg)
		if c.tls {
			v.certificates = &certificate{}
		}
		at := &listeners{ingest: boundTo{address: net.TCPAddr{IP: net.ParseIP(c.address), Port: 8080}}}
		assert.Equal(t, c.want, v.ingestURL(&http.Request{Host: c.host}, at), c)
	}
}
