package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/server/access"
)

// Server holds the config's settings of the server. Settings that the config does not have are zero.
type Server struct {
	Listen         string
	MemoryBytes    int64 // of the process; 0 for the limit of the container or the machine
	MaxEvent       int   // bytes
	MaxBatch       int   // bytes
	MaxConnections int
	// MaxConnectionsPerAddress is a limit for one client address. MaxMemory is the limit in bytes for all requests in progress.
	MaxConnectionsPerAddress int
	MaxMemory                int64
	Origins                  []string      // the origins from which browsers may send events
	MaxFuture                time.Duration // how far an event's time may be ahead of its receipt
	PublicURL                string        // where browsers reach the server, without a trailing slash; "" if the config does not say
	AnalyticsJS              string        // the directory of analytics.js, relative to the config; "" for none

	Partitions int
	Retention  time.Duration
	MaxBytes   int64
	MinFree    int64
	Linger     time.Duration
	Parallel   int
	RetryFor   time.Duration
	Lease      time.Duration
	MaxPause   time.Duration

	MaxDeliveryMemory int64 // bytes of the events of all instances in memory

	DeadLetterRetention time.Duration
	DeadLetterBytes     int64
	ParkedBytes         int64

	HistoryRetention time.Duration // of verdicts, rejected events and actions of operators
	HistoryBytes     int64         // of each of the two kinds of verdicts
	LedgerRetention  time.Duration // of the ledgers' history of members; 0 if the config does not limit it

	ErasureRetention time.Duration // of the receipts of erasures

	NATS        string // URLs; "" for the queue in the data directory
	Credentials string // a file, relative to the config
	Replicas    int

	AdminKey       string
	HasAdminKey    bool           // the file sets admin.key, even if its value cannot be read
	AdminListen    string         // an address, unix:PATH, or AdminOnIngest; "" for the default
	TrustedProxies access.Proxies // networks whose X-Forwarded-For is trusted

	TLSCert, TLSKey string // files of the certificate of the ingest port, relative to the config; "" without TLS
	ACME            ACME   // requests the certificate instead
	ProxyProtocol   bool   // trusted proxies send the header of the PROXY protocol to the ingest port
}

// ACME says from which authority the certificates of the ingest port are requested.
type ACME struct {
	Domains   []string // none without ACME
	Email     string
	Directory string // the URL of the authority; "" for Let's Encrypt
	Roots     string // a file with the certificates that the authority's own one is verified with; "" for those of the system
}

// HasTLS reports whether the ingest port uses TLS.
func (s *Server) HasTLS() bool { return s.TLSCert != "" || len(s.ACME.Domains) > 0 }

// AdminOnIngest is the AdminListen of a server whose admin API, console and metrics are on the port of the events.
const AdminOnIngest = "ingest"

