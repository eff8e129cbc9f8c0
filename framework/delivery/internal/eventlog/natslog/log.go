// Package natslog implements eventlog.Log with NATS JetStream: a server in this process, or a cluster.
package natslog

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// maxPayload is the largest message that the server in this process accepts, in bytes. A cluster may accept less: 1 MB by default.
const maxPayload = 8 << 20

// Config configures a Log.
type Config struct {
	// Dir is the data directory of the server in this process. The caller locks it. It is ignored if URL is set.
	Dir string
	// URL names the servers of a cluster, separated by commas; "" for a server in this process.
	URL         string
	Credentials string // path of the user's credentials file for URL; "" for none
	Replicas    int    // copies of each stream on the cluster: 3
	// CheckFiles is called before a server in this process reads the files of Dir. Open fails with its error. It may be nil.
	CheckFiles func(context.Context) error
	Logger     *slog.Logger // silent by default
}

// Log is a connection to NATS. It implements eventlog.Log, eventlog.Snapshotter and eventlog.Eraser.
type Log struct {
	config   Config
	embedded *embeddedServer // nil for a cluster
	conn     *nats.Conn
	js       jetstream.JetStream
	storage  *storageMonitor
	writes   writeGate

	compressor compressor
	maxSilence time.Duration // see maxSilence

	mu      sync.RWMutex
	streams map[string]jetstream.Stream
}

var (
	_ eventlog.Log         = (*Log)(nil)
	_ eventlog.Snapshotter = (*Log)(nil)
	_ eventlog.Eraser      = (*Log)(nil)
)

// Open connects to the servers, or starts the one in this process. It neither creates nor updates streams.
func Open(c Config) (*Log, error) {
	c.Replicas = cmp.Or(c.Replicas, 3)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Log{config: c, streams: map[string]jetstream.Stream{}, maxSilence: maxSilence}
	if err := l.connect(); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (l *Log) connect() error {
	options := []nats.Option{
		nats.Name("landfall"), nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond), nats.RetryOnFailedConnect(false),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { l.config.Logger.Debug("nats", "error", err) }),
	}
	if l.config.URL == "" {
		var err error
		if l.embedded, err = startEmbedded(l.config); err != nil {
			return err
		}
		options = append(options, nats.InProcessServer(l.embedded))
	} else if l.config.Credentials != "" {
		options = append(options, nats.UserCredentials(l.config.Credentials))
	}
	var err error
	if l.conn, err = nats.Connect(l.config.URL, options...); err != nil {
		return connectError(l.config.URL, l.config.Credentials, err)
	}
	if l.js, err = jetstream.New(l.conn, jetstream.WithDefaultTimeout(10*time.Second)); err != nil {
		return err
	}
	l.storage = newStorageMonitor(l)
	return nil
}

// Close closes the connection and stops the server in this process.
func (l *Log) Close() {
	if l.storage != nil {
		l.storage.close()
	}
	if l.conn != nil {
		l.conn.Close()
	}
	if l.embedded != nil {
		l.embedded.close()
	}
}

// Connected reports whether there is a connection to a server.
func (l *Log) Connected() bool { return l.conn.IsConnected() }

// WriteFailure returns why a stream accepts no writes and since when, nil if it accepts them, as far as known.
func (l *Log) WriteFailure(stream string) (since time.Time, err error) {
	return l.storage.writeFailure(stream)
}

// Shared reports whether the servers run elsewhere.
func (l *Log) Shared() bool { return l.embedded == nil }

// Dir is the data directory of the server in this process, "" for a cluster.
func (l *Log) Dir() string {
	if l.embedded == nil {
		return ""
	}
	return l.config.Dir
}

// MaxMessage is the maximum number of bytes in the data of a message, which leaves space for its headers.
func (l *Log) MaxMessage() int64 { return min(maxPayload, l.conn.MaxPayload()) - 4096 }
