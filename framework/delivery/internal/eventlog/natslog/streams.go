package natslog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/natslog/logfiles"
)

// Prepare creates the streams that do not exist and updates the others.
func (l *Log) Prepare(ctx context.Context, streams []eventlog.StreamConfig) error {
	for _, c := range streams {
		stream, err := l.prepareStream(ctx, c)
		if err != nil {
			return fmt.Errorf("the stream %s: %w", c.Name, namedError(err))
		}
		l.mu.Lock()
		l.streams[c.Name] = stream
		l.mu.Unlock()
	}
	return nil
}

// prepareStream creates a stream, or updates it if it exists. If another process creates it in between with another config, it is
// updated.
func (l *Log) prepareStream(ctx context.Context, c eventlog.StreamConfig) (jetstream.Stream, error) {
	const tries = 10
	config := l.natsConfig(c)
	for try := 1; ; try++ {
		known, err := l.js.Stream(ctx, c.Name)
		if err == nil {
			if c.Labels != nil {
				stored := infoOf(known.CachedInfo())
				if config.Metadata, err = c.Labels(&stored); err != nil {
					return nil, err
				}
			}
			config.AllowMsgTTL = config.AllowMsgTTL || known.CachedInfo().Config.AllowMsgTTL
			config.DenyDelete = known.CachedInfo().Config.DenyDelete // with which earlier versions have refused those before them
			return l.js.UpdateStream(ctx, config)
		}
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil, err
		}
		if c.Labels != nil {
			if config.Metadata, err = c.Labels(nil); err != nil {
				return nil, err
			}
		}
		created, err := l.js.CreateStream(ctx, config)
		if err == nil || try == tries || !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return created, err
		}
	}
}

// natsConfig returns the config of a stream in the terms of NATS.
func (l *Log) natsConfig(c eventlog.StreamConfig) jetstream.StreamConfig {
	config := jetstream.StreamConfig{
		Name: c.Name, Subjects: slices.Clone(c.Subjects), MaxBytes: -1, MaxMsgSize: -1,
		Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, AllowAtomicPublish: true, AllowDirect: true, Replicas: 1,
		Duplicates: time.Second,
	}
	if c.MaxBytes > 0 {
		config.MaxBytes = c.MaxBytes
	}
	if c.NewestOnly {
		config.MaxMsgsPerSubject, config.Discard = 1, jetstream.DiscardOld
	}
	if l.embedded == nil {
		config.Replicas = l.config.Replicas
	} else {
		config.Subjects = append(config.Subjects, probeSubject(c.Name))
		config.AllowMsgTTL = c.RefuseEarlier // no message has one, but the server refuses updates that end it, such as those of earlier versions
	}
	return config
}

// streamNamed returns the handle of a stream.
func (l *Log) streamNamed(ctx context.Context, name string) (jetstream.Stream, error) {
	l.mu.RLock()
	stream := l.streams[name]
	l.mu.RUnlock()
	if stream != nil {
		return stream, nil
	}
	stream, err := l.js.Stream(ctx, name)
	return stream, namedError(err)
}

// Info describes a stream.
func (l *Log) Info(ctx context.Context, stream string) (eventlog.Info, error) {
	info, err := l.streamInfo(ctx, stream)
	if err != nil {
		return eventlog.Info{}, err
	}
	return infoOf(info), nil
}

// Missing returns the sequences between the first and the last message of a stream that have no message.
func (l *Log) Missing(ctx context.Context, stream string) ([]uint64, error) {
	info, err := l.streamInfo(ctx, stream, jetstream.WithDeletedDetails(true))
	if err != nil {
		return nil, err
	}
	return info.State.Deleted, nil
}

// Subjects returns the subjects that match a filter and have messages.
func (l *Log) Subjects(ctx context.Context, stream, filter string) ([]string, error) {
	info, err := l.streamInfo(ctx, stream, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, err
	}
	list := make([]string, 0, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		list = append(list, subject)
	}
	return list, nil
}

func (l *Log) streamInfo(ctx context.Context, stream string, options ...jetstream.StreamInfoOpt) (info *jetstream.StreamInfo, err error) {
	err = l.acrossRestarts(ctx, func(ctx context.Context) error {
		info, err = l.readStreamInfo(ctx, stream, options...)
		return err
	})
	return info, err
}

func (l *Log) readStreamInfo(ctx context.Context, stream string, options ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	s, err := l.streamNamed(ctx, stream)
	if err != nil {
		return nil, err
	}
	info, err := s.Info(ctx, options...)
	return info, namedError(err)
}

func infoOf(info *jetstream.StreamInfo) eventlog.Info {
	s := info.State
	i := eventlog.Info{
		Created: info.Created, FirstSeq: s.FirstSeq, LastSeq: s.LastSeq, FirstTime: s.FirstTime, LastTime: s.LastTime,
		Messages: s.Msgs, Bytes: s.Bytes, Missing: s.NumDeleted, Labels: info.Config.Metadata,
	}
	if s.Msgs == 0 {
		i.FirstSeq = s.LastSeq + 1
	}
	return i
}

// Delete deletes a message.
func (l *Log) Delete(ctx context.Context, stream string, seq uint64) error {
	s, err := l.streamNamed(ctx, stream)
	if err != nil {
		return err
	}
	return deletionError(ctx, s, seq, s.DeleteMsg(ctx, seq))
}

// deletionError returns the error of a deletion, nil if the message is gone. The client does not say why the server has not deleted it.
func deletionError(ctx context.Context, s jetstream.Stream, seq uint64, err error) error {
	if errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		if _, found := s.GetMsg(ctx, seq); errors.Is(found, jetstream.ErrMsgNotFound) {
			return nil
		}
	}
	return namedError(err)
}

// PurgeBefore deletes the messages before a sequence.
func (l *Log) PurgeBefore(ctx context.Context, stream string, seq uint64) error {
	return l.purge(ctx, stream, jetstream.WithPurgeSequence(seq))
}

// PurgeSubjects deletes the messages whose subject matches a filter.
func (l *Log) PurgeSubjects(ctx context.Context, stream, filter string) error {
	return l.purge(ctx, stream, jetstream.WithPurgeSubject(filter))
}

func (l *Log) purge(ctx context.Context, stream string, which jetstream.StreamPurgeOpt) error {
	s, err := l.streamNamed(ctx, stream)
	if err != nil {
		return err
	}
	if err := s.Purge(ctx, which); err != nil || l.embedded == nil {
		return namedError(err)
	}
	return logfiles.SyncDir(l.config.Dir, stream) // otherwise messages that are written next could be lost with their file
}
