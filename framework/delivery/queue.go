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
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
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

	Partitions int           // how many users' queues there are; fixed when the first queue is made: 16
	Retention  time.Duration // how long delivered events are kept for replays: 7 days
	MaxBytes   int64         // of kept events; delivered ones go first, then Append fails with ErrFull. 0 is no bound
	MinFree    int64         // bytes of the disk of Dir that stay free; below it Append fails with ErrFull: 256 MB
	Log        *slog.Logger  // silent by default
}

// ErrFull is wrapped by Append where there is no room. It may have room later.
var ErrFull = errors.New("the queue is full")

// The streams.
const (
	eventsStream = "EVENTS"
	parkStream   = "PARK"
	deadStream   = "DEAD"
	booksStream  = "BOOKS"
)

// Queue is the log of events, the letters set aside, and the books of who has read how far.
type Queue struct {
	config     Config
	partitions int
	server     *server.Server // nil where the cluster is elsewhere
	unlock     func()
	conn       *nats.Conn
	js         jetstream.JetStream
	streams    map[string]jetstream.Stream
	events     *publisher
	park       *publisher
	dead       *publisher
}

// Open opens a queue and makes its streams where there are none. The caller closes it.
func Open(ctx context.Context, c Config) (*Queue, error) {
	c.Partitions = cmp.Or(c.Partitions, 16)
	c.Retention = cmp.Or(c.Retention, 7*24*time.Hour)
	c.MinFree = cmp.Or(c.MinFree, 256<<20)
	c.Replicas = cmp.Or(c.Replicas, 3)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	q := &Queue{config: c, unlock: func() {}, streams: map[string]jetstream.Stream{}}
	if err := q.connect(); err != nil {
		q.Close()
		return nil, fmt.Errorf("opening the queue: %w", err)
	}
	if err := q.found(ctx); err != nil {
		q.Close()
		return nil, fmt.Errorf("opening the queue: %w", err)
	}
	q.events, q.park, q.dead = newPublisher(q, eventsStream), newPublisher(q, parkStream), newPublisher(q, deadStream)
	return q, nil
}

func (q *Queue) connect() error {
	options := []nats.Option{
		nats.Name("landfall"), nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond), nats.RetryOnFailedConnect(false),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { q.config.Log.Debug("nats", "error", err) }),
	}
	url := q.config.URL
	if url == "" {
		if err := q.embed(); err != nil {
			return err
		}
		url, options = "", append(options, nats.InProcessServer(q.server))
	} else if q.config.Credentials != "" {
		options = append(options, nats.UserCredentials(q.config.Credentials))
	}
	var err error
	if q.conn, err = nats.Connect(url, options...); err != nil {
		return fmt.Errorf("connecting to NATS: %w", err)
	}
	q.js, err = jetstream.New(q.conn, jetstream.WithDefaultTimeout(10*time.Second))
	return err
}

// embed starts a server in this process, which listens nowhere.
func (q *Queue) embed() error {
	if err := os.MkdirAll(q.config.Dir, 0o700); err != nil {
		return err
	}
	unlock, err := lockDir(q.config.Dir)
	if err != nil {
		return err
	}
	q.unlock = unlock
	q.server, err = server.NewServer(&server.Options{
		ServerName: "landfall", DontListen: true, JetStream: true, SyncAlways: true, StoreDir: q.config.Dir, NoSigs: true, NoLog: true,
		MaxPayload: maxMessage, JetStreamMaxStore: 1 << 50, JetStreamMaxMemory: 64 << 20, MaxPending: 256 << 20,
	})
	if err != nil {
		return err
	}
	q.server.Start()
	if !q.server.ReadyForConnections(5 * time.Minute) {
		return errors.New("the server in this process does not start: is the data directory's disk readable?")
	}
	return nil
}

