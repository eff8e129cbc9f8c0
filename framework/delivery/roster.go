package delivery

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// roster is what this process has seen of the books and of the other processes. Nobody's clock is asked: a lease has ended
// where its book has not changed for that long, as this process saw it.
type roster struct {
	queue *Queue
	mu    sync.Mutex
	seen  map[string]sighting // by subject
	ready chan struct{}       // closed when everything there was has been seen
	once  sync.Once           // closes it
}

// sighting is the newest message of a subject.
type sighting struct {
	revision uint64
	data     []byte
	at       time.Time // when this process saw it change
}

func newRoster(q *Queue) *roster {
	return &roster{queue: q, seen: map[string]sighting{}, ready: make(chan struct{})}
}

// watch follows the stream of books until ctx ends.
func (r *roster) watch(ctx context.Context) {
	for ctx.Err() == nil {
		if err := r.follow(ctx); err != nil && ctx.Err() == nil {
			r.queue.config.Log.Debug("following the books", "error", err)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}
}

func (r *roster) follow(ctx context.Context) error {
	consumer, err := r.queue.js.OrderedConsumer(ctx, booksStream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{"book.>", "proc.>"}, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, InactiveThreshold: 5 * time.Minute,
	})
	if err != nil {
		return err
	}
	info, err := consumer.Info(ctx)
	if err != nil {
		return err
	}
	if info.NumPending == 0 {
		r.complete()
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(256))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		r.see(m.Subject(), meta.Sequence.Stream, m.Data())
		if meta.NumPending == 0 {
			r.complete()
		}
	}
}

func (r *roster) complete() { r.once.Do(func() { close(r.ready) }) }

func (r *roster) see(subject string, revision uint64, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.seen[subject]; revision > known.revision {
		r.seen[subject] = sighting{revision, slices.Clone(data), time.Now()}
	}
}

// drop forgets a subject whose messages have been deleted.
func (r *roster) drop(subject string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.seen, subject)
}

func (r *roster) look(subject string) (sighting, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.seen[subject]
	return s, ok
}

// owned are the books that somebody works on, by subject.
func (r *roster) owned() map[string]book {
	r.mu.Lock()
	defer r.mu.Unlock()
	books := map[string]book{}
	for subject, s := range r.seen {
		if strings.HasPrefix(subject, "book.") {
			if b := readBook(s.data); b.Owner != "" {
				books[subject] = b
			}
		}
	}
	return books
}

// alive are the processes that have been heard of within a lease, sorted.
func (r *roster) alive(lease time.Duration) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for subject, s := range r.seen {
		if name, ok := strings.CutPrefix(subject, "proc."); ok && time.Since(s.at) < lease && string(s.data) == "here" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// greet says that a process is here, or that it leaves.
func (r *roster) greet(ctx context.Context, name, word string) error {
	subject := "proc." + name
	ack, err := r.queue.publish(ctx, booksStream, &nats.Msg{Subject: subject, Data: []byte(word)})
	if err == nil {
		r.see(subject, ack.Sequence, []byte(word))
	}
	return err
}

var errStolen = errors.New("another process has the partition")

// write writes a checkpoint for its owner after a revision and returns its new revision. The error is errStolen if another process
// has written it; a checkpoint without an owner may be anybody's.
func (r *roster) write(ctx context.Context, owner, subject string, revision uint64, b book) (uint64, error) {
	for {
		m := b.message(subject, revision)
		ack, err := r.queue.publish(ctx, booksStream, m)
		if err == nil {
			r.see(subject, ack.Sequence, m.Data)
			return ack.Sequence, nil
		}
		if !isConflict(err) {
			return 0, err
		}
		// What stands there may be an earlier write of this process whose answer was lost.
		last, err := r.queue.streams[booksStream].GetLastMsgForSubject(ctx, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && last.Sequence <= revision {
			// What the write conflicts with has been proposed to the cluster and is not applied yet where it was read.
			if err := pause(ctx, 20*time.Millisecond); err != nil {
				return 0, err
			}
			continue
		}
		if err != nil {
			return 0, err
		}
		r.see(subject, last.Sequence, last.Data)
		if owner == "" || readBook(last.Data).Owner != owner {
			return 0, errStolen
		}
		revision = last.Sequence
	}
}

// isConflict reports whether a write was refused because the subject has another last message than the write expects. Replicated
// streams answer with a code of their own.
func isConflict(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		(api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// pause waits for a time, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
