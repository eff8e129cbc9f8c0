package access

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the networks of the proxies whose X-Forwarded-For header is trusted. The zero value trusts no proxy.
type Proxies []netip.Prefix

// ParseProxy parses a network such as 10.0.0.0/8, or a single address.
func ParseProxy(text string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(text)
	if err != nil {
		addr, addrErr := netip.ParseAddr(text)
		if addrErr != nil {
			return netip.Prefix{}, errors.New("should be a network such as 10.0.0.0/8 or an address such as 10.0.0.7")
		}
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if network.Addr().Is4In6() && network.Bits() >= 96 {
		network = netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-96)
	}
	if network.Bits() == 0 {
		return netip.Prefix{}, errors.New("would trust every address, so that clients could fake theirs: give only the networks of your proxies")
	}
	return network.Masked(), nil
}

// Client returns the client address of a request: the peer of the connection or, if that is a trusted proxy, the rightmost entry of
// X-Forwarded-For that is not a trusted proxy. If an entry is not an address, the result is the proxy that reported it. If the
// connection has no address, the result is the zero Addr.
func (p Proxies) Client(r *http.Request) netip.Addr {
	client := peerAddress(r)
	if !p.Trusts(client) {
		return client
	}
	for _, line := range slices.Backward(r.Header.Values("X-Forwarded-For")) {
		for line != "" {
			var entry string
			if i := strings.LastIndexByte(line, ','); i >= 0 {
				line, entry = line[:i], line[i+1:]
			} else {
				line, entry = "", line
			}
			if entry = strings.Trim(entry, " \t"); entry == "" {
				continue
			}
			addr, ok := parseHop(entry)
			if !ok {
				return client
			}
			if client = addr; !p.Trusts(client) {
				return client
			}
		}
	}
	return client
}

// Trusts reports whether addr belongs to a trusted proxy.
func (p Proxies) Trusts(addr netip.Addr) bool {
	return addr.IsValid() && slices.ContainsFunc(p, func(network netip.Prefix) bool { return network.Contains(addr) })
}

// parseHop parses an address in the forms that proxies write: with or without a port, quotes and brackets.
func parseHop(text string) (netip.Addr, bool) {
	text = strings.Trim(text, `"`)
	if at, err := netip.ParseAddrPort(text); err == nil {
		return at.Addr().Unmap().WithZone(""), true
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		text, ok = strings.CutSuffix(inner, "]")
		if !ok {
			return netip.Addr{}, false
		}
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, false
	}
	return addr.Unmap().WithZone(""), true
}
