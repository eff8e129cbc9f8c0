package httpx

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"
)

// TransportConfig configures a base transport. Zero fields have defaults.
type TransportConfig struct {
	MaxConnsPerHost int            // 64 by default; further requests wait for a connection
	ConnectTimeout  time.Duration  // for TCP, and again for TLS; 10 s by default
	RootCAs         *x509.CertPool // the system's by default
}

// NewTransport returns a base transport with limits on connections, connect time and header size, and TLS 1.2 or later. The
// chain limits the time of a response. Proxies come from the environment, as in http.ProxyFromEnvironment. It follows no
// redirect.
//
// Like every http.Transport, it opens a new connection if an idle one turns out to be closed, and repeats the request there if
// the server cannot have seen it or the method is idempotent.
func NewTransport(c TransportConfig) *http.Transport {
	conns := positiveOr(c.MaxConnsPerHost, 64)
	connect := positiveOr(c.ConnectTimeout, 10*time.Second)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: connect, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.RootCAs},
		TLSHandshakeTimeout:    connect,
		ForceAttemptHTTP2:      true,
		MaxConnsPerHost:        conns,
		MaxIdleConnsPerHost:    conns,
		MaxIdleConns:           4 * conns,
		IdleConnTimeout:        90 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 256 << 10,
	}
}
