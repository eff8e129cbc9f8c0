package erasure

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/identifier"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/server/history"
	"github.com/landfall-dev/landfall/internal/pause"
)

// maxAlso is the number of other identifiers of a user that are used to find requests with the user's data.
const maxAlso = 1000

// find reads the stored events of the users: it counts them, and collects their other identifiers.
func (p *pass) find(ctx context.Context) error {
	defer p.useFinder()
	return p.tryStep(ctx, StepFind, "", func(a *attempt) error {
		for _, it := range a.todo {
			it.step(StepFind, "").Counts = nil
		}
		return p.Queue.EachStored(ctx, func(raw []byte) {
			e, err := event.Parse(raw)
			if err != nil {
				return
			}
			for _, it := range p.ownersOf(e.Value()) {
				if slices.Contains(a.todo, it) {
					a.count(it, "events", 1)
					it.secret.collect(e.Value())
				}
			}
		})
	})
}

// collect adds the identifiers of an event.
func (s *secret) collect(v event.Value) {
	for _, id := range identifier.Of(v) {
		if len(s.Also) < maxAlso && len(id) <= maxIdentifier && !slices.Contains(s.Also, id) && !slices.Contains(s.all(), id) {
			s.Also = append(s.Also, id)
		}
	}
}

// deadLettersTimeout is how long the step waits for the partitions to delete parked events.
const deadLettersTimeout = 20 * time.Second

// eraseDeadLetters deletes the dead letters and parked events of the users.
func (p *pass) eraseDeadLetters(ctx context.Context) error {
	isRemoved := func(id string) bool { _, ok := p.runningInstance(id); return !ok }
	return p.tryStep(ctx, StepDeadLetters, "", func(a *attempt) error {
		first := true
		for began := time.Now(); ; {
			found, err := p.Queue.EraseDeadLetters(ctx, func(v event.Value) bool {
				owners := p.ownersOf(v)
				for _, it := range owners {
					if first && slices.Contains(a.todo, it) && it.step(StepDeadLetters, "").Error == "" {
						a.count(it, "letters", 1)
					}
				}
				return len(owners) > 0
			}, isRemoved)
			if err != nil || found == 0 {
				return err
			}
			if first = false; time.Since(began) > deadLettersTimeout {
				return fmt.Errorf("%s not deleted yet: %s deleted by the server that has the partition", fault.Count(found, "parked event"), fault.Plural(found, "it is", "they are"))
			}
			if err := pause.For(ctx, 200*time.Millisecond); err != nil {
				return err
			}
		}
	})
}

// eraseHistory deletes the users from the history and from the values of handlers.
func (p *pass) eraseHistory(ctx context.Context) error {
	return p.tryStep(ctx, StepHistory, "", func(a *attempt) error {
		p.Flush(ctx)
		if p.Runner != nil {
			p.Runner.ForgetVerdicts(p.finder.In)
		}
		_, err := history.Erase(ctx, p.Store, history.Erasure{
			Match: p.hasEvent, HasUser: p.counter(a, p.finder, "texts"), Names: p.counter(a, p.names, "texts"),
		})
		if err != nil {
			return err
		}
		named := p.counter(a, p.names, "values")
		_, err = p.Store.EraseValues(ctx, func(text string) bool { return named(text) || p.hasIdentity(text) })
		return err
	})
}

// counter returns a function that reports whether a text names one of the users, and counts it for them.
func (p *pass) counter(a *attempt, finder *identifier.Finder, name string) func(text string) bool {
	return func(text string) bool {
		id, ok := finder.Find(text)
		if ok {
			for _, it := range p.byID[id] {
				a.count(it, name, 1)
			}
		}
		return ok
	}
}

// rewriteShare limits the share of the time in which the log is rewritten, as it accepts no events meanwhile: one in so many.
const rewriteShare = 20

// eraseLog overwrites the events of the users in the files of the log.
func (p *pass) eraseLog(ctx context.Context) error {
	return p.tryStep(ctx, StepLog, "", func(a *attempt) error {
		if wait := time.Until(p.nextRewrite); wait > 0 {
			return fmt.Errorf("the log was rewritten a moment ago: again in %s", wait.Round(time.Second))
		}
		request := delivery.EraseRequest{Match: p.hasEvent, HasUser: p.finder.In}
		if p.Runner != nil {
			request.FinishedBefore = p.Runner.FinishedBefore
		}
		began := time.Now()
		servers, err := p.Queue.Erase(ctx, request)
		p.nextRewrite = time.Now().Add(rewriteShare * time.Since(began))
		if err != nil || servers == 0 {
			return err
		}
		for _, it := range a.todo {
			it.step(StepLog, "").Counts = map[string]int{"servers": servers}
		}
		return p.checkLog(ctx, a)
	})
}

// checkLog fails the step while the log of a cluster has events of the users.
func (p *pass) checkLog(ctx context.Context, a *attempt) error {
	left := map[*item]int{}
	err := p.Queue.EachStored(ctx, func(raw []byte) {
		if e, err := event.Parse(raw); err == nil {
			for _, it := range p.ownersOf(e.Value()) {
				left[it]++
			}
		}
	})
	for it, n := range left {
		a.fail(it, fmt.Sprintf("%s of the user in the log, after an event that an instance has not finished: not sent or replayed, and overwritten when the instances have caught up", fault.Count(n, "event")))
	}
	return err
}

// eraseFiles removes the remains of deleted rows from the files of the state, once the ledger and the history are erased.
func (p *pass) eraseFiles(ctx context.Context) error {
	return p.tryStep(ctx, StepFiles, "", func(a *attempt) error {
		ready := false
		for _, it := range a.todo {
			waits := slices.ContainsFunc(it.Steps, func(s Step) bool { return !s.Done && (s.Name == StepLedger || s.Name == StepHistory) })
			if waits {
				a.fail(it, "the ledger and the history are first")
			}
			ready = ready || !waits
		}
		if !ready {
			return nil
		}
		return p.Store.Scrub(ctx)
	})
}
