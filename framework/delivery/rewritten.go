package delivery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/internal/storedtime"
)

// The pages of a cluster's log cannot be changed. A page with events to erase is replaced: a copy without these events is written to the stream of
// rewritten pages, and the page is deleted and overwritten. Only pages that all instances have finished are replaced, so that delivery never
// needs them. What reads stored events gets the copy where the page was.
const rewrittenStream = "REWRITTEN"

// Headers of rewritten pages.
const (
	pageSubjectHeader = "Landfall-Subject" // the subject of the page
	pageTimeHeader    = "Landfall-Stored"  // when the page was stored
)

// rewrittenConfig returns the config of the stream of rewritten pages. It is created when the first page is rewritten.
func rewrittenConfig() eventlog.StreamConfig {
	return eventlog.StreamConfig{Name: rewrittenStream, Subjects: []string{"page.*", "letter.>"}}
}

func rewrittenSubject(seq uint64) string { return "page." + strconv.FormatUint(seq, 10) }

// rewrittenWrite returns the message that replaces a page, with other data.
func rewrittenWrite(page eventlog.Message, data []byte) eventlog.Write {
	header := maps.Clone(page.Header)
	if header == nil {
		header = map[string]string{}
	}
	header[pageSubjectHeader], header[pageTimeHeader] = page.Subject, page.Time.Format(time.RFC3339Nano)
	return eventlog.Write{Subject: rewrittenSubject(page.Sequence), Header: header, Data: data}
}

// parseRewritten returns the page that a message replaces, with the data of the message.
func parseRewritten(m eventlog.Message) (page eventlog.Message, err error) {
	page = eventlog.Message{Subject: m.Header[pageSubjectHeader], Header: maps.Clone(m.Header), Data: m.Data}
	page.Sequence, err = strconv.ParseUint(strings.TrimPrefix(m.Subject, "page."), 10, 64)
	if err == nil {
		page.Time, err = time.Parse(time.RFC3339Nano, m.Header[pageTimeHeader])
	}
	if err != nil || len(strings.Split(page.Subject, ".")) < 3 {
		return page, fmt.Errorf("a rewritten page cannot be read: its subject is %q: %w", m.Subject, err)
	}
	delete(page.Header, pageSubjectHeader)
	delete(page.Header, pageTimeHeader)
	return page, nil
}

// rewrittenPages returns the sequences of the pages that were rewritten, sorted.
func (q *Queue) rewrittenPages(ctx context.Context) ([]uint64, error) {
	subjects, err := q.store.Subjects(ctx, rewrittenStream, "page.*")
	if errors.Is(err, eventlog.ErrNoStream) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading which pages were rewritten: %w", err)
	}
	var pages []uint64
	for _, subject := range subjects {
		if seq, err := strconv.ParseUint(strings.TrimPrefix(subject, "page."), 10, 64); err == nil {
			pages = append(pages, seq)
		}
	}
	slices.Sort(pages)
	return pages, nil
}

// storedRange returns the sequence of the first page of the log, which may be a rewritten one, and the log's last sequence. Without pages, first is
// last+1.
func (q *Queue) storedRange(ctx context.Context) (first, last uint64, err error) {
	info, err := q.store.Info(ctx, eventsStream)
	if err != nil {
		return 0, 0, err
	}
	first = info.FirstSeq
	pages, err := q.rewrittenPages(ctx)
	if err == nil && len(pages) > 0 {
		first = min(first, pages[0])
	}
	return first, info.LastSeq, err
}

// rewrittenPage returns a rewritten page. The error wraps eventlog.ErrNotFound if there is none.
func (q *Queue) rewrittenPage(ctx context.Context, seq uint64) (eventlog.Message, error) {
	m, err := q.store.Last(ctx, rewrittenStream, rewrittenSubject(seq))
	if errors.Is(err, eventlog.ErrNoStream) {
		return m, eventlog.ErrNotFound
	}
	if err != nil {
		return m, err
	}
	page, err := parseRewritten(m)
	if storedtime.WasAhead(page.Time, time.Now()) {
		page.Time = m.Time // it was stored while the clock was ahead, and before its copy
	}
	return page, err
}