func (r *reader) readServer(v event.Value) {
	in, out, s := v.Get("ingest"), v.Get("delivery"), &r.config.Server
	number := func(v event.Value) int { return int(v.Float()) }
	if s.Listen = v.Get("listen").Str(); s.Listen != "" && !strings.HasPrefix(s.Listen, "unix:") && !isAddress(s.Listen) {
		r.problems.Add("/listen", "should be an address such as 127.0.0.1:8080, or unix:PATH, but is %q", s.Listen)
	}
	s.MemoryBytes = int64(v.Get("memoryBytes").Float())
	s.MaxEvent, s.MaxBatch, s.MaxConnections = number(in.Get("maxEventBytes")), number(in.Get("maxBatchBytes")), number(in.Get("maxConnections"))
	s.MaxConnectionsPerAddress, s.MaxMemory = number(in.Get("maxConnectionsPerAddress")), int64(in.Get("maxMemoryBytes").Float())
	for _, o := range in.Get("origins").Items() {
		s.Origins = append(s.Origins, o.Str())
	}
	s.MaxFuture = r.readDurationAt(in.Get("maxFuture"), "/ingest/maxFuture", time.Second, 10*365*24*time.Hour)
	s.PublicURL, s.AnalyticsJS = r.readPublicURL(in.Get("publicURL").Str()), in.Get("analyticsJS").Str()
	s.Partitions, s.Parallel = number(out.Get("partitions")), number(out.Get("parallel"))
	s.MaxBytes, s.MinFree = int64(out.Get("maxBytes").Float()), int64(out.Get("minFreeBytes").Float())
	s.MaxDeliveryMemory = int64(out.Get("maxMemoryBytes").Float())
	s.Retention = r.readDuration(out, "retention", time.Minute, 10*365*24*time.Hour)
	s.Linger = r.readDuration(out, "linger", time.Millisecond, 30*time.Second)
	s.RetryFor = r.readDuration(out, "retryFor", time.Second, 30*24*time.Hour)
	s.Lease = r.readDuration(out, "lease", time.Second, time.Hour)
	s.MaxPause = r.readDuration(out, "maxPause", time.Second, 24*time.Hour)
	s.DeadLetterRetention = r.readDurationAt(out.Get("letters").Get("retention"), "/delivery/letters/retention", time.Minute, 10*365*24*time.Hour)
	s.DeadLetterBytes, s.ParkedBytes = int64(out.Get("letters").Get("maxBytes").Float()), int64(out.Get("parked").Get("maxBytes").Float())
	s.HistoryRetention = r.readDurationAt(out.Get("history").Get("retention"), "/delivery/history/retention", time.Minute, 10*365*24*time.Hour)
	s.LedgerRetention = r.readDurationAt(v.Get("state").Get("historyRetention"), "/state/historyRetention", time.Minute, 10*365*24*time.Hour)
	s.ErasureRetention = r.readDurationAt(v.Get("state").Get("erasureRetention"), "/state/erasureRetention", time.Minute, 100*365*24*time.Hour)
	s.HistoryBytes = int64(out.Get("history").Get("maxBytes").Float())
	s.NATS = r.resolveFilled(v.Get("nats").Get("url"), "/nats/url", "set a URL, or leave nats out for a log on this machine")
	if problem := checkNATSURL(s.NATS); problem != "" && !r.hasProblem("/nats/url") {
		r.problems.Add("/nats/url", "%s", problem)
	}
	s.Credentials, s.Replicas = v.Get("nats").Get("credentials").Str(), number(v.Get("nats").Get("replicas"))
	r.readTLS(v.Get("tls"))
	s.ProxyProtocol, _ = v.Get("proxyProtocol").Bool()
	r.readAdmin(v)
}

// readTLS reads where the certificates of the ingest port come from.
func (r *reader) readTLS(v event.Value) {
	s := &r.config.Server
	s.TLSCert, s.TLSKey, s.ACME = v.Get("cert").Str(), v.Get("key").Str(), r.readACME(v.Get("acme"))
	hasFiles := s.TLSCert != "" || s.TLSKey != ""
	switch {
	case !v.Exists():
	case v.Get("acme").Exists() == hasFiles:
		r.problems.Add("/tls", "should have either cert and key, or acme")
	case hasFiles && s.TLSKey == "":
		r.problems.Add("/tls", `should have the key "key"`)
	case hasFiles && s.TLSCert == "":
		r.problems.Add("/tls", `should have the key "cert"`)
	}
}

// readACME reads from which authority certificates are requested.
func (r *reader) readACME(v event.Value) ACME {
	a := ACME{Email: v.Get("email").Str(), Directory: v.Get("directory").Str(), Roots: v.Get("roots").Str()}
	for i, d := range v.Get("domains").Items() {
		if !isDomain(d.Str()) {
			r.problems.Add(fmt.Sprintf("/tls/acme/domains/%d", i), "should be a domain such as events.example.com, without a wildcard, but is %q", d.Str())
		}
		a.Domains = append(a.Domains, d.Str())
	}
	if a.Directory != "" && !strings.HasPrefix(a.Directory, "https://") {
		r.problems.Add("/tls/acme/directory", "should be the https URL of an authority's directory")
	}
	return a
}

// isDomain reports whether a text is a domain with a dot: letters, digits and hyphens between dots.
func isDomain(text string) bool {
	labels := strings.Split(text, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" || strings.Trim(label, "-") != label {
			return false
		}
	}
	return len(labels) > 1 && len(text) <= 253
}

// readPublicURL checks the URL at which browsers reach the server. It returns the URL without a trailing slash.
func (r *reader) readPublicURL(text string) string {
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		r.problems.Add("/ingest/publicURL", "should be the URL at which browsers reach this server, such as https://events.example.com, without a user, a query and a fragment")
		return ""
	}
	return strings.TrimRight(u.String(), "/")
}

