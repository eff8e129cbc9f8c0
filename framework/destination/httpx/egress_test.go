package httpx

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/fault"
)

func TestAddressesThatAreNotPublic(t *testing.T) {
	for _, text := range []string{
		"127.0.0.1", "127.1.2.3", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1",
		"100.127.255.255", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.0.8", "198.18.0.1", "::", "::1", "fe80::1", "fe80::1%eth0",
		"fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1",
		"64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1", "2001::1", "100::1",
	} {
		assert.NotEmpty(t, whyNotPublic(netip.MustParseAddr(text)), text)
	}
	for _, text := range []string{"1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.255.255", "100.128.0.1", "169.253.0.1", "::ffff:8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::1", "2a00:1450::1"} {
		assert.Empty(t, whyNotPublic(netip.MustParseAddr(text)), text)
	}
}

func TestParseEgress(t *testing.T) {
	e, err := ParseEgress([]string{"10.1.0.0/16", "::1", "Hooks.Internal", "db.internal:8443", "127.0.0.2"})
	require.NoError(t, err)
	for text, want := range map[string]bool{
		"http://10.1.2.3/x": true, "http://10.2.0.1": false, "http://[::1]:99": true, "https://hooks.internal.:444/": true, "https://hooks.internal.evil.example": false,
		"https://db.internal:8443": true, "https://db.internal": false, "http://127.0.0.2": true, "http://127.0.0.1": false, "http://[::ffff:10.1.0.1]/": true,
	} {
		u, err := url.Parse(text)
		require.NoError(t, err)
		assert.Equal(t, want, e.allowsHost(u), text)
	}
	_, err = ParseEgress([]string{"ok.example", "https://x.example/", "*.example", "", "10.0.0.0/99"})
	var problems fault.Problems
	require.ErrorAs(t, err, &problems)
	assert.Len(t, problems, 4)
	assert.Equal(t, "/1", problems[0].Pointer)
}

// counted is a server on the loopback interface that counts requests.
func counted(t *testing.T) (*httptest.Server, *atomic.Int64) {
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		_, _ = io.WriteString(w, r.Host)
	}))
	t.Cleanup(server.Close)
	return server, &n
}

func get(t *testing.T, chain http.RoundTripper, ctx context.Context, to string, headers ...string) error {
	r, err := http.NewRequestWithContext(ctx, "GET", to, nil)
	require.NoError(t, err)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	_, err = chain.RoundTrip(r)
	return err
}

func assertDenied(t *testing.T, err error, what string) {
	t.Helper()
	var known *fault.Error
	if assert.ErrorAs(t, err, &known, what) {
		assert.Equal(t, fault.CodeEgress, known.Code, what)
		assert.False(t, known.Retry, what)
		assert.Contains(t, known.Message, "egress: {allow:", what)
	}
}

func newChain(t *testing.T, allow ...string) http.RoundTripper {
	egress, err := ParseEgress(allow)
	require.NoError(t, err)
	base := NewTransport(TransportConfig{})
	t.Cleanup(base.CloseIdleConnections)
	return New(Config{Base: base, Egress: egress, Redactor: NewRedactor(nil, []string{"very-secret"})})
}

// TestURLsOfEventsDoNotReachThisMachine checks that a host in any notation leads to public addresses only.
func TestURLsOfEventsDoNotReachThisMachine(t *testing.T) {
	server, n := counted(t)
	port := server.URL[strings.LastIndexByte(server.URL, ':'):]
	chain := newChain(t)
	event := FromEvent(t.Context())
	for _, host := range []string{"127.0.0.1", "localhost", "localhost.", "LOCALHOST", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "169.254.169.254", "127.0.0.2", "[fe80::1%25lo]",
		"x.localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0x7f.1", "127.0.0.1."} {
		assertDenied(t, get(t, chain, event, "http://"+host+port+"/"), host)
	}
	assert.Zero(t, n.Load())
	assert.NoError(t, get(t, chain, t.Context(), server.URL), "the operator's own")
	assertDenied(t, get(t, chain, event, server.URL), "a connection that the operator's request has left open")
	assert.Equal(t, int64(1), n.Load())
	for _, allow := range []string{"127.0.0.0/8", "127.0.0.1", "127.0.0.1" + port} {
		assert.NoError(t, get(t, newChain(t, allow), event, server.URL+"/"), allow)
	}
	assert.NoError(t, get(t, newChain(t, "localhost"), event, "http://localhost"+port))
	assert.NoError(t, get(t, newChain(t, "127.0.0.0/8", "::1"), event, "http://localhost"+port), "by its address")
	assertDenied(t, get(t, newChain(t, "127.0.0.1:1", "localhost"), event, server.URL), "another port, another name")
}

