// Package delivery stores accepted events durably and delivers them to the instances of destinations. It keeps the order of each
// user's events, retries failures for as long as a retry may succeed, and isolates failing users and destinations from the
// others. The README lists the guarantees and explains how they are kept.
//
// It knows neither HTTP servers nor the config file, and of NATS only that it is behind package internal/eventlog. A Queue stores
// the events and a Runner delivers them. Several processes may do both on one cluster. All exported methods are safe for concurrent
// use.
package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/natslog"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/diskspace"
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
	// MaxMemory limits the bytes of events that are read ahead, wait for their requests or are sent, of all instances in this process: 256 MB.
	MaxMemory int64
	Log       *slog.Logger // silent by default

	store eventlog.Log // the log to use instead of NATS, for tests; nil for NATS
}

// DefaultRetention is the default of Config.Retention.
const DefaultRetention = 7 * 24 * time.Hour

// Errors of a log that accepts no writes. They may succeed later.
var (
	ErrFull       = eventlog.ErrFull       // the log has reached its limit, or the disk is short
	ErrUnwritable = eventlog.ErrUnwritable // its storage has failed
)

// Names of the streams.
const (
	eventsStream      = "EVENTS"
	parkStream        = "PARK"
	deadStream        = "DEAD"
	checkpointsStream = "BOOKS"
	journalStream     = "JOURNAL"
)

// Queue is the event log with its dead letters and parked events and the checkpoints of its readers.
type Queue struct {
	config     Config
	partitions int
	store      eventlog.Log
	unlock     func()   // unlocks Config.Dir; nil if another directory or none is used
	journal    *journal // nil on a cluster and in memory
	events     *publisher
	parked     *publisher
	dead       *publisher
	monitor    *logMonitor
	feeds      *pageFeeds
	erased     atomic.Pointer[func(event.Value) bool] // Settings.Erased of the Runner; nil without one
	refusing   atomic.Bool                            // earlier versions refuse the log
	fullSince  atomic.Int64                           // when the log last reached its limit, in nanoseconds since 1970; 0 if it accepts events
}

// Open opens a queue and creates the streams that do not exist. The caller closes it.
func Open(ctx context.Context, c Config) (*Queue, error) {
	q, err := openConnection(c)
	if err != nil {
		return nil, err
	}
	err = eventlog.RetryWhile(ctx, eventlog.ErrUnavailable, 25, 200*time.Millisecond, func() error { return q.prepareLog(ctx) })
	if err != nil {
		q.Close()
		return nil, q.openError(err)
	}
	if q.hasDisk() {
		if q.journal, err = openJournal(ctx, q); err != nil {
			q.Close()
			return nil, q.openError(err)
		}
	}
	q.events, q.parked, q.dead = newPublisher(q, eventsStream), newPublisher(q, parkStream), newPublisher(q, deadStream)
	return q, nil
}

// prepareLog creates the streams that do not exist and checks the log.
func (q *Queue) prepareLog(ctx context.Context) error {
	q.warnSmallMessages()
	if err := q.openStreams(ctx); err != nil {
		return err
	}
	if err := q.monitor.checkLog(ctx); err != nil {
		return err
	}
	return q.markTrimsRecorded(ctx)
}

// minMessage is the size of the messages that a log should accept: pages are rewritten by erasures and restored from backups as they were stored.
const minMessage = pageBytes + maxSourcesHeader

// warnSmallMessages warns if the servers of a cluster do not accept some messages, which otherwise only an erasure would notice.
func (q *Queue) warnSmallMessages() {
	if most := q.store.MaxMessage(); q.store.Shared() && most < minMessage {
		q.config.Log.Warn("the NATS servers accept only small messages, so that larger events are refused, and erasures and restores can fail: set max_payload to 1MB in their configuration",
			"maxBytes", most, "neededBytes", minMessage)
	}
}

// openConnection connects to the log. It neither creates nor updates streams.
func openConnection(c Config) (*Queue, error) {
	c.Retention = cmp.Or(c.Retention, DefaultRetention)
	c.Replicas = cmp.Or(c.Replicas, 3)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.MaxMemory = cmp.Or(c.MaxMemory, DefaultMaxMemory)
	q := &Queue{config: c, store: c.store}
	q.monitor, q.feeds = newLogMonitor(q), newPageFeeds(q, c.MaxMemory)
	if err := q.openStore(); err != nil {
		q.Close()
		return nil, q.openError(err)
	}
	return q, nil
}

