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

// snapshotChunk is how many bytes of a snapshot are sent at once.
const snapshotChunk = 512 << 10

// snapshotIdle is how long the next part of a snapshot may take.
const snapshotIdle = time.Minute

// StreamSnapshot describes the snapshot of one stream.
type StreamSnapshot struct {
	Name   string          `json:"name"`
	Config json.RawMessage `json:"config"` // of the stream, as the log's server has it
	State  json.RawMessage `json:"state"`  // of the stream, when the snapshot was taken
}

// ErrNotEmpty says that a queue holds something already, so nothing can be restored into it.
var ErrNotEmpty = errors.New("there is a queue already")

// Snapshots writes snapshots of the queue's streams, while it is used. The checkpoints come first and the events last: whatever a
// checkpoint speaks of is in the snapshot of the events, and what is parked or dead by a checkpoint is in the snapshots of those.
func (q *Queue) Snapshots(ctx context.Context, to func(stream string) (io.Writer, error)) ([]StreamSnapshot, error) {
	if err := q.holdTrimming(ctx, time.Hour); err != nil {
		return nil, fmt.Errorf("keeping events from being trimmed: %w", err)
	}
	defer func() { _ = q.holdTrimming(context.WithoutCancel(ctx), 0) }() // it ends by itself
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

// holdTrimming keeps events from being trimmed for a time. Without that, the record of what was trimmed and the events would not match.
func (q *Queue) holdTrimming(ctx context.Context, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	until := int64(0)
	if d > 0 {
		until = time.Now().Add(d).Unix()
	}
	return q.monitor.updateState(ctx, func(s *logState) { s.Hold = until })
}

// apiError is the error that an answer of the log's server holds, if it does.
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

// callAPI asks the API of the log's server.
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

// snapshotStream writes the snapshot of one stream.
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
		waiting, cancel := context.WithTimeout(ctx, snapshotIdle)
		m, err := parts.NextMsgWithContext(waiting)
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

// RestoreSnapshots puts the streams of snapshots in the place of a queue that is not there yet. The events come first and the
// checkpoints last, so that a restore that was interrupted leaves no checkpoint without its events.
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

// restoreStream makes a stream from its snapshot.
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

// sendChunk sends a part of a snapshot; an empty one ends it, and is answered when the stream is there. On a cluster the subject may
// not be known on each server yet, so that a part that no server received is sent again.
func (q *Queue) sendChunk(ctx context.Context, subject string, chunk []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*snapshotIdle)
	defer cancel()
	m, err := q.conn.RequestMsgWithContext(ctx, &nats.Msg{Subject: subject, Data: chunk})
	for range 50 {
		if !errors.Is(err, nats.ErrNoResponders) || sleepContext(ctx, 100*time.Millisecond) != nil {
			break
		}
		m, err = q.conn.RequestMsgWithContext(ctx, &nats.Msg{Subject: subject, Data: chunk})
	}
	if err != nil {
		return nil, err
	}
	if len(chunk) == 0 {
		return m.Data, apiError(m.Data)
	}
	return m.Data, nil
}

// adaptConfig makes the config of a stream fit this log: a cluster keeps copies, a log on one machine does not, and only that takes
// test writes. Everything else is brought up to date when the queue is opened.
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

// Partitions is how many partitions the log has.
func (q *Queue) Partitions() int { return q.partitions }
