package access

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the networks of the proxies whose X-Forwarded-For header is believed. The zero value trusts no proxy.
type Proxies []netip.Prefix

// ParseProxy reads a network such as 10.0.0.0/8, or a single address.
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
		return netip.Prefix{}, errors.New("trusts every address, so that clients could say who they are: give the networks of your proxies")
	}
	return network.Masked(), nil
}

// Client returns the address of the client that made a request: the other end of the connection, or, if that is a trusted proxy,
// the rightmost entry of X-Forwarded-For that is not one. An entry that is not an address ends the search at the proxy that
// reported it. The address is the zero Addr if the connection has none.
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

// Trusts reports whether an address is that of a trusted proxy.
func (p Proxies) Trusts(addr netip.Addr) bool {
	return addr.IsValid() && slices.ContainsFunc(p, func(network netip.Prefix) bool { return network.Contains(addr) })
}

// parseHop reads an address as proxies write them: with or without a port, quotes, and brackets.
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