// makeStreams makes the streams, or brings them up to date.
func (q *Queue) makeStreams(ctx context.Context) error {
	q.partitions = q.config.Partitions
	if known, err := q.js.Stream(ctx, eventsStream); err == nil {
		if n, err := strconv.Atoi(known.CachedInfo().Config.Metadata["landfall.partitions"]); err == nil && n > 0 {
			q.partitions = n
		}
	} else if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return err
	}
	base := jetstream.StreamConfig{
		Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, AllowAtomicPublish: true, AllowDirect: true, Replicas: 1,
		Duplicates: time.Second, MaxMsgSize: -1,
	}
	if q.server == nil {
		base.Replicas = q.config.Replicas
	}
	events, park, dead, books := base, base, base, base
	events.Name, events.Subjects, events.MaxBytes = eventsStream, []string{"ev.>", "ctl.>"}, max(q.config.MaxBytes, 0)
	events.Metadata = map[string]string{"landfall.partitions": strconv.Itoa(q.partitions)}
	park.Name, park.Subjects, park.MaxMsgsPerSubject = parkStream, []string{"park.>"}, 1
	dead.Name, dead.Subjects, dead.MaxMsgsPerSubject = deadStream, []string{"dead.>"}, 1
	books.Name, books.Subjects, books.MaxMsgsPerSubject = booksStream, []string{"book.>", "proc.>"}, 1
	park.Discard, dead.Discard, books.Discard = jetstream.DiscardOld, jetstream.DiscardOld, jetstream.DiscardOld
	for _, c := range []jetstream.StreamConfig{events, park, dead, books} {
		if c.MaxBytes == 0 {
			c.MaxBytes = -1
		}
		stream, err := q.js.CreateOrUpdateStream(ctx, c)
		if err != nil {
			return fmt.Errorf("the stream %s: %w", c.Name, err)
		}
		q.streams[c.Name] = stream
	}
	return nil
}

// found is makeStreams; a cluster that is still finding itself has a minute for that.
func (q *Queue) found(ctx context.Context) error {
	for began := time.Now(); ; {
		err := q.makeStreams(ctx)
		if err == nil || q.server != nil || ctx.Err() != nil || time.Since(began) > time.Minute {
			return err
		}
		q.config.Log.Info("waiting for the cluster", "error", err)
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// Close ends the use of the queue. What has been appended stays.
func (q *Queue) Close() {
	for _, p := range []*publisher{q.events, q.park, q.dead} {
		if p != nil {
			p.close()
		}
	}
	if q.conn != nil {
		q.conn.Close()
	}
	if q.server != nil {
		q.server.Shutdown()
		q.server.WaitForShutdown()
	}
	q.unlock()
}

// Ready tells whether events can be appended.
func (q *Queue) Ready() error {
	if !q.conn.IsConnected() {
		return errors.New("the queue is not connected to NATS")
	}
	return q.room()
}

// partitionOf is the partition of an ordering key.
func (q *Queue) partitionOf(key string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return int(h.Sum32() % uint32(q.partitions))
}

// Accepted is an event that is to be appended.
type Accepted struct {
	Source string
	Key    string // what its order is kept for: see OrderingKey
	Raw    []byte // the event as JSON in one line
}

// Append appends events, in their order. They are on disk when it returns nil; where it returns an error, they may be.
func (q *Queue) Append(ctx context.Context, events []Accepted) error {
	records := make([]record, len(events))
	most := min(maxMessage, q.conn.MaxPayload()) - 4096 // a cluster may take less: 1 MB by default
	for i, e := range events {
		if int64(len(e.Raw)) > most {
			return fmt.Errorf("an event of %d bytes is larger than the queue takes", len(e.Raw))
		}
		records[i] = record{subject: "ev." + token(e.Source) + "." + strconv.Itoa(q.partitionOf(e.Key)), line: e.Raw}
	}
	if err := q.room(); err != nil {
		return err
	}
	return q.events.publish(ctx, records)
}

// room tells whether the disk has room for more.
func (q *Queue) room() error {
	if q.server == nil {
		return nil
	}
	if free, err := freeBytes(q.config.Dir); err == nil && free < q.config.MinFree {
		return fmt.Errorf("%w: the disk has %d MB left and %d MB stay free", ErrFull, free>>20, q.config.MinFree>>20)
	}
	return nil
}
