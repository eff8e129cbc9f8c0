package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Code is the kind of a Finding.
type Code string

// Codes of findings.
const (
	CodeDisconnected    Code = "disconnected"   // no connection to NATS
	CodeUnwritable      Code = "unwritable"     // the log, its checkpoints, or dead letters cannot be written
	CodeUnreadable      Code = "unreadable"     // the log cannot be read
	CodeDiskShort       Code = "disk-short"     // less free disk space than MinFreeBytes
	CodeLogFull         Code = "log-full"       // the log has reached its limit
	CodeState           Code = "state"          // the ledger does not answer
	CodeLost            Code = "lost"           // accepted events are missing from the log
	CodeDamaged         Code = "damaged"        // files of the log are damaged
	CodeCheckpoints     Code = "checkpoints"    // checkpoints do not match the log, so their partitions are not delivered
	CodeNoOwner         Code = "no-owner"       // no process owns some partitions
	CodeStalled         Code = "stalled"        // accepted events make no progress though nothing is paused
	CodeParkedFull      Code = "parked-full"    // the limit of parked events is reached
	CodeSourceRemoved   Code = "source-removed" // events of a source that an instance no longer receives are not delivered
	CodeDeadLettersNear Code = "letters-near"   // the oldest dead letters will be deleted soon
	CodePaused          Code = "paused"         // the remote asked to wait
	CodeRetrying        Code = "retrying"       // the remote fails and is retried
	CodeDown            Code = "down"           // the remote is down
	CodeBudget          Code = "budget"         // a limit of the instance asks to wait
	CodeLogin           Code = "login-missing"  // an operator must log in
	CodeConfigRefused   Code = "config-refused" // the config in the file has mistakes, and the one before stays in effect
)

// Values of Finding.Stops.
const (
	StopsIngest   = "ingest"
	StopsDelivery = "delivery"
	StopsBoth     = "ingest and delivery"
)

// Finding is a problem, or a reason why something waits, with what to do about it. It contains no personal data.
type Finding struct {
	Code       Code      `json:"code"`
	Instance   string    `json:"instance,omitempty"` // the only instance concerned; "" for all
	Partitions []int     `json:"partitions,omitempty"`
	Since      time.Time `json:"since,omitzero"`
	Until      time.Time `json:"until,omitzero"`
	Stops      string    `json:"stops,omitempty"` // what the server cannot do; "" if it only waits for a remote or an operator
	Message    string    `json:"message"`
	Next       string    `json:"next"` // what to do
}

// Text returns the finding in one line.
func (f Finding) Text() string {
	var b strings.Builder
	if f.Stops != "" {
		fmt.Fprintf(&b, "no %s: ", f.Stops)
	}
	if f.Instance != "" {
		fmt.Fprintf(&b, "%s: ", f.Instance)
	}
	b.WriteString(f.Message)
	if !f.Since.IsZero() {
		fmt.Fprintf(&b, " since %s", f.Since.UTC().Format(time.RFC3339))
	}
	if !f.Until.IsZero() {
		fmt.Fprintf(&b, " until %s", f.Until.UTC().Format(time.RFC3339))
	}
	return b.String() + ": " + f.Next
}

// Health says whether a server accepts and delivers events, and lists all findings. Readiness, status, metrics and console show
// the same Health.
type Health struct {
	Ready      bool      `json:"ready"`      // it accepts and delivers events
	Ingesting  bool      `json:"taking"`     // it accepts events
	Delivering bool      `json:"delivering"` // it delivers them, unless it waits for a remote or an operator
	Findings   []Finding `json:"findings"`
}

// Check is an additional check of Health.
type Check struct {
	Code  Code
	Stops string
	Next  string // what to do if it fails
	Run   func(context.Context) error
}

const (
	checkTimeout  = 2 * time.Second  // of each Check
	checkCacheFor = time.Second      // how long the results of the Checks are cached
	fullFor       = 30 * time.Second // how long the log counts as full after it has rejected events
)

