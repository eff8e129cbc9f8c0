package natslog

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// snapshotChunk is the size of the parts in which a snapshot is sent, in bytes.
const snapshotChunk = 512 << 10

// snapshotIdle is the timeout for the next part of a snapshot.
const snapshotIdle = time.Minute

// streamSnapshot is the answer of the JetStream API to the request for a snapshot.
type streamSnapshot struct {
	Config json.RawMessage `json:"config"`
	State  json.RawMessage `json:"state"`
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
func (l *Log) callAPI(ctx context.Context, subject string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	m, err := l.conn.RequestWithContext(ctx, subject, body)
	if err != nil {
		return namedError(err)
	}
	if err := apiError(m.Data); err != nil {
		return namedError(err)
	}
	return json.Unmarshal(m.Data, answer)
}

// Snapshot writes a snapshot of one stream to w.
func (l *Log) Snapshot(ctx context.Context, stream string, w io.Writer) (eventlog.Snapshot, error) {
	inbox := l.conn.NewInbox()
	parts, err := l.conn.SubscribeSync(inbox)
	if err != nil {
		return eventlog.Snapshot{}, namedError(err)
	}
	defer func() { _ = parts.Unsubscribe() }()
	var s streamSnapshot
	err = l.callAPI(ctx, "$JS.API.STREAM.SNAPSHOT."+stream, map[string]any{
		"deliver_subject": inbox, "no_consumers": true, "chunk_size": snapshotChunk,
	}, &s)
	if err != nil {
		return eventlog.Snapshot{}, err
	}
	if err := l.copyParts(ctx, parts, w); err != nil {
		return eventlog.Snapshot{}, err
	}
	return eventlog.Snapshot{Name: stream, Config: s.Config, State: s.State}, nil
}

// copyParts writes the parts of a snapshot to w.
func (l *Log) copyParts(ctx context.Context, parts *nats.Subscription, w io.Writer) error {
	for {
		waitCtx, cancel := context.WithTimeout(ctx, snapshotIdle)
		m, err := parts.NextMsgWithContext(waitCtx)
		cancel()
		if err != nil {
			return err
		}
		if len(m.Data) == 0 {
			if status := m.Header.Get("Status"); status != "" && status != "204" {
				return fmt.Errorf("the server stopped with %s %s", status, m.Header.Get("Description"))
			}
			return nil
		}
		if _, err := w.Write(m.Data); err != nil {
			return err
		}
		if m.Reply != "" {
			if err := l.conn.Publish(m.Reply, nil); err != nil {
				return err
			}
		}
	}
}

// Restore creates a stream from its snapshot.
func (l *Log) Restore(ctx context.Context, s eventlog.Snapshot, r io.Reader) error {
	config, err := l.adaptConfig(s.Config)
	if err != nil {
		return err
	}
	var to struct {
		Subject string `json:"deliver_subject"`
	}
	if err := l.callAPI(ctx, "$JS.API.STREAM.RESTORE."+s.Name, map[string]any{"config": config, "state": s.State}, &to); err != nil {
		return err
	}
	chunk := make([]byte, snapshotChunk)
	for {
		n, err := io.ReadFull(r, chunk)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return err
		}
		answer, failed := l.sendChunk(ctx, to.Subject, chunk[:n])
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
func (l *Log) sendChunk(ctx context.Context, subject string, chunk []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*snapshotIdle)
	defer cancel()
	var m *nats.Msg
	err := eventlog.RetryWhile(ctx, nats.ErrNoResponders, 50, 100*time.Millisecond, func() (err error) {
		m, err = l.conn.RequestMsgWithContext(ctx, &nats.Msg{Subject: subject, Data: chunk})
		return err
	})
	if err != nil {
		return nil, namedError(err)
	}
	if len(chunk) == 0 {
		return m.Data, apiError(m.Data)
	}
	return m.Data, nil
}

// adaptConfig adapts the config of a stream to this log: the number of replicas depends on whether it is a cluster. Prepare
// updates the rest.
func (l *Log) adaptConfig(raw json.RawMessage) (map[string]any, error) {
	var config map[string]any
	if err := json.Unmarshal(raw, &config); err != nil {
		return nil, err
	}
	config["num_replicas"] = 1
	if l.embedded == nil {
		config["num_replicas"] = l.config.Replicas
		delete(config, "deny_delete") // with which earlier versions have refused those before them: events that are erased on a cluster are deleted
	}
	delete(config, "placement")
	return config, nil
}
