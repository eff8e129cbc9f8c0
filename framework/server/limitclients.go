package server

import (
	"cmp"
	"net"
	"net/http"
	"net/netip"

	"github.com/landfall-dev/landfall/framework/server/ingest"
)

// limitClients limits the connections of the ingest server, makes it accept paths with repeated slashes, and logs the limits of ingest. It
// returns the listener that the server must use.
func (v *server) limitClients(server *http.Server, listener net.Listener) net.Listener {
	cfg := v.config.Load()
	limits := cfg.Server
	bounds := ingest.ConnectionLimits{
		Max:        cmp.Or(limits.MaxConnections, ingest.DefaultMaxConnections),
		PerAddress: limits.MaxConnectionsPerAddress,
		Trusted:    func(addr netip.Addr) bool { return v.trustedProxies().Trusts(addr) },
	}
	connections := ingest.NewConnections(bounds)
	connections.Guard(server)
	server.Handler = ingest.CleanPath(server.Handler)
	v.Log.Info("limits of ingest", "maxMemoryBytes", v.ingestMemory(cfg),
		"maxConnections", bounds.Max, "maxConnectionsPerAddress", connections.PerAddress(),
		"maxBatchBytes", cmp.Or(limits.MaxBatch, ingest.DefaultMaxBatch), "maxEventBytes", cmp.Or(limits.MaxEvent, ingest.DefaultMaxEvent))
	return connections.Listen(listener)
}