// checkCache caches the results of the additional Checks.
type checkCache struct {
	mu   sync.Mutex // guards the fields below; held while the Checks run
	at   time.Time
	list []Finding
}

// runChecks returns the results of the Checks, at most checkCacheFor old.
func (c *checkCache) runChecks(ctx context.Context, all []Check) []Finding {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.at) < checkCacheFor {
		return c.list
	}
	c.list = nil
	for _, check := range all {
		checkCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
		if err := check.Run(checkCtx); err != nil {
			c.list = append(c.list, Finding{Code: check.Code, Stops: check.Stops, Message: err.Error(), Next: check.Next})
		}
		cancel()
	}
	c.at = time.Now()
	return c.list
}

// Health returns the current health of the server.
func (r *Runner) Health(ctx context.Context) Health {
	h := Health{Ready: true, Ingesting: true, Delivering: true, Findings: []Finding{}}
	h.Findings = append(h.Findings, r.queue.queueFindings()...)
	h.Findings = append(h.Findings, r.checkCache.runChecks(ctx, r.settings.Checks)...)
	h.Findings = append(h.Findings, r.survey.partitionFindings(time.Now())...)
	h.Findings = append(h.Findings, r.survey.removedFindings()...)
	h.Findings = append(h.Findings, r.limitFindings()...)
	r.eachWorker(func(w *worker) { h.Findings = append(h.Findings, w.instanceFindings(time.Now())...) })
	slices.SortStableFunc(h.Findings, func(a, b Finding) int {
		return cmp.Or(strings.Compare(b.Stops, a.Stops), strings.Compare(a.Instance, b.Instance), strings.Compare(string(a.Code), string(b.Code)))
	})
	for _, f := range h.Findings {
		h.Ingesting = h.Ingesting && f.Stops != StopsIngest && f.Stops != StopsBoth
		h.Delivering = h.Delivering && f.Stops != StopsDelivery && f.Stops != StopsBoth
	}
	h.Ready = h.Ingesting && h.Delivering
	return h
}

// queueFindings returns the findings about the log and its disk.
func (q *Queue) queueFindings() (list []Finding) {
	if !q.store.Connected() {
		list = append(list, Finding{Code: CodeDisconnected, Stops: StopsBoth, Message: "there is no connection to NATS", Next: "check that its servers run and can be reached"})
	}
	next := "free space on the disk of the data directory, and see the server's log; writing resumes automatically"
	if q.store.Shared() {
		next = "see the logs of the NATS servers, and whether a majority of them runs"
	}
	for _, stream := range []string{eventsStream, journalStream, checkpointsStream, parkStream, deadStream} {
		since, err := q.store.WriteFailure(stream)
		if err == nil {
			continue
		}
		stops := StopsDelivery
		if stream == eventsStream || stream == journalStream {
			stops = StopsIngest
		}
		list = append(list, Finding{Code: CodeUnwritable, Stops: stops, Since: since, Message: err.Error(), Next: next})
	}
	var full *spaceError
	if errors.As(q.checkDiskSpace(), &full) {
		list = append(list, Finding{Code: CodeDiskShort, Stops: StopsIngest, Message: full.Error(), Next: "free space on the disk of the data directory, or lower delivery.minFreeBytes"})
	}
	if time.Since(time.Unix(0, q.fullSince.Load())) < fullFor {
		list = append(list, Finding{Code: CodeLogFull, Stops: StopsIngest, Message: "the log has reached its limit, and none of its events has been delivered to all instances",
			Next: "find out why instances are behind, or raise delivery.maxBytes"})
	}
	for _, d := range q.Problems() {
		f := Finding{Code: Code(d.Code), Message: d.What, Next: d.Next}
		if f.Code == CodeCheckpoints {
			f.Stops = StopsDelivery
		}
		list = append(list, f)
	}
	return list
}

