package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// journalHeader is the header with the id of a group: in the journal of the group itself, and in the log of the last group of a transfer, in the
// last message of that.
const journalHeader = "Landfall-Journal"

// partHeader is the header with the id of the last group of a transfer. Each part of the transfer that is written by itself has it in its
// last message, except the last part.
const partHeader = "Landfall-Journal-Part"

// clockTolerance is how far the clock may have been set back while groups were in the journal.
const clockTolerance = time.Hour

// recoverGroups reads the groups that an earlier process has written and not transferred.
func (j *journal) recoverGroups(ctx context.Context) error {
	info, err := j.queue.store.Info(ctx, journalStream)
	if err != nil {
		return err
	}
	if info.Messages == 0 {
		return nil
	}
	known, unfinished, err := j.lastInLog(ctx, info.FirstTime.Add(-clockTolerance))
	if err != nil {
		return err
	}
	err = j.queue.store.Scan(ctx, journalStream, eventlog.Query{Filters: []string{journalSubject, compressedSubject}}, func(m eventlog.Message) (bool, error) {
		text, err := groupText(m.Subject, m.Data)
		if err != nil {
			return false, fmt.Errorf("message %d: %w", m.Sequence, err)
		}
		g := journalGroup{id: m.Header[journalHeader], seq: m.Sequence, records: decodeGroup(text), bytes: len(text)}
		j.waiting, j.bytes, j.written = append(j.waiting, g), j.bytes+g.bytes, g.seq // the stream may end with a test write
		if g.id == known && known != "" {
			j.waiting, j.bytes, j.unpurged = nil, 0, j.unpurged+j.bytes
		}
		return true, nil
	})
	if unfinished.groupsIn(j.waiting) > 0 {
		j.unfinished = unfinished
	}
	if j.transferred = j.written; len(j.waiting) > 0 {
		j.transferred = j.waiting[0].seq - 1
		j.queue.config.Log.Info("transferring accepted events from the journal to the log, which the last process had no time for", "bytes", j.bytes)
	}
	return err
}

// lastInLog returns the id of the last group that is in the log, according to the messages that were stored since a time; "" if none says so. Then
// groups of which the log has events may be transferred again, and these events are skipped as duplicates. It also returns the transfer that was
// begun after that group.
func (j *journal) lastInLog(ctx context.Context, since time.Time) (id string, begun unfinishedTransfer, err error) {
	info, err := j.queue.store.Info(ctx, eventsStream)
	if err != nil {
		return "", begun, err
	}
	for seq := info.LastSeq; seq >= info.FirstSeq && seq > 0; seq-- {
		m, err := j.queue.store.Get(ctx, eventsStream, seq)
		if errors.Is(err, eventlog.ErrNotFound) {
			continue
		}
		if err != nil {
			return "", begun, err
		}
		if m.Time.Before(since) {
			return "", begun, nil
		}
		if id := m.Header[journalHeader]; id != "" {
			return id, begun, nil
		}
		begun.noteEarlier(&m)
	}
	return "", begun, nil
}
