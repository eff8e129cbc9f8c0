package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Local reports whether a request comes from a program on this machine: over a Unix socket or from a loopback address, asked for
// by a loopback name, and without a header that a proxy adds. The name matters because a page in a browser can have its own host
// name lead to 127.0.0.1. Local is a permission only where no key is set: a proxy that adds no header looks the same.
func Local(r *http.Request) bool {
	if isForwarded(r.Header) || !loopbackName(r.Host) {
		return false
	}
	return overUnixSocket(r) || peerAddress(r).IsLoopback()
}

// isForwarded reports whether a proxy has left a trace in the header of a request.
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

// loopbackName reports whether the Host of a request is a name that only this machine has.
func loopbackName(host string) bool {
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

// overUnixSocket reports whether a request came in over a Unix socket.
func overUnixSocket(r *http.Request) bool {
	at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && at.Network() == "unix"
}

// peerAddress returns the address of the other end of a request's connection, the zero Addr if it has none. A Unix socket counts
// as 127.0.0.1.
func peerAddress(r *http.Request) netip.Addr {
	if overUnixSocket(r) {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap().WithZone("")
}

// Bearer returns the token in a request's Authorization header, "" if there is none.
func Bearer(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

// sameKey reports whether the key that was given is the one that is set. The time it takes tells nothing about either. If no key
// is set, it is false.
func sameKey(given, set string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(set))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && set != ""
}
