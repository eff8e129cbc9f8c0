package history

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/state"
)

// maxReason is the number of characters that are kept of a reason.
const maxReason = 500

// verdictGroup is a journal entry: the verdicts that differ only in their event.
type verdictGroup struct {
	Instance     string         `json:"instance"`
	Subscription string         `json:"subscription"`
	Outcome      string         `json:"outcome"`
	Cause        fault.Cause    `json:"cause,omitempty"`
	Reason       string         `json:"reason,omitempty"`
	Attempts     int            `json:"attempts,omitempty"`
	Batch        *batchDocument `json:"batch,omitempty"`
	Events       string         `json:"events"` // positions as page-index, separated by spaces
}

// batchDocument is a delivery.Batch as JSON.
type batchDocument struct {
	ID           string               `json:"id"`
	At           time.Time            `json:"at"`
	Milliseconds float64              `json:"ms"`
	Events       int                  `json:"events"`
	Requests     []*delivery.Exchange `json:"requests,omitempty"`
	Partial      bool                 `json:"partial,omitempty"`
}

// groupKey identifies the verdicts that share an entry.
type groupKey struct {
	instance, subscription, outcome, reason string
	cause                                   fault.Cause
	attempts                                int
	batch                                   *delivery.Batch
	request                                 *delivery.Exchange
}

// isRoutine reports whether an outcome needs no attention. Its verdicts are kept apart, so that they do not displace the others.
func isRoutine(outcome string, cause fault.Cause) bool {
	return outcome == "delivered" || outcome == "skipped" && cause == fault.CauseNoChange
}

// entryBuilder collects verdicts in journal entries. Verdicts of one batch with the same outcome share an entry.
type entryBuilder struct {
	entries []state.JournalEntry
	groups  []*verdictGroup // of the entries, without their events
	events  []*strings.Builder
	byKey   map[groupKey]int // indexes of entries
	last    groupKey         // of the latest verdict, because most verdicts follow one that shares their entry
	latest  int              // the entry of last; -1 before the first verdict
}

// verdictEntries returns the journal entries of verdicts.
func verdictEntries(verdicts []delivery.VerdictRecord) []state.JournalEntry {
	b := &entryBuilder{byKey: map[groupKey]int{}, latest: -1}
	var position []byte
	for i := range verdicts {
		v := &verdicts[i]
		n := b.entryOf(v)
		e := &b.entries[n]
		e.At, e.Low, e.High = v.At, min(e.Low, v.Seq), max(e.High, v.Seq)
		position = append(strconv.AppendUint(position[:0], v.Seq, 10), '-')
		position = append(strconv.AppendInt(position, int64(v.Index), 10), ' ')
		b.events[n].Write(position)
	}
	for i, g := range b.groups {
		g.Events = strings.TrimSuffix(b.events[i].String(), " ")
		text, err := json.Marshal(g)
		if err != nil {
			panic(err) // cannot happen: every field can be marshaled
		}
		b.entries[i].Data = string(text)
	}
	return b.entries
}

// entryOf returns the index of a verdict's entry, which it creates if needed.
func (b *entryBuilder) entryOf(v *delivery.VerdictRecord) int {
	key := groupKey{v.Instance, v.Subscription, v.Outcome, fault.Shorten(v.Reason, maxReason), v.Cause, v.Attempts, v.Batch, v.Request}
	if b.latest >= 0 && key == b.last {
		return b.latest
	}
	n, known := b.byKey[key]
	if !known {
		n = len(b.entries)
		b.byKey[key] = n
		kind := kindVerdict
		if isRoutine(v.Outcome, v.Cause) {
			kind = kindRoutine
		}
		b.entries = append(b.entries, state.JournalEntry{Kind: kind, Low: v.Seq, High: v.Seq})
		b.groups = append(b.groups, &verdictGroup{
			Instance: v.Instance, Subscription: v.Subscription, Outcome: v.Outcome, Cause: v.Cause, Reason: key.reason, Attempts: v.Attempts, Batch: newBatchDocument(v),
		})
		b.events = append(b.events, &strings.Builder{})
	}
	b.last, b.latest = key, n
	return n
}

// newBatchDocument returns the batch of a verdict, nil if it has none. Of an event that was not delivered, it has the failed request that
// carried the event, if there was one, and none of the requests for other events.
func newBatchDocument(v *delivery.VerdictRecord) *batchDocument {
	b := v.Batch
	if b == nil && v.Request == nil {
		return nil
	}
	if b == nil {
		return &batchDocument{Requests: []*delivery.Exchange{v.Request}, Events: 1}
	}
	d := &batchDocument{ID: b.ID, At: b.At, Milliseconds: float64(b.Duration.Microseconds()) / 1000, Events: b.Events}
	switch {
	case v.Outcome == "delivered":
		d.Requests, d.Partial = b.Requests, b.Partial
	case v.Request != nil:
		d.Requests = []*delivery.Exchange{v.Request}
	}
	return d
}

// Position is the position of an event in the log.
type Position struct {
	Seq   uint64 `json:"seq"`
	Index int    `json:"index"`
}

// maxGroups is the number of entries that Verdicts reads at most.
const maxGroups = 20_000

// Verdicts returns the recorded verdicts on events, by their position, oldest first.
func Verdicts(ctx context.Context, store *state.Store, events []Position) (map[Position][]delivery.VerdictRecord, error) {
	found := map[Position][]delivery.VerdictRecord{}
	if len(events) == 0 {
		return found, nil
	}
	wanted, seqs := map[string]Position{}, []uint64(nil)
	for _, p := range events {
		wanted[strconv.FormatUint(p.Seq, 10)+"-"+strconv.Itoa(p.Index)] = p
		seqs = append(seqs, p.Seq)
	}
	query := state.JournalQuery{Kinds: []string{kindRoutine, kindVerdict}, Seqs: seqs, Limit: maxGroups}
	err := store.Journal(ctx, query, func(e state.JournalEntry) bool {
		var g verdictGroup
		if json.Unmarshal([]byte(e.Data), &g) != nil {
			return true // written by another version
		}
		for text := range strings.FieldsSeq(g.Events) {
			if p, ok := wanted[text]; ok {
				found[p] = append([]delivery.VerdictRecord{g.record(e.At, p)}, found[p]...)
			}
		}
		return true
	})
	return found, err
}

// record returns the verdict of the group on one event.
func (g *verdictGroup) record(at time.Time, p Position) delivery.VerdictRecord {
	v := delivery.VerdictRecord{
		At: at, Instance: g.Instance, Subscription: g.Subscription, Outcome: g.Outcome, Cause: g.Cause, Reason: g.Reason, Attempts: g.Attempts, Seq: p.Seq, Index: p.Index,
	}
	if b := g.Batch; b != nil {
		v.Batch = &delivery.Batch{ID: b.ID, At: b.At, Duration: time.Duration(b.Milliseconds * float64(time.Millisecond)), Events: b.Events, Requests: b.Requests, Partial: b.Partial}
	}
	return v
}