// partitionFindings returns the findings about partitions.
func (s *survey) partitionFindings(now time.Time) (list []Finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unreadable != nil {
		list = append(list, Finding{Code: CodeUnreadable, Stops: StopsDelivery, Since: s.since, Message: "the log cannot be read: " + s.unreadable.Error(), Next: "see the log of the server"})
	}
	free, stalled := map[string]*Finding{}, map[string]*Finding{}
	for at, u := range s.unowned {
		if now.Sub(u.since) >= unownedGrace {
			addToFinding(free, at, u.since)
		}
	}
	for at, since := range s.stalled {
		addToFinding(stalled, at, since)
	}
	for _, f := range free {
		f.Code, f.Message = CodeNoOwner, fmt.Sprintf("no process works on %s", partitionsText(f.Partitions))
		f.Next = "see the server's log for why leases cannot be written; delivery resumes when they can"
		list = append(list, *f)
	}
	for _, f := range stalled {
		f.Code, f.Message = CodeStalled, fmt.Sprintf("accepted events make no progress in %s though nothing is paused", partitionsText(f.Partitions))
		f.Next = "see the server's log; a restart reads them again"
		list = append(list, *f)
	}
	return list
}

// addToFinding adds a partition to the finding of its instance.
func addToFinding(list map[string]*Finding, at partitionID, since time.Time) {
	f := list[at.instance]
	if f == nil {
		f = &Finding{Instance: at.instance, Stops: StopsDelivery, Since: since}
		list[at.instance] = f
	}
	f.Partitions = append(f.Partitions, at.partition)
	slices.Sort(f.Partitions)
	if since.Before(f.Since) {
		f.Since = since
	}
}

func partitionsText(list []int) string {
	const shown = 8
	text := strings.Trim(fmt.Sprint(list[:min(len(list), shown)]), "[]")
	text = strings.ReplaceAll(text, " ", ", ")
	switch {
	case len(list) == 1:
		return "partition " + text
	case len(list) > shown:
		return fmt.Sprintf("%d partitions (%s, …)", len(list), text)
	}
	return "partitions " + text
}

// limitFindings returns the findings about storage limits.
func (r *Runner) limitFindings() (list []Finding) {
	b := &r.limits
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.parkingFullSince.IsZero() {
		list = append(list, Finding{Code: CodeParkedFull, Since: b.parkingFullSince, Message: "no more events can be parked, so instances with parked events read no new ones",
			Next: b.nextLocked()})
	}
	if b.nearLimit != "" {
		list = append(list, Finding{Code: CodeDeadLettersNear, Message: "the oldest dead letters will be deleted soon, since their " + b.nearLimit + " is near its limit",
			Next: "replay or drop them with landfall dead, or raise delivery.letters"})
	}
	return list
}

// instanceFindings returns the findings about the instance.
func (w *worker) instanceFindings(now time.Time) (list []Finding) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.suspendReason != "" {
		list = append(list, Finding{Code: CodeLogin, Instance: w.id, Message: "nothing is sent: " + w.suspendReason, Next: "run landfall auth login --instance " + w.id})
	}
	stats := w.dispatcher.StatsLocked()
	limits, explained := w.gateFindingsLocked(now)
	list = append(list, limits...)
	if now.Before(stats.PausedUntil) && !explained {
		list = append(list, Finding{Code: CodePaused, Instance: w.id, Until: stats.PausedUntil, Message: "the remote asks to wait", Next: "landfall resume " + w.id + " ends that"})
	}
	if stats.Retrying > 0 && !now.Before(stats.PausedUntil) {
		list = append(list, Finding{Code: CodeRetrying, Instance: w.id, Until: stats.NextRetry, Message: "the remote fails, and events are retried", Next: "see landfall_retries_total and the log; landfall resume " + w.id + " retries at once"})
	}
	return list
}
