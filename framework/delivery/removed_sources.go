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
	removedInterval    = 5 * time.Minute // how often the events of removed sources are counted
	maxRemovedCounted  = 10_000          // events of a source that are counted
	maxRecordedSources = 64              // sources in a checkpoint, which is written often
)

// removedSources returns the sources that an instance no longer receives, each with the first page that it has not read of it. earlier is its last
// checkpoint, and sources are those that it receives now; none for all.
func removedSources(earlier checkpoint, sources []string) map[string]uint64 {
	if len(sources) == 0 {
		return nil
	}
	removed := map[string]uint64{}
	maps.Copy(removed, earlier.Removed)
	for _, source := range earlier.Sources {
		if _, known := removed[source]; !known {
			removed[source] = earlier.Low
		}
	}
	for _, source := range sources {
		delete(removed, source)
	}
	forgetEarliest(removed)
	return removed
}

// forgetEarliest forgets the sources that were removed first if there are too many for a checkpoint.
func forgetEarliest(removed map[string]uint64) {
	byPage := slices.SortedFunc(maps.Keys(removed), func(a, b string) int {
		return cmp.Or(cmp.Compare(removed[a], removed[b]), cmp.Compare(a, b))
	})
	for _, source := range byPage[:max(0, len(byPage)-maxRecordedSources)] {
		delete(removed, source)
	}
}

// recordedSources returns the sources to record in a checkpoint; none if they are too many.
func recordedSources(sources []string) []string {
	if len(sources) > maxRecordedSources {
		return nil
	}
	return sources
}

// removedSource counts the events of a source that waited for an instance when it stopped receiving the source.
type removedSource struct {
	instance, source string
	count            int // at most about maxRemovedCounted
	oldest           time.Time
}

// finding says how many events are not delivered, and what to do.
func (s *removedSource) finding() Finding {
	count := fault.Count(s.count, "event")
	if s.count >= maxRemovedCounted {
		count = "more than " + count
	}
	return Finding{
		Code: CodeSourceRemoved, Instance: s.instance, Since: s.oldest,
		Message: fmt.Sprintf("%s of the source %s that waited %s not delivered, since the instance no longer receives this source", count, s.source, fault.Plural(s.count, "is", "are")),
		Next: fmt.Sprintf("to deliver them, add the source to the config and to the instance again, and run landfall replay --instance %s --source %s --since %s; otherwise they are deleted after delivery.retention",
			s.instance, s.source, s.oldest.UTC().Format(time.RFC3339)),
	}
}

// removal says from which page of a partition on an instance no longer receives a source.
type removal struct {
	instance, source string
	partition        int
	from             uint64 // the page
}

// findRemovals returns the removals in the checkpoints of this process's instances.
func (r *Runner) findRemovals() (list []removal) {
	for _, id := range r.instanceIDs() {
		for n := range r.queue.partitions {
			seen, ok := r.leases.latestOf(checkpointSubject(id, n))
			if !ok || !bytes.Contains(seen.data, []byte(`"left"`)) {
				continue
			}
			removed := parseCheckpoint(seen.data).Removed
			for _, source := range slices.Sorted(maps.Keys(removed)) {
				list = append(list, removal{id, source, n, removed[source]})
			}
		}
	}
	return list
}

// surveyRemovals counts the events of removed sources if there are new removals, and otherwise every removedInterval.
func (r *Runner) surveyRemovals(ctx context.Context, now time.Time) error {
	removals := r.findRemovals()
	if slices.Equal(removals, r.survey.removals) && now.Sub(r.survey.removalsCounted) < removedInterval {
		return nil
	}
	found := map[[2]string]*removedSource{}
	for _, m := range removals {
		if err := r.countRemoved(ctx, found, m); err != nil {
			return err
		}
	}
	r.survey.removals, r.survey.removalsCounted = removals, now
	list := slices.SortedFunc(maps.Values(found), func(a, b *removedSource) int {
		return cmp.Or(cmp.Compare(a.instance, b.instance), cmp.Compare(a.source, b.source))
	})
	r.survey.mu.Lock()
	was := r.survey.removed
	r.survey.removed = list
	r.survey.mu.Unlock()
	for _, s := range list {
		if !slices.ContainsFunc(was, func(w *removedSource) bool { return w.instance == s.instance && w.source == s.source }) {
			f := s.finding()
			r.log.Warn(f.Message+": "+f.Next, "instance", s.instance, "source", s.source)
		}
	}
	return nil
}

// countRemoved counts the events after a removal. It ends after many pages without any of them.
func (r *Runner) countRemoved(ctx context.Context, found map[[2]string]*removedSource, of removal) error {
	key, only, passed := [2]string{of.instance, of.source}, map[string]bool{of.source: true}, 0
	partition := "." + strconv.Itoa(of.partition)
	query := eventlog.Query{Filters: []string{"ev." + subjectToken(of.source) + partition, "ev." + mixedToken + partition}, From: max(of.from, 1)}
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
		s := found[key]
		if s == nil {
			s = &removedSource{instance: of.instance, source: of.source, oldest: m.Time}
			found[key] = s
		}
		s.count += count
		if m.Time.Before(s.oldest) {
			s.oldest = m.Time
		}
		return s.count < maxRemovedCounted, nil
	})
}

// instanceIDs returns the ids of the instances of this process.
func (r *Runner) instanceIDs() (ids []string) {
	r.eachWorker(func(w *worker) { ids = append(ids, w.id) })
	return ids
}

// removedFindings returns a finding for each removed source with events that are not delivered.
func (s *survey) removedFindings() (list []Finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, removed := range s.removed {
		list = append(list, removed.finding())
	}
	return list
}
