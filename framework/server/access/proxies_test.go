package access

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func trusting(t *testing.T, networks ...string) Proxies {
	var list Proxies
	for _, text := range networks {
		network, err := ParseProxy(text)
		require.NoError(t, err, text)
		list = append(list, network)
	}
	return list
}

func TestParseProxy(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.0/8": "10.0.0.0/8", "10.1.2.3/8": "10.0.0.0/8", "10.0.0.7": "10.0.0.7/32", "::1": "::1/128", "2001:db8::/32": "2001:db8::/32",
		"::ffff:10.0.0.0/104": "10.0.0.0/8", "::ffff:0.0.0.0/95": "::fffe:0:0/95", "::ffff:10.0.0.7": "10.0.0.7/32",
		"0.0.0.0/0": "", "::/0": "", "::ffff:0.0.0.0/96": "", "10.0.0.0/33": "", "proxy.example": "", "": "", "10.0.0.0/8 ": "",
	} {
		network, err := ParseProxy(text)
		if want == "" {
			assert.Error(t, err, text)
			continue
		}
		require.NoError(t, err, text)
		assert.Equal(t, want, network.String(), text)
	}
}

func TestClient(t *testing.T) {
	trusted := trusting(t, "127.0.0.0/8", "10.0.0.0/8", "::1", "2001:db8:1::/48")
	for name, c := range map[string]struct {
		peer    string
		headers []string
		want    string
	}{
		"no proxy":                               {"192.0.2.1:5", nil, "192.0.2.1"},
		"an untrusted peer cannot name a client": {"192.0.2.1:5", []string{"198.51.100.9"}, "192.0.2.1"},
		"a trusted proxy names its client":       {"10.0.0.7:5", []string{"198.51.100.9"}, "198.51.100.9"},
		"a proxy that names no client":           {"10.0.0.7:5", nil, "10.0.0.7"},
		"an empty header":                        {"10.0.0.7:5", []string{""}, "10.0.0.7"},
		"what the client wrote itself":           {"10.0.0.7:5", []string{"127.0.0.1, 203.0.113.66, 198.51.100.9"}, "198.51.100.9"},
		"a chain of trusted proxies":             {"127.0.0.1:5", []string{"203.0.113.66, 198.51.100.9, 10.0.0.1, 10.0.0.2"}, "198.51.100.9"},
		"only trusted addresses: the farthest":   {"127.0.0.1:5", []string{"10.0.0.1, 10.0.0.2"}, "10.0.0.1"},
		"several headers are one list":           {"10.0.0.7:5", []string{"203.0.113.66", "198.51.100.9", "10.0.0.1"}, "198.51.100.9"},
		"spaces, tabs and empty entries":         {"10.0.0.7:5", []string{" ,\t198.51.100.9 ,, ", ","}, "198.51.100.9"},
		"a port":                                 {"10.0.0.7:5", []string{"198.51.100.9:4711"}, "198.51.100.9"},
		"IPv6":                                   {"[::1]:5", []string{"2001:db8:2::9"}, "2001:db8:2::9"},
		"IPv6 in brackets":                       {"[::1]:5", []string{"[2001:db8:2::9]"}, "2001:db8:2::9"},
		"IPv6 with a port":                       {"[::1]:5", []string{"[2001:db8:2::9]:4711"}, "2001:db8:2::9"},
		"IPv6 in quotes":                         {"[::1]:5", []string{`"[2001:db8:2::9]:4711"`}, "2001:db8:2::9"},
		"IPv6 of a trusted network":              {"[2001:db8:1::5]:5", []string{"198.51.100.9, 2001:db8:1::7"}, "198.51.100.9"},
		"IPv4 as IPv6":                           {"[::ffff:10.0.0.7]:5", []string{"::ffff:198.51.100.9"}, "198.51.100.9"},
		"a zone":                                 {"[fe80::1%eth0]:5", nil, "fe80::1"},
		"garbage: who reported it":               {"10.0.0.7:5", []string{"198.51.100.9, unknown"}, "10.0.0.7"},
		"garbage behind a trusted proxy":         {"10.0.0.7:5", []string{"198.51.100.9, _hidden, 10.0.0.1"}, "10.0.0.1"},
		"garbage left of the client":             {"10.0.0.7:5", []string{"<script>, 198.51.100.9"}, "198.51.100.9"},
		"an open bracket":                        {"10.0.0.7:5", []string{"[2001:db8::9"}, "10.0.0.7"},
		"a peer without an address":              {"@", []string{"198.51.100.9"}, "invalid IP"},
		"a long list":                            {"10.0.0.7:5", []string{strings.Repeat("203.0.113.66,", 5000) + "198.51.100.9"}, "198.51.100.9"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = c.peer
			r.Header["X-Forwarded-For"] = c.headers
			assert.Equal(t, c.want, trusted.Client(r).String())
			r.Header["X-Forwarded-For"] = []string{"203.0.113.66"}
			assert.Equal(t, peerAddress(r), Proxies(nil).Client(r), "without trusted proxies the header means nothing")
		})
	}
}

// A request over a Unix socket counts as one from 127.0.0.1.
func TestClientOverAUnixSocket(t *testing.T) {
	got := make(chan [4]string, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		local := "remote"
		if Local(r) {
			local = "local"
		}
		from := (&Guard{config: Config{Proxies: func() Proxies { return trusting(t, "127.0.0.1") }}}).LocalActor(r).From
		got <- [4]string{Proxies(nil).Client(r).String(), trusting(t, "127.0.0.1").Client(r).String(), local, from}
	}))
	path := t.TempDir() + "/s"
	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	defer server.Close()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}}
	for forwarded, want := range map[string][4]string{
		"":             {"127.0.0.1", "127.0.0.1", "local", "unix socket"},
		"198.51.100.9": {"127.0.0.1", "198.51.100.9", "remote", "198.51.100.9"},
	} {
		r, err := http.NewRequest("GET", "http://localhost/", nil)
		require.NoError(t, err)
		if forwarded != "" {
			r.Header.Set("X-Forwarded-For", forwarded)
		}
		answer, err := client.Do(r)
		require.NoError(t, err)
		_ = answer.Body.Close()
		assert.Equal(t, want, <-got)
	}
}

func FuzzClient(f *testing.F) {
	f.Add("198.51.100.9, 10.0.0.1", "[::1]:80")
	f.Add(`"[::1]:5",,unknown`, "1.2.3.4:5")
	trusted := Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	f.Fuzz(func(t *testing.T, header, peer string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = peer
		r.Header["X-Forwarded-For"] = []string{header}
		client := trusted.Client(r)
		if !trusted.Trusts(peerAddress(r)) && client != peerAddress(r) {
			t.Fatalf("an untrusted peer %q names the client %s", peer, client)
		}
	})
}
