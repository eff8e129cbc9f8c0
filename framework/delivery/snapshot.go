package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// snapshotChunk is the size of the parts in which a snapshot is sent, in bytes.
const snapshotChunk = 512 << 10

// snapshotIdle is the timeout for the next part of a snapshot.
const snapshotIdle = time.Minute

// StreamSnapshot describes the snapshot of one stream.
type StreamSnapshot struct {
	Name   string          `json:"name"`
	Config json.RawMessage `json:"config"` // NATS configuration of the stream
	State  json.RawMessage `json:"state"`  // NATS state of the stream when the snapshot was taken
}

// ErrNotEmpty means that the queue has streams already, so that nothing can be restored into it.
var ErrNotEmpty = errors.New("the queue already exists")

// Snapshots writes snapshots of the queue's streams while the queue is in use. It writes the checkpoints first and the events
// last, so that the other snapshots hold every page and letter that a checkpoint refers to.
func (q *Queue) Snapshots(ctx context.Context, to func(stream string) (io.Writer, error)) ([]StreamSnapshot, error) {
	if err := q.holdTrimming(ctx, time.Hour); err != nil {
		return nil, fmt.Errorf("keeping events from being trimmed: %w", err)
	}
	defer func() { _ = q.holdTrimming(context.WithoutCancel(ctx), 0) }() // the hold also expires
	var list []StreamSnapshot
	for _, name := range []string{checkpointsStream, parkStream, deadStream, eventsStream} {
		w, err := to(name)
		if err != nil {
			return nil, err
		}
		s, err := q.snapshotStream(ctx, name, w)
		if err != nil {
			return nil, fmt.Errorf("the snapshot of %s: %w", name, err)
		}
		list = append(list, s)
	}
	return list, nil
}

// holdTrimming prevents trimming for d, so that the recorded trims match the events in a snapshot. 0 ends it.
func (q *Queue) holdTrimming(ctx context.Context, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	until := int64(0)
	if d > 0 {
		until = time.Now().Add(d).Unix()
	}
	return q.monitor.updateState(ctx, func(s *logState) { s.Hold = until })
}

// apiError returns the error in an answer of the JetStream API, or nil.
func apiError(answer []byte) error {
	var a struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return err
	}
	if a.Error != nil {
		return a.Error
	}
	return nil
}

// callAPI sends a request to the JetStream API.
func (q *Queue) callAPI(ctx context.Context, subject string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	m, err := q.conn.RequestWithContext(ctx, subject, body)
	if err != nil {
		return err
	}
	if err := apiError(m.Data); err != nil {
		return err
	}
	return json.Unmarshal(m.Data, answer)
}

// snapshotStream writes a snapshot of one stream to w.
func (q *Queue) snapshotStream(ctx context.Context, name string, w io.Writer) (StreamSnapshot, error) {
	inbox := q.conn.NewInbox()
	parts, err := q.conn.SubscribeSync(inbox)
	if err != nil {
		return StreamSnapshot{}, err
	}
	defer func() { _ = parts.Unsubscribe() }()
	s := StreamSnapshot{Name: name}
	err = q.callAPI(ctx, "$JS.API.STREAM.SNAPSHOT."+name, map[string]any{
		"deliver_subject": inbox, "no_consumers": true, "chunk_size": snapshotChunk,
	}, &s)
	if err != nil {
		return StreamSnapshot{}, err
	}
	for {
		waitCtx, cancel := context.WithTimeout(ctx, snapshotIdle)
		m, err := parts.NextMsgWithContext(waitCtx)
		cancel()
		if err != nil {
			return StreamSnapshot{}, err
		}
		if len(m.Data) == 0 {
			if status := m.Header.Get("Status"); status != "" && status != "204" {
				return StreamSnapshot{}, fmt.Errorf("the server stopped with %s %s", status, m.Header.Get("Description"))
			}
			return s, nil
		}
		if _, err := w.Write(m.Data); err != nil {
			return StreamSnapshot{}, err
		}
		if m.Reply != "" {
			if err := q.conn.Publish(m.Reply, nil); err != nil {
				return StreamSnapshot{}, err
			}
		}
	}
}

// RestoreSnapshots creates the streams of a new queue from snapshots. It restores the events first and the checkpoints last, so
// that an interrupted restore leaves no checkpoint without its events.
func RestoreSnapshots(ctx context.Context, c Config, list []StreamSnapshot, from func(stream string) (io.ReadCloser, error)) error {
	q, err := openConnection(c)
	if err != nil {
		return err
	}
	defer q.Close()
	for _, s := range list {
		if _, err := q.js.Stream(ctx, s.Name); !errors.Is(err, jetstream.ErrStreamNotFound) {
			return errors.Join(fmt.Errorf("%w: the stream %s exists", ErrNotEmpty, s.Name), err)
		}
	}
	for i := len(list) - 1; i >= 0; i-- {
		r, err := from(list[i].Name)
		if err != nil {
			return err
		}
		err = errors.Join(q.restoreStream(ctx, list[i], r), r.Close())
		if err != nil {
			return fmt.Errorf("restoring %s: %w", list[i].Name, err)
		}
	}
	return nil
}

// restoreStream creates a stream from its snapshot.
func (q *Queue) restoreStream(ctx context.Context, s StreamSnapshot, r io.Reader) error {
	config, err := q.adaptConfig(s.Config)
	if err != nil {
		return err
	}
	var to struct {
		Subject string `json:"deliver_subject"`
	}
	if err := q.callAPI(ctx, "$JS.API.STREAM.RESTORE."+s.Name, map[string]any{"config": config, "state": s.State}, &to); err != nil {
		return err
	}
	chunk := make([]byte, snapshotChunk)
	for {
		n, err := io.ReadFull(r, chunk)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return err
		}
		answer, failed := q.sendChunk(ctx, to.Subject, chunk[:n])
		if failed != nil || n == 0 {
			return failed
		}
		if len(answer) > 0 {
			if err := apiError(answer); err != nil {
				return err
			}
		}
	}
}

// sendChunk sends a part of a snapshot. An empty part ends it and is answered when the stream exists. On a cluster some server
// may not know the subject yet, so that a part without a receiver is sent again.
func (q *Queue) sendChunk(ctx context.Context, subject string, chunk []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*snapshotIdle)
	defer cancel()
	var m *nats.Msg
	err := retryWhile(ctx, isWithoutResponder, 50, 100*time.Millisecond, func() (err error) {
		m, err = q.conn.RequestMsgWithContext(ctx, &nats.Msg{Subject: subject, Data: chunk})
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(chunk) == 0 {
		return m.Data, apiError(m.Data)
	}
	return m.Data, nil
}

// adaptConfig adapts the config of a stream to this queue: the number of replicas depends on whether it is a cluster. Open
// updates the rest.
func (q *Queue) adaptConfig(raw json.RawMessage) (map[string]any, error) {
	var config map[string]any
	if err := json.Unmarshal(raw, &config); err != nil {
		return nil, err
	}
	config["num_replicas"] = 1
	if !q.isEmbedded() {
		config["num_replicas"] = q.config.Replicas
	}
	delete(config, "placement")
	return config, nil
}

// Partitions returns the number of partitions of the log.
func (q *Queue) Partitions() int { return q.partitions }
