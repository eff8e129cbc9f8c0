package httpx

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"

	"github.com/landfall-dev/landfall/framework/fault"
)

// Egress lists hosts that events may choose although they are refused by default: addresses that are not public, and hosts that
// would get credentials of the instance. A nil Egress allows none. It is immutable.
type Egress struct {
	networks []netip.Prefix
	hosts    map[string]bool // names and host:port in lower case
}

// ParseEgress parses CIDRs, addresses, hosts and host:port. The error is a fault.Problems with the index of each invalid entry.
func ParseEgress(allow []string) (*Egress, error) {
	e := &Egress{hosts: map[string]bool{}}
	var problems fault.Problems
	for i, entry := range allow {
		if prefix, err := netip.ParsePrefix(entry); err == nil {
			e.networks = append(e.networks, prefix.Masked())
		} else if addr, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
			e.networks = append(e.networks, netip.PrefixFrom(addr.Unmap().WithZone(""), addr.Unmap().BitLen()))
		} else if host, err := url.Parse("//" + entry); err == nil && host.Host == entry && host.Hostname() != "" && !strings.ContainsAny(entry, "*/ ") {
			e.hosts[plainHost(entry)] = true
		} else {
			problems.Add("/"+strconv.Itoa(i), "should be a network such as 10.1.0.0/16, an address, a host or host:port, but is %q", entry)
		}
	}
	return e, problems.Err()
}

// plainHost returns a host in lower case and without the dot that ends an absolute name.
func plainHost(host string) string {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		return strings.TrimSuffix(strings.ToLower(host), ".")
	}
	return net.JoinHostPort(strings.TrimSuffix(strings.ToLower(name), "."), port)
}

// allowsHost reports whether a URL's host is allowed by name or address.
func (e *Egress) allowsHost(u *url.URL) bool {
	if e == nil {
		return false
	}
	name := plainHost(u.Hostname())
	if e.hosts[name] || e.hosts[net.JoinHostPort(name, portOf(u))] {
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && e.allowsAddr(addr)
}

func (e *Egress) allowsAddr(addr netip.Addr) bool {
	if e == nil {
		return false
	}
	addr = addr.Unmap().WithZone("")
	for _, network := range e.networks {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "http":
		return "80"
	}
	return "443"
}

// EgressError is the error of a request that was not sent to a host that an event chose.
type EgressError struct {
	Host  string
	Why   string // the text after "because"
	Allow string // the entry of egress.allow that would allow it
}

func (e *EgressError) Error() string {
	return fmt.Sprintf("the request was not sent to %s, a host that the event chose, because %s: if it is meant, add %q to egress: {allow: […]} in the config", e.Host, e.Why, e.Allow)
}

// asFault returns the final error.
func (e *EgressError) asFault() *fault.Error {
	return &fault.Error{Code: fault.CodeEgress, Status: http.StatusBadRequest, Message: e.Error(), Err: e}
}

// notPublic lists networks that are not public, besides those of net/netip's predicates.
var notPublic = []struct {
	network netip.Prefix
	is      string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "an address of this network"},
	{netip.MustParsePrefix("100.64.0.0/10"), "an address of a carrier's network"},
	{netip.MustParsePrefix("192.0.0.0/24"), "a reserved address"},
	{netip.MustParsePrefix("192.0.2.0/24"), "an address for documentation"},
	{netip.MustParsePrefix("198.18.0.0/15"), "an address for benchmarks"},
	{netip.MustParsePrefix("198.51.100.0/24"), "an address for documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "an address for documentation"},
	{netip.MustParsePrefix("240.0.0.0/4"), "a reserved address"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "an address of a local translation"},
	{netip.MustParsePrefix("100::/64"), "a reserved address"},
	{netip.MustParsePrefix("2001::/23"), "a reserved address"}, // Teredo is in it
	{netip.MustParsePrefix("2001:db8::/32"), "an address for documentation"},
	{netip.MustParsePrefix("3fff::/20"), "an address for documentation"},
	{netip.MustParsePrefix("5f00::/16"), "a reserved address"},
	{netip.MustParsePrefix("fec0::/10"), "a private address"},
}

// embedding lists networks whose addresses contain an IPv4 address, with the index of its first byte.
var embedding = []struct {
	network netip.Prefix
	at      int
}{
	{netip.MustParsePrefix("::/96"), 12}, {netip.MustParsePrefix("64:ff9b::/96"), 12}, {netip.MustParsePrefix("2002::/16"), 2},
}

// whyNotPublic describes an address that is not public. It returns "" for a public one.
func whyNotPublic(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	switch {
	case !addr.IsValid():
		return "not an address"
	case addr.IsUnspecified():
		return "an unspecified address"
	case addr.IsLoopback():
		return "a loopback address"
	case addr.IsPrivate():
		return "a private address"
	case addr.IsLinkLocalUnicast(), addr.IsLinkLocalMulticast(), addr.IsInterfaceLocalMulticast():
		return "a link-local address"
	case addr.IsMulticast():
		return "a multicast address"
	}
	for _, r := range notPublic {
		if r.network.Contains(addr) {
			return r.is
		}
	}
	for _, e := range embedding {
		if bytes := addr.As16(); addr.Is6() && e.network.Contains(addr) {
			return whyNotPublic(netip.AddrFrom4([4]byte(bytes[e.at : e.at+4])))
		}
	}
	return ""
}

// checkAddr refuses an address of a request's host that is neither public nor allowed.
func (e *Egress) checkAddr(host string, addr netip.Addr) error {
	why := whyNotPublic(addr)
	if why == "" || e.allowsAddr(addr) {
		return nil
	}
	shown := addr.Unmap().WithZone("").String()
	return &EgressError{Host: host, Why: fmt.Sprintf("%s is %s", shown, why), Allow: shown}
}

// controlDial is a net.Dialer's Control. It sees the dialled address after name resolution.
func (e *Egress) controlDial(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return &EgressError{Host: address, Why: "it is not an IP address", Allow: address}
	}
	return e.checkAddr(at.Addr().String(), at.Addr())
}

// checkName refuses names of this machine, and address forms that only some resolvers and proxies accept, such as 2130706433
// and 0x7f.1.
func (e *Egress) checkName(host string) error {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	switch {
	case last == "" || last[0] >= '0' && last[0] <= '9':
		return &EgressError{Host: host, Why: "it is neither a name nor an address in its usual form", Allow: host}
	case last == "localhost" && !e.allowsAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1})):
		return &EgressError{Host: host, Why: "it is this machine", Allow: host}
	}
	return nil
}

// checkProxied checks the host of a request that goes through a proxy, which resolves the name itself.
func (e *Egress) checkProxied(ctx context.Context, host string) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		return e.checkAddr(host, addr)
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	var unknown *net.DNSError
	if errors.As(err, &unknown) && unknown.IsNotFound {
		return &EgressError{Host: host, Why: "it cannot be resolved here, so its address cannot be checked before the proxy connects to it", Allow: host}
	}
	for _, addr := range found {
		if refused := e.checkAddr(host, addr); refused != nil {
			return refused
		}
	}
	return err
}
