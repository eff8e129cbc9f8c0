// Package delivery stores accepted events durably and delivers them to the instances of destinations. It keeps the order of each
// user's events, retries failures for as long as a retry may succeed, and isolates failing users and destinations from the
// others. The README lists the guarantees and explains how they are kept.
//
// It is the only package that uses NATS, and it knows neither HTTP servers nor the config file. A Queue stores the events and a
// Runner delivers them. Several processes may do both on one cluster. All exported methods are safe for concurrent use.
package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Config configures a Queue. Zero fields have working defaults.
type Config struct {
	// Dir is the data directory of the NATS server in this process. One process uses it at a time.
	Dir string
	// URL is the NATS cluster that several processes share, instead of Dir. Several servers are separated by commas.
	URL         string
	Credentials string // path of the user's credentials file for URL; "" for none
	Replicas    int    // copies of each stream on the cluster: 3

	// Target identifies the system that the events are delivered to. The first Open with a target stores it in the queue; Open
	// with another target fails with ErrTargetMismatch. It is "" for processes that do not deliver.
	Target string

	Partitions int           // partitions of the log, by the hash of the ordering key; fixed when the queue is created: 16. Open fails if another number is stored.
	Retention  time.Duration // how long delivered events are kept for replays: 7 days
	MaxBytes   int64         // limit of the stored events. Delivered ones are deleted first, then Append fails with ErrFull. 0 is no limit.
	// MinFreeBytes is the free space to keep on the disk of Dir. Below it, delivered events are deleted, then Append fails with
	// ErrFull. The default is 256 MB, or a tenth of a smaller disk.
	MinFreeBytes int64
	Log          *slog.Logger // silent by default
}

// ErrFull is wrapped by Append if the log has reached its limit or the disk is short. Append may succeed later.
var ErrFull = errors.New("the queue is full")

// Names of the NATS streams.
const (
	eventsStream      = "EVENTS"
	parkStream        = "PARK"
	deadStream        = "DEAD"
	checkpointsStream = "BOOKS"
)

// Queue is the event log with its dead and parked letters and the checkpoints of its readers.
type Queue struct {
	config     Config
	partitions int
	embedded   *embeddedServer // nil if URL names a cluster
	conn       *nats.Conn
	js         jetstream.JetStream
	streams    map[string]jetstream.Stream
	events     *publisher
	parked     *publisher
	dead       *publisher
	storage    *storageMonitor
	monitor    *logMonitor
	fullSince  atomic.Int64 // when the log last reached its limit, in nanoseconds since 1970; 0 if it accepts events
}

// Open opens a queue and creates the streams that do not exist. The caller closes it.
func Open(ctx context.Context, c Config) (*Queue, error) {
	q, err := openConnection(c)
	if err != nil {
		return nil, err
	}
	err = retryWhile(ctx, isWithoutResponder, 25, 200*time.Millisecond, func() error { return q.prepareLog(ctx) })
	if err != nil {
		q.Close()
		return nil, fmt.Errorf("opening the queue: %w", err)
	}
	q.events, q.parked, q.dead = newPublisher(q, eventsStream), newPublisher(q, parkStream), newPublisher(q, deadStream)
	return q, nil
}

// prepareLog creates the streams that do not exist and checks the log.
func (q *Queue) prepareLog(ctx context.Context) error {
	if err := q.openStreams(ctx); err != nil {
		return err
	}
	if err := q.monitor.checkLog(ctx); err != nil {
		return err
	}
	return q.markTrimsRecorded(ctx)
}

// openConnection connects to NATS. It neither creates nor updates streams.
func openConnection(c Config) (*Queue, error) {
	c.Retention = cmp.Or(c.Retention, 7*24*time.Hour)
	c.Replicas = cmp.Or(c.Replicas, 3)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	q := &Queue{config: c, streams: map[string]jetstream.Stream{}}
	q.monitor = newLogMonitor(q)
	if err := q.connectNATS(); err != nil {
		q.Close()
		return nil, fmt.Errorf("opening the queue: %w", err)
	}
	return q, nil
}

func (q *Queue) connectNATS() error {
	options := []nats.Option{
		nats.Name("landfall"), nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond), nats.RetryOnFailedConnect(false),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { q.config.Log.Debug("nats", "error", err) }),
	}
	url := q.config.URL
	if url == "" {
		var err error
		if q.embedded, err = openEmbedded(q.config.Dir, q.config.Log, q.salvageFiles); err != nil {
			return err
		}
		q.config.MinFreeBytes = cmp.Or(q.config.MinFreeBytes, defaultMinFree(q.config.Dir))
		options = append(options, nats.InProcessServer(q.embedded))
	} else if q.config.Credentials != "" {
		options = append(options, nats.UserCredentials(q.config.Credentials))
	}
	var err error
	if q.conn, err = nats.Connect(url, options...); err != nil {
		return fmt.Errorf("connecting to NATS: %w", err)
	}
	if q.js, err = jetstream.New(q.conn, jetstream.WithDefaultTimeout(10*time.Second)); err != nil {
		return err
	}
	q.storage = newStorage(q)
	return nil
}

// Close closes the queue. Everything appended stays stored.
func (q *Queue) Close() {
	for _, p := range []*publisher{q.events, q.parked, q.dead} {
		if p != nil {
			p.close()
		}
	}
	if q.events != nil {
		q.monitor.close()
	}
	if q.storage != nil {
		q.storage.close()
	}
	if q.conn != nil {
		q.conn.Close()
	}
	if q.embedded != nil {
		q.embedded.close()
	}
}

// Config returns the configuration with the defaults filled in.
func (q *Queue) Config() Config { return q.config }

// Ready returns nil if events can be appended, and otherwise the reason that they cannot.
func (q *Queue) Ready() error {
	if !q.conn.IsConnected() {
		return errors.New("the queue is not connected to NATS")
	}
	return q.checkWritable()
}

// partitionOf returns the partition of an ordering key.
func (q *Queue) partitionOf(key string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return int(h.Sum32() % uint32(q.partitions))
}

// NewEvent is an event to append.
type NewEvent struct {
	Source string
	Key    string // the ordering key: see event.OrderingKey
	Raw    []byte // the event as JSON in one line
}

// Append appends events in order. They are durable when it returns nil; if it returns an error, they may be.
func (q *Queue) Append(ctx context.Context, events []NewEvent) error {
	records := make([]record, len(events))
	limit := min(maxMessage, q.conn.MaxPayload()) - 4096 // a cluster may accept less: 1 MB by default
	for i, e := range events {
		if int64(len(e.Raw)) > limit {
			return fmt.Errorf("an event of %d bytes is larger than the queue accepts", len(e.Raw))
		}
		records[i] = record{subject: "ev." + subjectToken(e.Source) + "." + strconv.Itoa(q.partitionOf(e.Key)), line: e.Raw}
	}
	if err := q.checkWritable(); err != nil {
		return err
	}
	return q.events.publishRecords(ctx, records)
}

// checkWritable returns an error if the log is unwritable or the disk is short.
func (q *Queue) checkWritable() error {
	if _, err := q.storage.writeFailure(eventsStream); err != nil {
		return err
	}
	return q.checkDiskSpace()
}

// isEmbedded reports whether the NATS server runs in this process.
func (q *Queue) isEmbedded() bool { return q.embedded != nil }