// storedPage returns a page of the log, or the one that replaces it.
func (q *Queue) storedPage(ctx context.Context, seq uint64) (eventlog.Message, error) {
	m, err := q.store.Get(ctx, eventsStream, seq)
	if errors.Is(err, eventlog.ErrNotFound) {
		return q.rewrittenPage(ctx, seq)
	}
	return m, err
}

// rewrittenListAge is how old the list of rewritten pages may be while events are read. A page is deleted later than shredDelay after its copy was
// written, so that a reader which does not find the page knows the copy.
const (
	rewrittenListAge = time.Second
	shredDelay       = 2 * rewrittenListAge
)

// scanEvents calls visit for the pages of a query that the log has now, in order, with rewritten pages in the places of those that they replace.
func (q *Queue) scanEvents(ctx context.Context, query eventlog.Query, visit func(eventlog.Message) (more bool, err error)) error {
	s := &eventScan{queue: q, query: query, visit: visit, next: query.From}
	more := true
	err := q.store.Scan(ctx, eventsStream, query, func(m eventlog.Message) (bool, error) {
		var err error
		if more, err = s.visitRewritten(ctx, m.Sequence); err != nil || !more {
			return false, err
		}
		s.next = m.Sequence + 1
		more, err = visit(m)
		return more, err
	})
	if err == nil && more {
		_, err = s.visitRewritten(ctx, math.MaxUint64)
	}
	return err
}

// eventScan is a scan of the log in progress.
type eventScan struct {
	queue    *Queue
	query    eventlog.Query
	visit    func(eventlog.Message) (bool, error)
	next     uint64   // pages from here on are not visited yet
	pages    []uint64 // that were rewritten
	listedAt time.Time
}

// visitRewritten visits the rewritten pages before a sequence that are not visited yet.
func (s *eventScan) visitRewritten(ctx context.Context, before uint64) (more bool, err error) {
	if time.Since(s.listedAt) >= rewrittenListAge {
		s.listedAt = time.Now()
		if s.pages, err = s.queue.rewrittenPages(ctx); err != nil {
			return false, err
		}
	}
	for {
		i, _ := slices.BinarySearch(s.pages, s.next)
		if i == len(s.pages) || s.pages[i] >= before {
			return true, nil
		}
		s.next = s.pages[i] + 1
		m, err := s.queue.rewrittenPage(ctx, s.pages[i])
		if errors.Is(err, eventlog.ErrNotFound) {
			continue // trimmed in the meantime
		}
		if err != nil {
			return false, err
		}
		if !eventlog.MatchesAny(s.query.Filters, m.Subject) || m.Time.Before(s.query.Since) {
			continue
		}
		if more, err := s.visit(m); err != nil || !more {
			return false, err
		}
	}
}

// trimRewritten deletes rewritten pages that are older than the retention and before all pages of the log.
func (q *Queue) trimRewritten(ctx context.Context) error {
	if q.monitor.isOnHold() {
		return nil
	}
	pages, err := q.rewrittenPages(ctx)
	if err != nil {
		return err
	}
	q.monitor.mu.Lock()
	trimmed := q.monitor.state.Trimmed
	q.monitor.mu.Unlock()
	for _, seq := range pages {
		m, err := q.rewrittenPage(ctx, seq)
		switch {
		case errors.Is(err, eventlog.ErrNotFound):
			continue
		case err != nil:
			return err
		case seq > trimmed || time.Since(m.Time) < q.config.Retention:
			return nil // so are the others
		}
		if err := q.store.PurgeSubjects(ctx, rewrittenStream, rewrittenSubject(seq)); err != nil {
			return err
		}
	}
	return nil
}
