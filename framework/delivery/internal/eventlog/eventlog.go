// Package eventlog is the storage of delivery: a log with several streams of messages. Log is the interface, natslog implements
// it with NATS JetStream and memlog in memory. The tests of eventlogtest define what an implementation has to do.
//
// A message has a subject, which is a list of tokens separated by dots. A filter is a subject in which the token * stands for any
// token, and a last token > for all the remaining ones.
package eventlog

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"
)

// Errors that a Log wraps.
var (
	ErrNotFound    = errors.New("the log has no such message")
	ErrNoStream    = errors.New("the log has no such stream")
	ErrConflict    = errors.New("another message of the subject was written first") // see Write.Conditional
	ErrFull        = errors.New("the queue is full")                                // a stream or its disk is full; later writes may succeed
	ErrTooLarge    = errors.New("a message is larger than the log accepts")
	ErrUnavailable = errors.New("no server of the log received the request") // as while a cluster is choosing a leader
	ErrUnwritable  = errors.New("the log accepts no writes")                 // see Log.WriteFailure
	ErrClosed      = errors.New("the log is closed")
	ErrNoSpace     = errors.New("a compressed page has no space for what replaces the events to erase") // see Eraser
)

// Log stores messages durably. Each stream numbers its messages from 1 on, in the order of writing. All methods are safe for
// concurrent use.
type Log interface {
	// Prepare creates the streams that do not exist and updates the others to their configs. Other processes may do the same at
	// the same time. Prepare is called before the other methods, except for those of Snapshotter and Info.
	Prepare(ctx context.Context, streams []StreamConfig) error

	// Append writes messages to one stream, all of them or none, with consecutive sequences. They are durable when it returns
	// the last sequence; if it returns an error, they may be, except for ErrConflict, ErrFull and ErrTooLarge. It does not keep
	// their data.
	Append(ctx context.Context, stream string, writes []Write) (last uint64, err error)
	// MaxMessage is the maximum number of bytes in the data of a message.
	MaxMessage() int64

	// Get returns the message with a sequence. The error wraps ErrNotFound if there is none.
	Get(ctx context.Context, stream string, seq uint64) (Message, error)
	// First returns the first message at or after a sequence whose subject matches a filter. The error wraps ErrNotFound if there
	// is none.
	First(ctx context.Context, stream, filter string, from uint64) (Message, error)
	// Last returns the newest message of a subject. The error wraps ErrNotFound if there is none.
	Last(ctx context.Context, stream, subject string) (Message, error)
	// Scan calls visit for the messages of a query that the stream has now, in order, until it returns false or an error. It
	// skips messages that are deleted in the meantime. In their place it may visit messages that are written in the meantime.
	Scan(ctx context.Context, stream string, q Query, visit func(Message) (more bool, err error)) error
	// Count returns the number of messages of a query that the stream has now.
	Count(ctx context.Context, stream string, q Query) (uint64, error)
	// Read returns a Reader of the messages of a query, including those that are written later. The caller closes it.
	Read(ctx context.Context, stream string, q Query) (Reader, error)
	// Subjects returns the subjects that match a filter and have messages, in no particular order.
	Subjects(ctx context.Context, stream, filter string) ([]string, error)

	// Delete deletes a message. It is no error if the message is already gone.
	Delete(ctx context.Context, stream string, seq uint64) error
	// PurgeBefore deletes the messages before a sequence.
	PurgeBefore(ctx context.Context, stream string, seq uint64) error
	// PurgeSubjects deletes the messages whose subject matches a filter.
	PurgeSubjects(ctx context.Context, stream, filter string) error

	// Info describes a stream. The error wraps ErrNoStream if it does not exist.
	Info(ctx context.Context, stream string) (Info, error)
	// Missing returns the sequences between the first and the last message of a stream that have no message.
	Missing(ctx context.Context, stream string) ([]uint64, error)

	// Connected reports whether the log can be reached, as far as known.
	Connected() bool
	// WriteFailure returns since when a stream accepts no writes and an error that wraps ErrUnwritable; nil if it accepts them, as
	// far as known.
	WriteFailure(stream string) (since time.Time, err error)
	// Shared reports whether other processes may use the log. Then its servers may disagree for some seconds about where a stream
	// ends.
	Shared() bool
	// Dir is the directory on this machine with the log's files, "" for none.
	Dir() string
	// Close closes the log and its Readers. What was appended stays stored.
	Close()
}

