package delivery

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/fault"
)

const (
	leftInterval       = 5 * time.Minute // how often the events that were left are counted
	maxLeftCounted     = 10_000          // events of a source that are counted
	maxRecordedSources = 64              // sources in a checkpoint, which is written often
)

// leftSources returns from which page on an instance has left the events of sources that it no longer receives, by source. earlier is its last
// checkpoint, and sources are those that it receives now; none for all.
func leftSources(earlier checkpoint, sources []string) map[string]uint64 {
	if len(sources) == 0 {
		return nil
	}
	left := map[string]uint64{}
	maps.Copy(left, earlier.Left)
	for _, source := range earlier.Sources {
		if _, known := left[source]; !known {
			left[source] = earlier.Low
		}
	}
	for _, source := range sources {
		delete(left, source)
	}
	forgetEarliest(left)
	return left
}

// forgetEarliest removes those sources that were left first if there are too many for a checkpoint.
func forgetEarliest(left map[string]uint64) {
	byPage := slices.SortedFunc(maps.Keys(left), func(a, b string) int {
		return cmp.Or(cmp.Compare(left[a], left[b]), cmp.Compare(a, b))
	})
	for _, source := range byPage[:max(0, len(byPage)-maxRecordedSources)] {
		delete(left, source)
	}
}

// recordedSources returns the sources to record in a checkpoint; none if they are too many.
func recordedSources(sources []string) []string {
	if len(sources) > maxRecordedSources {
		return nil
	}
	return sources
}

// leftEvents are the events of a source that an instance no longer receives, and that waited for it.
type leftEvents struct {
	instance, source string
	count            int // at most about maxLeftCounted
	oldest           time.Time
}

// finding says how many events were left, and what to do.
func (l *leftEvents) finding() Finding {
	count := fault.Count(l.count, "event")
	if l.count >= maxLeftCounted {
		count = "more than " + count
	}
	return Finding{
		Code: CodeSourceRemoved, Instance: l.instance, Since: l.oldest,
		Message: fmt.Sprintf("%s of the source %s that waited %s not delivered, since the instance no longer receives this source", count, l.source, fault.Plural(l.count, "is", "are")),
		Next: fmt.Sprintf("to deliver them, add the source to the config and to the instance again, and run landfall replay --instance %s --source %s --since %s; otherwise they are deleted after delivery.retention",
			l.instance, l.source, l.oldest.UTC().Format(time.RFC3339)),
	}
}

// leftPages are the pages of a partition from which on an instance has left the events of a source.
type leftPages struct {
	instance, source string
	partition        int
	from             uint64
}

// findLeft returns the pages that instances of this process have left, as their checkpoints say.
func (r *Runner) findLeft() (list []leftPages) {
	for _, id := range r.instanceIDs() {
		for n := range r.queue.partitions {
			seen, ok := r.leases.latestOf(checkpointSubject(id, n))
			if !ok || !bytes.Contains(seen.data, []byte(`"left"`)) {
				continue
			}
			left := parseCheckpoint(seen.data).Left
			for _, source := range slices.Sorted(maps.Keys(left)) {
				list = append(list, leftPages{id, source, n, left[source]})
			}
		}
	}
	return list
}

// surveyLeft counts the events that instances of this process have left, if there are others than before, and now and then.
func (r *Runner) surveyLeft(ctx context.Context, now time.Time) error {
	pages := r.findLeft()
	if slices.Equal(pages, r.survey.leftPages) && now.Sub(r.survey.leftCounted) < leftInterval {
		return nil
	}
	found := map[[2]string]*leftEvents{}
	for _, p := range pages {
		if err := r.countLeft(ctx, found, p); err != nil {
			return err
		}
	}
	r.survey.leftPages, r.survey.leftCounted = pages, now
	list := slices.SortedFunc(maps.Values(found), func(a, b *leftEvents) int {
		return cmp.Or(cmp.Compare(a.instance, b.instance), cmp.Compare(a.source, b.source))
	})
	r.survey.mu.Lock()
	was := r.survey.left
	r.survey.left = list
	r.survey.mu.Unlock()
	for _, l := range list {
		if !slices.ContainsFunc(was, func(w *leftEvents) bool { return w.instance == l.instance && w.source == l.source }) {
			f := l.finding()
			r.log.Warn(f.Message+": "+f.Next, "instance", l.instance, "source", l.source)
		}
	}
	return nil
}

// countLeft adds the events of pages that were left. They are followed by pages without any of them.
func (r *Runner) countLeft(ctx context.Context, found map[[2]string]*leftEvents, p leftPages) error {
	key, only, passed := [2]string{p.instance, p.source}, map[string]bool{p.source: true}, 0
	partition := "." + strconv.Itoa(p.partition)
	query := eventlog.Query{Filters: []string{"ev." + subjectToken(p.source) + partition, "ev." + mixedToken + partition}, From: max(p.from, 1)}
	return r.queue.store.Scan(ctx, eventsStream, query, func(m eventlog.Message) (more bool, err error) {
		count := 0
		for _, events := range newLogPage(m, 0, maphash.Seed{}).eventsFrom(only) {
			count += events.to - events.from
		}
		if count == 0 {
			passed++
			return passed < maxPassedPages, nil
		}
		passed = 0
		l := found[key]
		if l == nil {
			l = &leftEvents{instance: p.instance, source: p.source, oldest: m.Time}
			found[key] = l
		}
		l.count += count
		if m.Time.Before(l.oldest) {
			l.oldest = m.Time
		}
		return l.count < maxLeftCounted, nil
	})
}

// instanceIDs returns the ids of the instances of this process.
func (r *Runner) instanceIDs() (ids []string) {
	r.eachWorker(func(w *worker) { ids = append(ids, w.id) })
	return ids
}

// leftFindings returns a finding for each source whose events were left.
func (s *survey) leftFindings() (list []Finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.left {
		list = append(list, l.finding())
	}
	return list
}
