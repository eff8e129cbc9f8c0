package delivery

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// formatRecords is the format of the snapshots of streams that keep only the newest message of each subject: a message in each line,
// as JSON, compressed with gzip. A copy of such a stream's files, made while the stream is in use, lacks a subject whose message was
// in a file that was copied later and was then replaced by one in a file that was created after the copy began.
const formatRecords = "records"

// snapshotRecord is a line of a snapshot in formatRecords.
type snapshotRecord struct {
	Subject string            `json:"subject"`
	Header  map[string]string `json:"header,omitempty"`
	Data    []byte            `json:"data"`
}

// snapshotPart is the number of bytes that are written at once.
const snapshotPart = 512 << 10

// Bounds of one append while records are restored.
const (
	maxRestoredRecords = 100
	maxRestoredBytes   = 1 << 20
)

// writeRecords writes a message of each subject that a stream has throughout. It first scans the stream, and then gets the messages
// of the subjects that the scan missed because they were replaced in the meantime.
func (q *Queue) writeRecords(ctx context.Context, stream string, w io.Writer) error {
	part := bufio.NewWriterSize(w, snapshotPart)
	zip, err := gzip.NewWriterLevel(part, gzip.BestSpeed)
	if err != nil {
		return err
	}
	out, written := json.NewEncoder(zip), map[string]bool{}
	write := func(m eventlog.Message) error {
		written[m.Subject] = true
		return out.Encode(snapshotRecord{m.Subject, m.Header, m.Data})
	}
	err = q.store.Scan(ctx, stream, eventlog.Query{Filters: []string{">"}}, func(m eventlog.Message) (bool, error) {
		if written[m.Subject] {
			return true, nil
		}
		return true, write(m)
	})
	if err != nil {
		return err
	}
	subjects, err := q.store.Subjects(ctx, stream, ">")
	if err != nil {
		return err
	}
	for _, subject := range subjects {
		if written[subject] {
			continue
		}
		m, err := q.store.Last(ctx, stream, subject)
		if errors.Is(err, eventlog.ErrNotFound) {
			continue // deleted in the meantime
		}
		if err == nil {
			err = write(m)
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(zip.Close(), part.Flush())
}

// restoreRecords creates a stream and appends the messages of a snapshot in formatRecords.
func (q *Queue) restoreRecords(ctx context.Context, stream string, r io.Reader) error {
	config, err := q.streamConfig(stream)
	if err != nil {
		return err
	}
	zip, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	if err := q.store.Prepare(ctx, []eventlog.StreamConfig{config}); err != nil {
		return err
	}
	var writes []eventlog.Write
	size := 0
	for in := json.NewDecoder(zip); ; {
		var record snapshotRecord
		err := in.Decode(&record)
		if err != nil && err != io.EOF {
			return err
		}
		full := len(writes) == maxRestoredRecords || size+len(record.Data) > maxRestoredBytes
		if len(writes) > 0 && (full || err == io.EOF) {
			if _, err := q.store.Append(ctx, stream, writes); err != nil {
				return err
			}
			writes, size = nil, 0
		}
		if err == io.EOF {
			return nil
		}
		writes, size = append(writes, eventlog.Write{Subject: record.Subject, Header: record.Header, Data: record.Data}), size+len(record.Data)
	}
}

// streamConfig returns the config of a stream with this name.
func (q *Queue) streamConfig(name string) (eventlog.StreamConfig, error) {
	for _, c := range append(q.streamConfigs(), rewrittenConfig()) {
		if c.Name == name {
			return c, nil
		}
	}
	return eventlog.StreamConfig{}, fmt.Errorf("the queue has no stream %s", name)
}