// StreamConfig configures a stream.
type StreamConfig struct {
	Name     string
	Subjects []string // filters of the subjects of its messages
	MaxBytes int64    // limit of its size, beyond which Append fails with ErrFull; 0 for no limit
	// NewestOnly means that a message replaces the earlier one of its subject.
	NewestOnly bool
	// RefuseEarlier makes Prepare of earlier versions of this package fail if the log's files are on this machine. Later configs do not undo that.
	RefuseEarlier bool
	// Labels returns the labels of the stream from its present state, which is nil if the stream is created. Prepare fails with
	// its error. It may be called several times, and must not use the Log. nil keeps the labels.
	Labels func(stored *Info) (map[string]string, error)
}

// Write is a message to append.
type Write struct {
	Subject string
	Header  map[string]string // names and values without line breaks; nil for none
	Data    []byte
	// Compress lets the log store the data compressed if that is shorter. Readers get the data. Earlier versions of this package cannot read it, and
	// have to be refused before: see StreamConfig.RefuseEarlier.
	Compress bool
	// Conditional writes fail with ErrConflict unless Revision is the sequence of the newest message of the subject, 0 for none.
	Conditional bool
	Revision    uint64
}

// Message is a stored message. Its Header and Data must not be modified.
type Message struct {
	Subject  string
	Header   map[string]string
	Data     []byte
	Sequence uint64
	Time     time.Time // when it was stored; never before that of the previous message, unless the clock was set back
}

// Query selects messages of a stream.
type Query struct {
	Filters  []string  // messages whose subject matches one of these, which must not overlap
	From     uint64    // the first sequence; 0 for the first message
	Since    time.Time // if not zero, the messages stored at or after it; From must be 0
	Newest   bool      // of the messages that the stream has now, only the newest of each subject; for Read only
	Prefetch int       // how many messages are requested at once: 256 by default
}

// Reader reads messages in order. It is for one goroutine, except for Close.
type Reader interface {
	// Next returns the next message. It waits until there is one or ctx ends. After another error, no more messages follow.
	Next(ctx context.Context) (Message, error)
	// Pending returns how many messages followed the last one that Next has returned, when that was sent. Before the first call
	// of Next it is how many there were when the Reader was created.
	Pending() uint64
	Close()
}

// Info describes a stream.
type Info struct {
	Created             time.Time // identifies the stream: a stream that was deleted and created again has another time
	FirstSeq, LastSeq   uint64    // of its messages; without messages, FirstSeq is LastSeq+1
	FirstTime, LastTime time.Time
	Messages, Bytes     uint64
	Missing             int // sequences between FirstSeq and LastSeq without a message
	Labels              map[string]string
}

// Snapshot describes the snapshot of one stream.
type Snapshot struct {
	Name   string
	Config json.RawMessage // of the stream, in the format of the implementation
	State  json.RawMessage // likewise, when the snapshot was taken
}

// Eraser is implemented by a Log that can overwrite the data of its messages, also of those that were deleted or replaced.
type Eraser interface {
	// Erase calls rewrite for the data of all messages that are stored. Other data that it returns, of the same length, replaces the data;
	// nil keeps it. Writes wait meanwhile. The error is errors.ErrUnsupported if the Log has its data elsewhere, and wraps ErrNoSpace if all
	// other data was replaced but some compressed data had no space for it. Erase can be interrupted and repeated.
	Erase(ctx context.Context, rewrite func(stream, subject string, data []byte) []byte) error
}

// Shredder is implemented by a Log whose servers overwrite the data of messages that they delete.
type Shredder interface {
	// Shred deletes messages and overwrites their data. It returns how many there were: those that are gone already do not count.
	Shred(ctx context.Context, stream string, seqs []uint64) (deleted int, err error)
	// CompactServers makes the servers of a stream delete what they keep of earlier writes to replicate them, so that nothing is left there of
	// messages that were shredded. It returns the number of servers. It fails while one of them is away or behind.
	CompactServers(ctx context.Context, stream string) (servers int, err error)
}

// Snapshotter is implemented by a Log that can copy its streams.
type Snapshotter interface {
	// Snapshot writes the present messages of a stream to w.
	Snapshot(ctx context.Context, stream string, w io.Writer) (Snapshot, error)
	// Restore creates a stream from its snapshot. The stream must not exist.
	Restore(ctx context.Context, s Snapshot, r io.Reader) error
}
