package why

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/explain"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/history"
)

// Limits of a report.
const (
	maxEvents      = 200       // of the user
	maxLogBytes    = 256 << 20 // of the log that are read at a time
	maxRejections  = 50
	maxDeadLetters = 500
	maxActions     = 2000
)

// facts are what is known about the question.
type facts struct {
	source    *Source
	question  Question
	now       time.Time
	owner     *owner
	searched  Searched
	problems  []string
	events    []*foundEvent // newest first, without copies of replays
	copies    []delivery.StoredEvent
	rejected  []foundRejection
	letters   []*delivery.DeadLetter
	actions   []history.Action // newest first
	instances []instances.Instance
	status    map[string]delivery.Status
	progress  map[string]delivery.Progress
	standings []Standing
	audiences []string // the ids and names of all audiences of the ledgers
	results   []*result
}

// foundEvent is an event of the user with its recorded verdicts, oldest first.
type foundEvent struct {
	delivery.StoredEvent
	event.Event
	position  history.Position
	verdicts  []delivery.VerdictRecord
	duplicate bool // an earlier event of the source has its messageId
}

// foundRejection is a rejected event of the user.
type foundRejection struct {
	history.Rejection
	value event.Value
}

// gather collects the facts.
func (f *facts) gather(ctx context.Context) error {
	requests := &explain.Recorder{}
	list, err := f.source.Instances(requests.Observe)
	if err != nil {
		var problems fault.Problems
		if !errors.As(err, &problems) {
			return err
		}
		f.problems = append(f.problems, "the config has mistakes, so nothing could be computed with it: "+err.Error())
	}
	for _, in := range list {
		if f.question.Instance == "" || in.Plan.ID() == f.question.Instance {
			f.instances = append(f.instances, in)
		}
	}
	if err := f.findEvents(ctx); err != nil {
		return err
	}
	if err := f.findRejections(ctx); err != nil {
		return err
	}
	if err := f.findRecords(ctx); err != nil {
		return err
	}
	f.explainEvents(ctx, requests)
	return f.findStandings(ctx)
}

// findEvents finds the user's events. What the first search finds may name the user differently than the question, so the log is then
// searched again.
func (f *facts) findEvents(ctx context.Context) error {
	f.owner = newOwner(f.question.User)
	var found delivery.FindResult
	for range 3 {
		var err error
		found, err = f.source.Queue.Find(ctx, delivery.FindRequest{Match: f.owner.finder(), Limit: maxEvents, MaxBytes: maxLogBytes})
		if err != nil {
			return err
		}
		news := false
		for _, e := range found.Events {
			if parsed, err := event.Parse(e.Raw); err == nil {
				news = f.owner.learn(parsed.Value()) || news
			}
		}
		if !news {
			break
		}
	}
	f.searched = Searched{From: found.From, Complete: found.Complete}
	ids := map[string]*foundEvent{}
	for _, e := range found.Events {
		if e.Replay != "" {
			f.copies = append(f.copies, e)
			continue
		}
		parsed, err := event.Parse(e.Raw)
		if err != nil {
			continue
		}
		one := &foundEvent{StoredEvent: e, Event: parsed, position: history.Position{Seq: e.Seq, Index: e.Index}}
		f.events = append(f.events, one)
		if id := parsed.Value().Get("messageId").Str(); id != "" {
			if later := ids[e.Source+"\x00"+id]; later != nil {
				later.duplicate = true
			}
			ids[e.Source+"\x00"+id] = one
		}
	}
	f.searched.Events = len(f.events)
	return nil
}

// findRejections finds the user's events that were rejected when they were received.
func (f *facts) findRejections(ctx context.Context) error {
	return history.Rejections(ctx, f.source.Store, func(r history.Rejection) bool {
		if e, err := event.ParseString(r.Event); err == nil && f.owner.owns(e) {
			f.rejected = append(f.rejected, foundRejection{r, e})
		}
		return len(f.rejected) < maxRejections
	})
}

// findRecords finds the verdicts, the dead letters, the progress of the instances, and what operators did.
func (f *facts) findRecords(ctx context.Context) (err error) {
	positions := make([]history.Position, len(f.events))
	for i, e := range f.events {
		positions[i] = e.position
	}
	verdicts, err := history.Verdicts(ctx, f.source.Store, positions)
	if err != nil {
		return err
	}
	for _, e := range f.events {
		e.verdicts = verdicts[e.position]
	}
	if f.actions, err = history.Actions(ctx, f.source.Store, time.Time{}, maxActions); err != nil {
		return err
	}
	if err := f.findDeadLetters(ctx, positions); err != nil {
		return err
	}
	f.status, f.progress = map[string]delivery.Status{}, map[string]delivery.Progress{}
	if f.source.Status != nil {
		for _, s := range f.source.Status() {
			f.status[s.Instance] = s
		}
	}
	for _, in := range f.instances {
		if f.progress[in.Plan.ID()], err = f.source.Queue.Progress(ctx, in.Plan.ID()); err != nil {
			return err
		}
	}
	return nil
}

