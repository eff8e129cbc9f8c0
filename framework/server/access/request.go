package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Local reports whether a request comes from a program on this machine: over a Unix socket or from a loopback address, to a loopback host
// name, and without headers that a proxy adds. The host name matters because a page in a browser can resolve its own host name to
// 127.0.0.1. Local must not be used as a permission if a key is set: a proxy that adds no header looks the same.
func Local(r *http.Request) bool {
	if isForwarded(r.Header) || !isLoopbackName(r.Host) {
		return false
	}
	return peerAddress(r).IsLoopback()
}

// isForwarded reports whether the header shows that a proxy forwarded the request.
func isForwarded(h http.Header) bool {
	for name := range h {
		if strings.HasPrefix(name, "X-Forwarded") {
			return true
		}
	}
	for _, name := range []string{"Forwarded", "Via", "X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip"} {
		if _, ok := h[name]; ok {
			return true
		}
	}
	return false
}

// isLoopbackName reports whether the Host of a request is localhost or a loopback address.
func isLoopbackName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip.IsLoopback() || ip.IsUnspecified()
}

// overUnixSocket reports whether a request arrived over a Unix socket.
func overUnixSocket(r *http.Request) bool {
	at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && at.Network() == "unix"
}

// peerAddress returns the peer address of the connection; the zero Addr if it has none. A Unix socket counts as 127.0.0.1.
func peerAddress(r *http.Request) netip.Addr {
	if overUnixSocket(r) {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	return peer.Addr().Unmap().WithZone("")
}

// Bearer returns the bearer token of a request; "" if it has none.
func Bearer(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

// sameKey reports in constant time whether a key equals the expected one. It is false if no key is expected.
func sameKey(given, expected string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(expected))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && expected != ""
}
