// Package delivery takes accepted events to the instances of destinations: durable, in order for each user, tried again for as
// long as that may help, and nobody waiting for somebody else's failure. Its README says what it promises and how.
//
// It is the only package that knows NATS. A Queue keeps the events, a Runner delivers them; several processes may do both on
// one cluster. All exported methods are safe for concurrent use.
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

// Config is how a Queue is kept. Zero fields have working defaults.
type Config struct {
	// Dir is where the server in this process keeps its files. It is used by one process at a time.
	Dir string
	// URL is a NATS cluster that several processes share, instead of Dir; several servers are divided by commas.
	URL         string
	Credentials string // the file of the user's credentials for URL; "" for none
	Replicas    int    // of what is kept in the cluster: 3

	// Target is whom events are delivered to. The first Open with one keeps it with the queue, and Open with another one fails with
	// ErrOtherTarget. "" is for those that deliver nothing.
	Target string

	Partitions int           // how many users' queues there are; fixed when the first queue is made: 16. Open fails if it is set and another number is stored.
	Retention  time.Duration // how long delivered events are kept for replays: 7 days
	MaxBytes   int64         // of kept events; delivered ones go first, then Append fails with ErrFull. 0 is no bound
	// MinFreeBytes is how many bytes of the disk of Dir stay free: delivered events are deleted for that, and below it Append fails with
	// ErrFull: 256 MB, or a tenth of a smaller disk.
	MinFreeBytes int64
	Log          *slog.Logger // silent by default
}

// ErrFull is wrapped by Append where there is no room. It may have room later.
var ErrFull = errors.New("the queue is full")

// The streams.
const (
	eventsStream      = "EVENTS"
	parkStream        = "PARK"
	deadStream        = "DEAD"
	checkpointsStream = "BOOKS"
)

// Queue is the log of events, the letters set aside, and the books of who has read how far.
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
	fullSince  atomic.Int64 // when the log last reached its bound, in nanoseconds since 1970; 0 if it takes events
}

// Open opens a queue and makes its streams where there are none. The caller closes it.
func Open(ctx context.Context, c Config) (*Queue, error) {
	q, err := openConnection(c)
	if err != nil {
		return nil, err
	}
	if err := q.openStreams(ctx); err != nil {
		q.Close()
		return nil, fmt.Errorf("opening the queue: %w", err)
	}
	if err = q.monitor.checkLog(ctx); err == nil {
		err = q.markTrimsRecorded(ctx)
	}
	if err != nil {
		q.Close()
		return nil, fmt.Errorf("opening the queue: %w", err)
	}
	q.events, q.parked, q.dead = newPublisher(q, eventsStream), newPublisher(q, parkStream), newPublisher(q, deadStream)
	return q, nil
}

// openConnection connects to a log and leaves its streams as they are.
func openConnection(c Config) (*Queue, error) {
	c.Retention = cmp.Or(c.Retention, 7*24*time.Hour)
	c.Replicas = cmp.Or(c.Replicas, 3)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	q := &Queue{config: c, streams: map[string]jetstream.Stream{}}
	q.monitor = newLogMonitor(q)
	if err := q.connect(); err != nil {
		q.Close()
		return nil, fmt.Errorf("opening the queue: %w", err)
	}
	return q, nil
}

func (q *Queue) connect() error {
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

// Close ends the use of the queue. What has been appended stays.
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

// Config is what the queue works with, defaults included.
func (q *Queue) Config() Config { return q.config }

// Ready tells whether events can be appended.
func (q *Queue) Ready() error {
	if !q.conn.IsConnected() {
		return errors.New("the queue is not connected to NATS")
	}
	return q.checkWritable()
}

// partitionOf is the partition of an ordering key.
func (q *Queue) partitionOf(key string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return int(h.Sum32() % uint32(q.partitions))
}

// NewEvent is an event that is to be appended.
type NewEvent struct {
	Source string
	Key    string // what its order is kept for: see OrderingKey
	Raw    []byte // the event as JSON in one line
}

// Append appends events, in their order. They are on disk when it returns nil; where it returns an error, they may be.
func (q *Queue) Append(ctx context.Context, events []NewEvent) error {
	records := make([]record, len(events))
	most := min(maxMessage, q.conn.MaxPayload()) - 4096 // a cluster may take less: 1 MB by default
	for i, e := range events {
		if int64(len(e.Raw)) > most {
			return fmt.Errorf("an event of %d bytes is larger than the queue takes", len(e.Raw))
		}
		records[i] = record{subject: "ev." + subjectToken(e.Source) + "." + strconv.Itoa(q.partitionOf(e.Key)), line: e.Raw}
	}
	if err := q.checkWritable(); err != nil {
		return err
	}
	return q.events.publish(ctx, records)
}

// checkWritable returns an error if the disk has no room for more, or takes no writes.
func (q *Queue) checkWritable() error {
	if _, err := q.storage.failure(eventsStream); err != nil {
		return err
	}
	return q.checkDiskSpace()
}

// isEmbedded reports whether the log is kept by a server in this process.
func (q *Queue) isEmbedded() bool { return q.embedded != nil }