// findDeadLetters finds the dead letters of the user. Their events may no longer be in the log.
func (f *facts) findDeadLetters(ctx context.Context, positions []history.Position) error {
	filter := delivery.DeadLetterFilter{Instance: f.question.Instance}
	err := f.source.Queue.DeadLetters(ctx, filter, func(l *delivery.DeadLetter) error {
		known := slices.Contains(positions, history.Position{Seq: l.Seq, Index: l.Index})
		if !known {
			if e, err := event.Parse(l.Event); err != nil || !f.owner.owns(e.Value()) {
				return nil
			}
		}
		if f.letters = append(f.letters, l); len(f.letters) >= maxDeadLetters {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return fmt.Errorf("reading the dead letters: %w", err)
	}
	f.addDeadLetterEvents()
	return nil
}

var errEnough = errors.New("enough")

// addDeadLetterEvents adds the events of dead letters that the log no longer has.
func (f *facts) addDeadLetterEvents() {
	for _, l := range f.letters {
		at := history.Position{Seq: l.Seq, Index: l.Index}
		if slices.ContainsFunc(f.events, func(e *foundEvent) bool { return e.position == at }) {
			continue
		}
		e, err := event.Parse(l.Event)
		if err != nil {
			continue
		}
		f.owner.learn(e.Value())
		received, _ := event.ParseTime(e.Value().Get("receivedAt").Str())
		f.events = append(f.events, &foundEvent{
			StoredEvent: delivery.StoredEvent{Seq: l.Seq, Index: l.Index, At: received, Source: l.Source, Raw: l.Event}, Event: e, position: at,
		})
	}
	slices.SortStableFunc(f.events, func(a, b *foundEvent) int { return b.At.Compare(a.At) })
}

// hasAudience reports whether an audience is the one of the question, by its id, key or name.
func (f *facts) hasAudience(names ...string) bool {
	return f.question.Audience == "" || slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, f.question.Audience) })
}

// findStandings finds what the ledgers have about the user.
func (f *facts) findStandings(ctx context.Context) error {
	for _, in := range f.instances {
		if !in.KeepsAudiences() {
			continue
		}
		sizes, err := in.Ledger.Sizes(ctx)
		if err != nil {
			return err
		}
		identities := f.identitiesOf(in)
		for _, size := range sizes {
			f.nameAudience(in.Plan.ID(), size.ID, size.Name)
			f.audiences = append(f.audiences, size.ID, size.Name)
			if !f.hasAudience(size.ID, size.Name) {
				continue
			}
			for _, identity := range identities {
				m, list, ok, err := in.Ledger.Find(ctx, size.ID, identity)
				if err != nil {
					return err
				}
				if ok {
					f.standings = append(f.standings, Standing{
						in.Plan.ID(), size.ID, size.Name, identity, m.Known, m.Member, m.Uncertain, m.At, m.Delivered, size.Purged, list,
					})
				}
			}
		}
	}
	return nil
}

// identitiesOf returns the identities that the user can have in the ledger of an instance: those of the user's events, and those that the
// user's identifiers can be.
func (f *facts) identitiesOf(in instances.Instance) []string {
	var list []string
	add := func(identity string) {
		if identity != "" && !slices.Contains(list, identity) {
			list = append(list, identity)
		}
	}
	for _, r := range f.results {
		if r.instance == in.Plan.ID() {
			add(r.change.Identity)
		}
	}
	for _, id := range f.owner.list() {
		add(id)
		for _, name := range in.Plugin.Audiences.Identifiers {
			identity, ok := in.Plugin.Audiences.Identity(func(asked string) string {
				if asked == name {
					return id
				}
				return ""
			})
			if ok {
				add(identity)
			}
		}
	}
	return list
}

// nameAudience gives the results of an audience the name that the ledger has.
func (f *facts) nameAudience(instance, id, name string) {
	for _, r := range f.results {
		if r.instance == instance && r.audience.ID == id {
			r.audience.Name = name
		}
	}
}