// openError returns an error of opening the queue. On a full disk, the text says so, instead of what the log says about it.
func (q *Queue) openError(err error) error {
	if q.config.Dir != "" && !errors.Is(err, ErrInUse) && diskspace.IsFull(q.config.Dir) {
		return diskFullError{q.config.Dir, err}
	}
	return fmt.Errorf("opening the queue: %w", err)
}

// diskFullError is the error of a queue whose disk is full.
type diskFullError struct {
	dir   string
	cause error
}

func (e diskFullError) Error() string {
	return "opening the queue: the disk of " + e.dir + " is full: free space on it, then start again"
}

// Unwrap returns what the log says.
func (e diskFullError) Unwrap() error { return e.cause }

// openStore opens the log. It locks Config.Dir if the log's files are there.
func (q *Queue) openStore() error {
	if q.store != nil {
		return nil
	}
	c := natslog.Config{URL: q.config.URL, Credentials: q.config.Credentials, Replicas: q.config.Replicas, Logger: q.config.Log}
	if c.URL == "" {
		c.Dir, c.CheckFiles = q.config.Dir, q.salvageFiles
		if err := os.MkdirAll(c.Dir, 0o700); err != nil {
			return fmt.Errorf("the directory of the queue: %w", fault.File(err))
		}
		var err error
		if q.unlock, err = lockDir(c.Dir); err != nil {
			return err
		}
		q.config.MinFreeBytes = cmp.Or(q.config.MinFreeBytes, DefaultMinFree(c.Dir))
	}
	store, err := natslog.Open(c)
	if err == nil {
		q.store = store
	}
	return err
}

// logFiles returns the files of the embedded log in a directory.
func logFiles(dir string) eventlog.Files { return natslog.Files(dir) }

// Close closes the queue. Everything appended stays stored.
func (q *Queue) Close() {
	for _, p := range []*publisher{q.events, q.parked, q.dead} {
		if p != nil {
			p.close()
		}
	}
	if q.journal != nil {
		q.journal.close()
	}
	if q.events != nil {
		q.monitor.close()
	}
	if q.store != nil {
		q.store.Close()
	}
	if q.unlock != nil {
		q.unlock()
	}
}

// Config returns the configuration with the defaults filled in.
func (q *Queue) Config() Config { return q.config }

// Ready returns nil if events can be appended, and otherwise the reason that they cannot.
func (q *Queue) Ready() error {
	if !q.store.Connected() {
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

// sourcePartition determines the subject of an event.
type sourcePartition struct {
	source    string
	partition int
}

// Append appends events in order. They are durable when it returns nil; if it returns an error, they may be.
func (q *Queue) Append(ctx context.Context, events []NewEvent) error {
	if len(events) == 0 {
		return nil
	}
	records := make([]record, len(events))
	subjects := map[sourcePartition]string{}
	limit := q.store.MaxMessage()
	for i, e := range events {
		if int64(len(e.Raw)) > limit {
			return fmt.Errorf("an event of %d bytes is larger than the queue accepts", len(e.Raw))
		}
		at := sourcePartition{e.Source, q.partitionOf(e.Key)}
		subject, ok := subjects[at]
		if !ok {
			subject = partitionSubject("ev", at.source, at.partition)
			subjects[at] = subject
		}
		records[i] = record{subject: subject, line: e.Raw}
	}
	if err := q.checkWritable(); err != nil {
		return err
	}
	return q.events.publishRecords(ctx, records)
}

// settle waits until all accepted events are in the log.
func (q *Queue) settle(ctx context.Context) error {
	if q.journal == nil {
		return nil
	}
	if err := q.journal.settle(ctx); err != nil {
		return fmt.Errorf("writing accepted events to the log: %w", err)
	}
	return nil
}

// checkWritable returns an error if the log is unwritable or the disk is short.
func (q *Queue) checkWritable() error {
	if err := q.logFailure(); err != nil {
		return err
	}
	return q.checkDiskSpace()
}

// logFailure returns why the log or its journal is unwritable, or nil.
func (q *Queue) logFailure() error {
	for _, stream := range []string{eventsStream, journalStream} {
		if _, err := q.store.WriteFailure(stream); err != nil {
			return err
		}
	}
	return nil
}

// hasDisk reports whether the log's files are on a disk of this machine.
func (q *Queue) hasDisk() bool { return q.store.Dir() != "" }