func TestURLsOfTheMappingAreTrusted(t *testing.T) {
	server, _ := counted(t)
	port := server.URL[strings.LastIndexByte(server.URL, ':'):]
	chain := newChain(t)
	written := WithConfiguredURLs(FromEvent(t.Context()), NewConfiguredURLs([]string{server.URL + "/in", server.URL + "/of/{{userId}}", "http://127.0.0.1{{port}}", "{{url}}", "http://{{host}}/in", "/path", "text"}))
	assert.NoError(t, get(t, chain, written, server.URL+"/in", "Authorization: Bearer very-secret"))
	assert.NoError(t, get(t, chain, written, server.URL+"/of/u1"))
	for _, to := range []string{server.URL + "/", server.URL + "/in/../admin", server.URL + "/in?x", "http://127.0.0.2" + port + "/in"} {
		assertDenied(t, get(t, chain, written, to), to)
	}
}

// TestCredentialsDoNotFollowEvents checks that credentials are not sent to a host that an event chose, unless the config allows it.
func TestCredentialsDoNotFollowEvents(t *testing.T) {
	server, n := counted(t)
	event := FromEvent(t.Context())
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	for _, header := range []string{"Authorization: Bearer x", "X-Key: very-secret", "Cookie: a=b"} {
		err := get(t, newChain(t), event, "https://hooks.example.com/in", header)
		assertDenied(t, err, header)
		assert.Contains(t, err.Error(), "credentials")
		assert.NotContains(t, err.Error(), "very-secret")
		assert.NoError(t, get(t, newChain(t, u.Hostname()), event, server.URL, header))
	}
	assertDenied(t, get(t, newChain(t), event, "https://hooks.example.com/?key=very-secret"), "in the URL")
	assert.Equal(t, int64(3), n.Load())
	authorized := New(Config{Authorize: func(_ context.Context, r *http.Request) error { r.Header.Set("Authorization", "Bearer x"); return nil }})
	assertDenied(t, get(t, authorized, event, "https://hooks.example.com/in"), "added by the chain")
}

// TestGuardAppliesBehindProxies checks that names are resolved and checked before a request goes to a proxy, which resolves them
// itself.
func TestGuardAppliesBehindProxies(t *testing.T) {
	proxy, n := counted(t)
	at, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	base := NewTransport(TransportConfig{})
	base.Proxy = http.ProxyURL(at)
	t.Cleanup(base.CloseIdleConnections)
	chain := New(Config{Base: base})
	event := FromEvent(t.Context())
	for _, host := range []string{"127.0.0.1", "localhost", "169.254.169.254", "10.0.0.1", "[fd00::1]", "2130706433", "0x7f.0x1", "nothing.invalid"} {
		assert.Error(t, get(t, chain, event, "http://"+host+"/"), host)
	}
	assert.Zero(t, n.Load())
	assert.NoError(t, get(t, chain, event, "http://1.1.1.1/"), "the proxy itself may be local")
	assert.Equal(t, int64(1), n.Load())
}

func TestOtherTransportsAreNotGuarded(t *testing.T) {
	server, n := counted(t)
	to, err := url.Parse(server.URL)
	require.NoError(t, err)
	chain := New(Config{Base: Redirect(http.DefaultTransport, to)})
	assert.NoError(t, get(t, chain, FromEvent(t.Context()), "http://127.0.0.1:1/", "Authorization: Bearer x"))
	assert.Equal(t, int64(1), n.Load())
	assert.Equal(t, fault.CodeConnection, fault.As(get(t, newChain(t), t.Context(), "http://127.0.0.1:1/")).Code)
}

// TestAllowedHostsAndPorts checks entries of egress that name a port: the one of the URL, or the usual one of its scheme.
func TestAllowedHostsAndPorts(t *testing.T) {
	server, hits := counted(t)
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, server.Listener.Addr().String())
	}}
	t.Cleanup(transport.CloseIdleConnections)
	for _, c := range []struct {
		allow, to string
		allowed   bool
	}{
		{"inner.invalid", "http://inner.invalid/", true}, {"INNER.invalid", "http://inner.invalid.:8080/", true}, {"inner.invalid:80", "http://inner.invalid/", true},
		{"inner.invalid:8080", "http://inner.invalid:8080/", true}, {"inner.invalid:8080", "http://inner.invalid/", false}, {"inner.invalid:443", "http://inner.invalid/", false}, {"other.invalid", "http://inner.invalid/", false},
	} {
		egress, err := ParseEgress([]string{c.allow})
		require.NoError(t, err)
		before := hits.Load()
		err = get(t, New(Config{Base: transport, Egress: egress}), FromEvent(t.Context()), c.to)
		assert.Equal(t, c.allowed, err == nil, "%+v: %v", c, err)
		assert.Equal(t, c.allowed, hits.Load() > before, "%+v", c)
	}
}