// readAdmin reads who may use the admin API, the console and the metrics, and where they listen.
func (r *reader) readAdmin(v event.Value) {
	s, key := &r.config.Server, v.Get("admin").Get("key")
	s.AdminKey = strings.TrimSpace(r.resolveFilled(key, "/admin/key", "set a key, or leave admin.key out if there is none"))
	s.AdminListen = v.Get("admin").Get("listen").Str()
	if problem := CheckAdminListen(s.AdminListen, s.HasAdminKey); problem != "" {
		r.problems.Add("/admin/listen", "%s", problem)
	} else if s.AdminListen == AdminOnIngest && s.HasTLS() {
		r.problems.Add("/admin/listen", NoSharedTLS)
	}
	for i, item := range v.Get("trustedProxies").Items() {
		network, err := access.ParseProxy(item.Str())
		if err != nil {
			r.problems.Add(fmt.Sprintf("/trustedProxies/%d", i), "%v", err)
			continue
		}
		s.TrustedProxies = append(s.TrustedProxies, network)
	}
	if s.ProxyProtocol && len(s.TrustedProxies) == 0 {
		r.problems.Add("/proxyProtocol", "requires trustedProxies, the networks of the proxies that send the header")
	}
}

// NoSharedTLS says why AdminOnIngest cannot be combined with a certificate.
const NoSharedTLS = "cannot be combined with tls, since local commands do not know the certificate: leave it out, and reach the console through an SSH tunnel"

// CheckAdminListen returns what is wrong with the address of the admin API, the console and the metrics, or "". Without a key, the
// address must be reachable from this machine only.
func CheckAdminListen(listen string, hasKey bool) string {
	switch path, isUnix := strings.CutPrefix(listen, "unix:"); {
	case listen == "":
		return ""
	case listen == AdminOnIngest && !hasKey:
		return "puts the console and the admin API on the port that accepts events, which requires admin.key: set one, or leave admin.listen out"
	case listen == AdminOnIngest:
		return ""
	case isUnix && path == "":
		return "should name the socket, as unix:/run/landfall/admin.sock"
	case isUnix:
		return ""
	}
	host, _, _ := net.SplitHostPort(listen)
	if !isAddress(listen) {
		return "should be an address such as 127.0.0.1:8081, unix:PATH, or ingest"
	}
	if !hasKey && !IsLoopback(host) {
		return "can be reached from other machines, which requires admin.key: set one, or listen on 127.0.0.1"
	}
	return ""
}

// isAddress reports whether a text is an address with a port, such as 127.0.0.1:8080 and :8080.
func isAddress(text string) bool {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return false
	}
	_, err = net.LookupPort("tcp", port)
	return err == nil
}

// IsLoopback reports whether a host can be reached from this machine only.
func IsLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

// readEgress reads the hosts that URLs from events may reach.
func (r *reader) readEgress(allow event.Value) {
	var entries []string
	for _, entry := range allow.Items() {
		entries = append(entries, entry.Str())
	}
	egress, err := httpx.ParseEgress(entries)
	r.problems.AddUnder("/egress/allow", err)
	r.config.Egress = egress
}

// readDuration reads a duration of the section delivery.
func (r *reader) readDuration(v event.Value, key string, least, most time.Duration) time.Duration {
	return r.readDurationAt(v.Get(key), "/delivery/"+key, least, most)
}

// writtenDuration matches what the schema accepts, also if it is longer than a time.Duration can be.
var writtenDuration = regexp.MustCompile(`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`)

// readDurationAt reads a duration such as 90s and checks its bounds. It returns 0 if v is absent.
func (r *reader) readDurationAt(v event.Value, pointer string, least, most time.Duration) time.Duration {
	text := v.Str()
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	isTooLong := err != nil && writtenDuration.MatchString(text)
	if err != nil && !isTooLong {
		return 0 // the schema has reported it
	}
	if isTooLong || d < least || d > most {
		r.problems.Add(pointer, "should be between %s and %s but is %s", fault.WrittenDuration(least), fault.WrittenDuration(most), text)
	}
	return d
}
