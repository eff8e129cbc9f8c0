package config

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/server/access"
)

// Server is what a config says of the server. What it does not say is zero.
type Server struct {
	Listen         string
	MaxEvent       int // bytes
	MaxBatch       int // bytes
	MaxConnections int
	// MaxConnectionsPerAddress is for one client address; MaxMemory is bytes for all requests in progress together.
	MaxConnectionsPerAddress int
	MaxMemory                int64
	Origins                  []string      // of browsers
	MaxFuture                time.Duration // how far an event\'s time may lie ahead of its receipt

	Partitions int
	Retention  time.Duration
	MaxBytes   int64
	MinFree    int64
	Linger     time.Duration
	Parallel   int
	RetryFor   time.Duration
	Lease      time.Duration
	MaxPause   time.Duration

	LetterRetention time.Duration
	LetterBytes     int64
	ParkedBytes     int64

	NATS        string // URLs; "" for the queue in the data directory
	Credentials string // a file, as the config has it
	Replicas    int

	AdminKey       string
	AdminKeyWanted bool           // the file sets admin.key, also where its value cannot be read
	AdminListen    string         // an address, unix:PATH, or AdminOnIngest; "" for the default
	TrustedProxies access.Proxies // networks whose X-Forwarded-For is believed
}

// AdminOnIngest is the AdminListen of a server whose admin API, console and metrics are on the port of the events.
const AdminOnIngest = "ingest"

func (r *reader) server(v event.Value) {
	in, out, s := v.Get("ingest"), v.Get("delivery"), &r.config.Server
	number := func(v event.Value) int { return int(v.Float()) }
	s.Listen = v.Get("listen").Str()
	s.MaxEvent, s.MaxBatch, s.MaxConnections = number(in.Get("maxEventBytes")), number(in.Get("maxBatchBytes")), number(in.Get("maxConnections"))
	s.MaxConnectionsPerAddress, s.MaxMemory = number(in.Get("maxConnectionsPerAddress")), int64(in.Get("maxMemoryBytes").Float())
	for _, o := range in.Get("origins").Items() {
		s.Origins = append(s.Origins, o.Str())
	}
	s.MaxFuture = r.durationAt(in.Get("maxFuture"), "/ingest/maxFuture", time.Second, 10*365*24*time.Hour)
	s.Partitions, s.Parallel = number(out.Get("partitions")), number(out.Get("parallel"))
	s.MaxBytes, s.MinFree = int64(out.Get("maxBytes").Float()), int64(out.Get("minFreeBytes").Float())
	s.Retention = r.duration(out, "retention", time.Minute, 10*365*24*time.Hour)
	s.Linger = r.duration(out, "linger", time.Millisecond, 30*time.Second)
	s.RetryFor = r.duration(out, "retryFor", time.Second, 30*24*time.Hour)
	s.Lease = r.duration(out, "lease", time.Second, time.Hour)
	s.MaxPause = r.duration(out, "maxPause", time.Second, 24*time.Hour)
	s.LetterRetention = r.durationAt(out.Get("letters").Get("retention"), "/delivery/letters/retention", time.Minute, 10*365*24*time.Hour)
	s.LetterBytes, s.ParkedBytes = int64(out.Get("letters").Get("maxBytes").Float()), int64(out.Get("parked").Get("maxBytes").Float())
	s.NATS = r.secret(v.Get("nats").Get("url"), "/nats/url").Str()
	s.Credentials, s.Replicas = v.Get("nats").Get("credentials").Str(), number(v.Get("nats").Get("replicas"))
	r.admin(v)
}

// admin reads who may use the admin API, the console and the metrics, and where they listen.
func (r *reader) admin(v event.Value) {
	s, key := &r.config.Server, v.Get("admin").Get("key")
	known := len(r.problems)
	s.AdminKey = strings.TrimSpace(r.secret(key, "/admin/key").Str())
	if s.AdminKeyWanted && s.AdminKey == "" && len(r.problems) == known && key.Str() != "" {
		r.problems.Add("/admin/key", "is empty once it is read: leave admin.key out if there is no key")
	}
	s.AdminListen = v.Get("admin").Get("listen").Str()
	if problem := CheckAdminListen(s.AdminListen, s.AdminKeyWanted); problem != "" {
		r.problems.Add("/admin/listen", "%s", problem)
	}
	for i, item := range v.Get("trustedProxies").Items() {
		network, err := access.ParseProxy(item.Str())
		if err != nil {
			r.problems.Add(fmt.Sprintf("/trustedProxies/%d", i), "%v", err)
			continue
		}
		s.TrustedProxies = append(s.TrustedProxies, network)
	}
}

// CheckAdminListen returns what is wrong with where the admin API, the console and the metrics are to listen, "" if nothing is.
// Without a key, only this machine may be able to reach them.
func CheckAdminListen(listen string, hasKey bool) string {
	switch path, isUnix := strings.CutPrefix(listen, "unix:"); {
	case listen == "":
		return ""
	case listen == AdminOnIngest && !hasKey:
		return "puts the console and the admin API on the port of the events, which needs admin.key: set one, or leave admin.listen out"
	case listen == AdminOnIngest:
		return ""
	case isUnix && path == "":
		return "should name the socket, as unix:/run/landfall/admin.sock"
	case isUnix:
		return ""
	}
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return "should be an address such as 127.0.0.1:8081, unix:PATH, or ingest"
	}
	if !hasKey && !IsLoopback(host) {
		return "can be reached from other machines, which needs admin.key: set one, or listen on 127.0.0.1"
	}
	return ""
}

// IsLoopback reports whether a host can be reached from this machine only.
func IsLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

// egress reads the hosts that URLs from events may lead to.
func (r *reader) egress(allow event.Value) {
	var entries []string
	for _, entry := range allow.Items() {
		entries = append(entries, entry.Str())
	}
	egress, err := httpx.ParseEgress(entries)
	r.problems.AddUnder("/egress/allow", err)
	r.config.Egress = egress
}

// duration reads a duration of the section delivery.
func (r *reader) duration(v event.Value, key string, least, most time.Duration) time.Duration {
	return r.durationAt(v.Get(key), "/delivery/"+key, least, most)
}

// durationAt reads a duration such as 90s and checks its bounds. It is 0 if there is none.
func (r *reader) durationAt(v event.Value, pointer string, least, most time.Duration) time.Duration {
	text := v.Str()
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0 // the schema has said so
	}
	if d < least || d > most {
		r.problems.Add(pointer, "should be between %s and %s but is %s", least, most, text)
	}
	return d
}
