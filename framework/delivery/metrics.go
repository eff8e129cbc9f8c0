package delivery

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/landfall-dev/landfall/framework/dispatch"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Keys of the counts of a partition, which its checkpoint stores. Each event counts once and each of its verdicts once. A dead or
// parked event that is replayed counts with its final outcome. events + replayed = unmatched + duplicate + unreadable + events
// with verdicts.
const (
	countEvents     = "events"
	countReplayed   = "replayed"
	countUnmatched  = "unmatched"
	countDuplicate  = "duplicate"
	countUnreadable = "unreadable"
	countDelivered  = "delivered"
	countSkipped    = "skipped"
	countDead       = "dead"
	countParked     = "parked"
	countDropped    = "dropped"
)

// Metrics are the Prometheus metrics of a Runner.
type Metrics struct {
	verdicts *prometheus.CounterVec
	skipped  *prometheus.CounterVec
	retries  *prometheus.CounterVec
	requests *prometheus.HistogramVec
	waits    *prometheus.HistogramVec
	expired  *prometheus.CounterVec
}

// NewMetrics creates the metrics and registers them; with a nil registry they are not exported.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "landfall", Name: name, Help: help}, labels)
	}
	m := &Metrics{
		verdicts: counter("verdicts_total", "Verdicts on events, by instance, action, subscription and outcome.", "instance", "action", "subscription", "outcome"),
		skipped:  counter("skipped_total", "Events that were skipped, by cause; the reason is the cause in words, sometimes with details. An instance has 100 reasons at most; further ones count as their cause.", "instance", "action", "subscription", "cause", "reason"),
		retries:  counter("retries_total", "Retries of events.", "instance", "action", "subscription"),
		expired:  counter("dead_letters_expired_total", "Dead letters that were deleted at a limit: age or size.", "bound"),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "landfall", Name: "batch_duration_seconds", Help: "Duration of batches, including all their requests.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 12),
		}, []string{"instance", "action", "subscription"}),
	}
	m.waits = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "landfall", Name: "event_wait_seconds",
		Help:    "How long the oldest event of a batch waited, by stage: read (until it was read from the log), send (until its batch started), verdict (until the batch ended).",
		Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 12),
	}, []string{"instance", "stage"})
	if registry != nil {
		registry.MustRegister(m.verdicts, m.skipped, m.retries, m.requests, m.waits, m.expired)
	}
	return m
}

// OutcomeRetried is the outcome of retries in Totals. The others are those of verdicts, and of events without a verdict: unmatched, duplicate
// and unreadable.
const OutcomeRetried = "retried"

// Totals calls add with the number of verdicts and retries of this process, by instance and outcome. It calls add several times for the same
// outcome.
func (m *Metrics) Totals(add func(instance, outcome string, n int64)) {
	eachCount(m.verdicts, func(labels map[string]string, n int64) { add(labels["instance"], labels["outcome"], n) })
	eachCount(m.retries, func(labels map[string]string, n int64) { add(labels["instance"], OutcomeRetried, n) })
}

// eachCount calls add with the labels and the number of each counter of a vector.
func eachCount(v *prometheus.CounterVec, add func(labels map[string]string, n int64)) {
	metrics := make(chan prometheus.Metric, 64)
	go func() { defer close(metrics); v.Collect(metrics) }()
	for m := range metrics {
		var read dto.Metric
		if m.Write(&read) != nil {
			continue
		}
		labels := map[string]string{}
		for _, pair := range read.GetLabel() {
			labels[pair.GetName()] = pair.GetValue()
		}
		add(labels, int64(read.GetCounter().GetValue()))
	}
}

func (m *Metrics) observeBatch(instance string, t *task, d time.Duration) {
	m.requests.WithLabelValues(instance, t.item.Subscription.Action().Key, t.item.Subscription.Name()).Observe(d.Seconds())
}

// observeWaits observes the waits of the oldest event of a batch that began at a time and took d. Events that were tried before, replayed
// or parked are left out, because they have waited for other reasons.
func (m *Metrics) observeWaits(instance string, tasks []*dispatch.Task[*task], began time.Time, d time.Duration) {
	var oldest *page
	for _, t := range tasks {
		if p := t.Value.page; t.Attempts() == 0 && !p.replayed && !p.holdsLetters && (oldest == nil || p.acceptedMillis < oldest.acceptedMillis) {
			oldest = p
		}
	}
	if oldest == nil {
		return
	}
	for stage, wait := range map[string]time.Duration{
		"read": oldest.readAt.Sub(time.UnixMilli(oldest.acceptedMillis)), "send": began.Sub(oldest.readAt), "verdict": d,
	} {
		m.waits.WithLabelValues(instance, stage).Observe(max(wait, 0).Seconds())
	}
}

func (m *Metrics) countRetry(instance string, t *task) {
	m.retries.WithLabelValues(instance, t.item.Subscription.Action().Key, t.item.Subscription.Name()).Inc()
}

// verdictKind is what distinguishes the counters of an instance's verdicts.
type verdictKind struct{ subscription, outcome string }

// countVerdictLocked adds a verdict to the metrics. The checkpoint counts it when the event is finished.
func (p *partition) countVerdictLocked(outcome, subscription string, cause fault.Cause, reason string) {
	p.dirty = true
	w := p.worker
	m, id, action := w.runner.metrics, w.id, w.actions[subscription]
	counter, ok := w.counters[verdictKind{subscription, outcome}]
	if !ok {
		counter = m.verdicts.WithLabelValues(id, action, subscription, outcome)
		w.counters[verdictKind{subscription, outcome}] = counter
	}
	counter.Inc()
	if outcome == countSkipped {
		w.skipCounterLocked(skipKind{subscription, cause, reason}).Inc()
	}
}

// skipKind is what distinguishes the counters of an instance's skipped events.
type skipKind struct {
	subscription string
	cause        fault.Cause
	reason       string
}

// maxSkipReasons is how many counters an instance has for skipped events before it counts further ones by their cause only: the reasons of a
// destination may name what an event has, such as an id.
const maxSkipReasons = 100

// skipCounterLocked returns the counter of skipped events of a kind.
func (w *worker) skipCounterLocked(k skipKind) prometheus.Counter {
	counter, ok := w.skipped[k]
	if ok {
		return counter
	}
	if text := k.cause.Text(); len(w.skipped) >= maxSkipReasons && k.reason != text {
		k.reason = text
		return w.skipCounterLocked(k)
	}
	counter = w.runner.metrics.skipped.WithLabelValues(w.id, w.actions[k.subscription], k.subscription, string(k.cause), k.reason)
	w.skipped[k] = counter
	return counter
}

// unmatchedOutcome returns the outcome of an event without tasks: no subscription matches it, or err tells why it was not mapped.
func unmatchedOutcome(err error) string {
	switch {
	case err == nil:
		return countUnmatched
	case err == errDuplicate:
		return countDuplicate
	case err == errErased:
		return countSkipped
	}
	return countUnreadable
}

// countUnmatched counts n events without tasks that have the same outcome.
func (m *Metrics) countUnmatched(instance, outcome string, n int) {
	m.verdicts.WithLabelValues(instance, "", "", outcome).Add(float64(n))
}
