package natslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/natslog/logfiles"
	"github.com/landfall-dev/landfall/internal/pause"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// reconnectTimeout is how long the client has to connect to a server that was started again.
const reconnectTimeout = 30 * time.Second

// connectPoll is the time between two checks whether a server that was started again accepts requests.
const connectPoll = 20 * time.Millisecond

// Erase implements eventlog.Eraser. The server in this process is stopped while the files are rewritten that have something to rewrite. The
// servers of a cluster have files of their own: then the error is errors.ErrUnsupported.
//
// NATS can overwrite a message that it deletes, but only a whole one, and not if it was deleted before.
func (l *Log) Erase(ctx context.Context, rewrite func(stream, subject string, data []byte) []byte) error {
	if l.embedded == nil {
		return fmt.Errorf("overwriting messages on a cluster: %w", errors.ErrUnsupported)
	}
	if err := logfiles.RemoveLeftovers(l.config.Dir); err != nil {
		return err
	}
	r := &dataRewriter{rewrite: rewrite}
	clean, found, err := logfiles.Search(ctx, l.config.Dir, r.rewriteStored)
	if err == nil && found {
		err = l.eraseFiles(ctx, clean, r.rewriteStored)
	}
	if err == nil && r.noSpace {
		err = eventlog.ErrNoSpace
	}
	return err
}

// eraseFiles stops the server, rewrites the files that are not clean, and starts it again.
func (l *Log) eraseFiles(ctx context.Context, clean logfiles.Stamps, rewrite logfiles.Rewrite) error {
	defer l.writes.close()()
	err := l.embedded.restartAfter(func() error { return logfiles.Erase(ctx, l.config.Dir, clean, rewrite) })
	if connected := l.waitForConnection(); connected != nil {
		err = errors.Join(err, fmt.Errorf("no connection to the log after it was rewritten: %w", connected))
	}
	return err
}

// waitForConnection waits until the client is connected to the server that was started again. The client may not have noticed yet that it has lost the
// earlier one.
func (l *Log) waitForConnection() error {
	ctx, cancel := context.WithTimeout(context.Background(), reconnectTimeout)
	defer cancel()
	for !l.conn.IsConnected() || l.conn.ConnectedServerId() != l.embedded.serverID() {
		if l.conn.IsClosed() {
			return eventlog.ErrClosed
		}
		if err := pause.For(ctx, connectPoll); err != nil {
			return err
		}
	}
	return nil
}

// EraseCopies implements eventlog.Files. Copies that have compressed data, or may have some, are deleted, as they cannot be searched.
func (dir Files) EraseCopies(has func(stream string, content []byte) bool) (deleted int, err error) {
	files, err := textfile.Glob(filepath.Join(string(dir), logfiles.DamagedDir), "*/*/*")
	for _, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			return deleted, err
		}
		stream := filepath.Base(filepath.Dir(path))
		if logfiles.IsSearchable(stream, filepath.Base(path), content) && !bytes.Contains(content, []byte(compressedMark)) && !has(stream, content) {
			continue
		}
		if err := os.Remove(path); err != nil {
			return deleted, err
		}
		deleted++
	}
	return deleted, err
}
