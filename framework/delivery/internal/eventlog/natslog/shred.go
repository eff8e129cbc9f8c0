package natslog

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/internal/pause"
)

var _ eventlog.Shredder = (*Log)(nil)

// Shred implements eventlog.Shredder. A server that encrypts its files deletes the message and does not overwrite it. Neither does one that was
// away, so nothing is deleted then.
func (l *Log) Shred(ctx context.Context, stream string, seqs []uint64) (deleted int, err error) {
	if len(seqs) == 0 {
		return 0, nil
	}
	if _, err := l.waitUntilCurrent(ctx, stream); err != nil {
		return 0, err
	}
	s, err := l.streamNamed(ctx, stream)
	if err != nil {
		return 0, err
	}
	for _, seq := range seqs {
		err := s.SecureDeleteMsg(ctx, seq)
		if err == nil {
			deleted++
		} else if err = deletionError(ctx, s, seq, err); err != nil {
			return deleted, err
		}
	}
	return deleted, nil
}

// A server deletes the oldest files of a stream's replication log when the log has 8 MB, and each file has 4 MB. So after fillBytes, it has no
// file with what was written before.
const (
	fillBytes = 12 << 20
	fillPart  = 256 << 10 // bytes of one request
)

const (
	currentTimeout = 30 * time.Second // how long the servers of a stream have to catch up
	awayAfter      = 10 * time.Second // a server that was not heard of for so long is away
	maxLag         = 32               // writes that a server may be behind: fewer than those that fill the replication log
	compactPause   = time.Second      // for the servers to compact in the background
)

// CompactServers implements eventlog.Shredder.
func (l *Log) CompactServers(ctx context.Context, stream string) (servers int, err error) {
	if servers, err = l.waitUntilCurrent(ctx, stream); err != nil || servers < 2 { // a single server does not replicate
		return servers, err
	}
	if err := l.fillReplicationLog(ctx, stream); err != nil {
		return 0, err
	}
	return l.waitUntilCurrent(ctx, stream)
}

// fillReplicationLog fills a stream's replication log with requests that change nothing: each purges a subject that has no messages. It waits twice
// until the servers have compacted.
func (l *Log) fillReplicationLog(ctx context.Context, stream string) error {
	nothing := "nothing." + strings.Repeat("x", int(min(fillPart, l.conn.MaxPayload()/2)))
	for filled := 0; filled < fillBytes; filled += len(nothing) {
		if err := l.PurgeSubjects(ctx, stream, nothing); err != nil {
			return err
		}
	}
	for range 2 { // a server that was compacting looks again at the next request
		if err := pause.For(ctx, compactPause); err != nil {
			return err
		}
		if err := l.PurgeSubjects(ctx, stream, "nothing"); err != nil {
			return err
		}
	}
	return nil
}

// waitUntilCurrent waits until all servers of a stream have applied all writes, and returns their number.
func (l *Log) waitUntilCurrent(ctx context.Context, stream string) (servers int, err error) {
	for began := time.Now(); ; {
		info, err := l.streamInfo(ctx, stream)
		if err != nil {
			return 0, err
		}
		c, replicas := info.Cluster, info.Config.Replicas
		if c == nil || replicas < 2 {
			return 1, nil
		}
		if err := serversAway(c, replicas); err != nil {
			return 0, fmt.Errorf("the stream %s: %w", stream, err)
		}
		behind := serverBehind(c)
		if behind == "" {
			return replicas, nil
		}
		if time.Since(began) > currentTimeout {
			return 0, fmt.Errorf("the stream %s: the NATS server %s is behind", stream, behind)
		}
		if err := pause.For(ctx, 200*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// serversAway returns an error if servers of a stream are away.
func serversAway(c *jetstream.ClusterInfo, replicas int) error {
	for _, r := range c.Replicas {
		if r.Offline || r.Active > awayAfter {
			return fmt.Errorf("the NATS server %s is away: start it", r.Name)
		}
	}
	if c.Leader == "" || len(c.Replicas)+1 < replicas {
		return fmt.Errorf("it has %d of %d NATS servers", len(c.Replicas)+1, replicas)
	}
	return nil
}

// serverBehind returns the name of a server that has not applied the latest writes, or "".
func serverBehind(c *jetstream.ClusterInfo) string {
	for _, r := range c.Replicas {
		if !r.Current && r.Lag > maxLag {
			return r.Name
		}
	}
	return ""
}
