package main

import (
	"cmp"
	"net"
	"net/http"
	"net/netip"

	"github.com/landfall-dev/landfall/framework/server/ingest"
)

// limitClients bounds the connections of the ingest server, makes it take paths with repeated slashes, and logs the bounds of
// ingest. The server then serves the listener that it returns.
func (v *serving) limitClients(server *http.Server, listener net.Listener) net.Listener {
	limits := v.config.Load().Server
	bounds := ingest.ConnectionLimits{
		Max:        cmp.Or(limits.MaxConnections, ingest.DefaultMaxConnections),
		PerAddress: limits.MaxConnectionsPerAddress,
		Trusted:    func(addr netip.Addr) bool { return v.proxies().Trusts(addr) },
	}
	connections := ingest.NewConnections(bounds)
	connections.Guard(server)
	server.Handler = ingest.CleanPath(server.Handler)
	v.log.Info("bounds of ingest", "maxMemoryBytes", cmp.Or(limits.MaxMemory, ingest.DefaultMaxMemory),
		"maxConnections", bounds.Max, "maxConnectionsPerAddress", connections.PerAddress(),
		"maxBatchBytes", cmp.Or(limits.MaxBatch, ingest.DefaultMaxBatch), "maxEventBytes", cmp.Or(limits.MaxEvent, ingest.DefaultMaxEvent))
	return connections.Listen(listener)
}
