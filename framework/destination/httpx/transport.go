package httpx

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"
)

// TransportConfig is what may differ between base transports. Zero fields have working defaults.
type TransportConfig struct {
	MaxConnsPerHost int            // 64 by default; further requests wait for a free connection
	ConnectTimeout  time.Duration  // for TCP, and again for TLS; 10 s by default
	RootCAs         *x509.CertPool // the system's by default
}

// NewTransport is a base transport that bounds what it can: connections, the time to connect, the size of headers, TLS
// from 1.2. How long an answer may take is the chain's to say. Proxies come from the environment, as in
// http.ProxyFromEnvironment. Being a transport, it follows no redirect.
//
// Like every http.Transport it opens a new connection where a kept one turns out to be closed, and sends there what the
// server cannot have seen on the old one, or a request that is idempotent by its method.
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
