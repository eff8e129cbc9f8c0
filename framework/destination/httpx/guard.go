package httpx

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
)

// ConfiguredURLs are URLs that the operator wrote in a mapping, so that no event chooses their host. They are immutable.
type ConfiguredURLs struct {
	whole    map[string]bool
	prefixes []string // the part before the first template expression, which comes after the host
}

// NewConfiguredURLs returns the texts that are URLs, or templates of URLs with a constant host.
func NewConfiguredURLs(texts []string) *ConfiguredURLs {
	w := &ConfiguredURLs{whole: map[string]bool{}}
	for _, text := range texts {
		before, _, isTemplate := strings.Cut(text, "{{")
		u, err := url.Parse(before)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		case !isTemplate:
			w.whole[u.String()] = true
		case u.Path != "" || u.RawQuery != "" || u.ForceQuery:
			w.prefixes = append(w.prefixes, before)
		}
	}
	return w
}

func (w *ConfiguredURLs) hasURL(u *url.URL) bool {
	if w == nil {
		return false
	}
	text := u.String()
	if w.whole[text] {
		return true
	}
	for _, prefix := range w.prefixes {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}

type (
	configuredKey struct{}
	fromEventKey  struct{}
)

// WithConfiguredURLs returns a context for requests of an action whose mapping contains these URLs.
func WithConfiguredURLs(ctx context.Context, w *ConfiguredURLs) context.Context {
	return context.WithValue(ctx, configuredKey{}, w)
}

// FromEvent returns a context for a request whose URL comes from an event, unless it is one of the context's ConfiguredURLs. A
// chain sends it to public addresses only, and without credentials, unless its Egress allows the host.
func FromEvent(ctx context.Context) context.Context {
	return context.WithValue(ctx, fromEventKey{}, true)
}

// chosenByEvent reports whether an event chose the host of a request.
func chosenByEvent(r *http.Request) bool {
	if r.Context().Value(fromEventKey{}) == nil {
		return false
	}
	written, _ := r.Context().Value(configuredKey{}).(*ConfiguredURLs)
	return !written.hasURL(r.URL)
}

// guard is the link above the network that checks the hosts that events chose. These requests have connections of their own,
// since a connection that another request opened is not checked again.
type guard struct {
	network  *http.Transport
	egress   *Egress
	redactor *Redactor
	checked  func() *http.Transport
}

// withGuard puts a guard above a base that is the network. Other bases, such as sandboxes, are returned unchanged.
func withGuard(base http.RoundTripper, egress *Egress, redactor *Redactor) http.RoundTripper {
	network, ok := base.(*http.Transport)
	if !ok {
		return base
	}
	return &guard{network: network, egress: egress, redactor: redactor, checked: sync.OnceValue(func() *http.Transport {
		t := network.Clone()
		t.Proxy, t.DialTLSContext = nil, nil
		t.DialContext = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Control: egress.controlDial}).DialContext
		return t
	})}
}

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if !chosenByEvent(r) || g.egress.allowsHost(r.URL) {
		return g.network.RoundTrip(r)
	}
	response, err := g.sendChecked(r)
	var refused *EgressError
	if errors.As(err, &refused) {
		if refused.Host != r.URL.Hostname() { // the dialer knows the address only
			copied := *refused
			copied.Host = r.URL.Hostname()
			refused = &copied
		}
		return nil, refused.asFault()
	}
	return response, err
}

// sendChecked sends a request to a host that is not allowed by name.
func (g *guard) sendChecked(r *http.Request) (*http.Response, error) {
	host := plainHost(r.URL.Hostname())
	if err := g.egress.checkName(host); err != nil {
		return nil, err
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if err := g.egress.checkAddr(host, addr); err != nil {
			return nil, err
		}
	}
	if g.carriesSecret(r) {
		return nil, &EgressError{Host: host, Why: "the request carries credentials", Allow: host}
	}
	if g.network.Proxy != nil {
		proxy, err := g.network.Proxy(r)
		if err != nil {
			return nil, err
		}
		if proxy != nil {
			if err := g.egress.checkProxied(r.Context(), host); err != nil {
				return nil, err
			}
			return g.network.RoundTrip(r)
		}
	}
	return g.checked().RoundTrip(r)
}

// carriesSecret reports whether the URL or the headers of a request contain a secret of the instance, or a credential header.
func (g *guard) carriesSecret(r *http.Request) bool {
	if text := r.URL.String(); g.redactor.Redact(text) != text {
		return true
	}
	for name, values := range r.Header {
		switch name {
		case "Authorization", "Proxy-Authorization", "Cookie":
			return true
		}
		for _, value := range values {
			if g.redactor.Redact(value) != value {
				return true
			}
		}
	}
	return false
}
