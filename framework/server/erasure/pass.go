package erasure

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"

	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/identifier"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/internal/pause"
)

// pass carries out several erasures together, so that the log and the ledgers are read once for all.
type pass struct {
	*Eraser
	items  []*item
	set    *identifier.Set
	byHash map[string][]*item
	newest time.Time          // when the newest was requested
	finder *identifier.Finder // finds all identifiers
	names  *identifier.Finder // finds those that are nothing else
	byID   map[string][]*item // by the identifiers that the finders return
}

func (e *Eraser) newPass(items []*item) *pass {
	p := &pass{Eraser: e, items: items, byHash: map[string][]*item{}}
	var hashes []string
	for _, it := range items {
		it.Attempts++
		if p.newest.Before(it.RequestedAt) {
			p.newest = it.RequestedAt
		}
		for _, hash := range it.Identifiers {
			hashes = append(hashes, hash)
			p.byHash[hash] = append(p.byHash[hash], it)
		}
	}
	p.set = identifier.NewSet(identifier.NewKey(e.StateKey()), hashes)
	p.useFinder()
	return p
}

// useFinder makes the finder from all identifiers that are known.
func (p *pass) useFinder() {
	var ids, names []string
	p.byID = map[string][]*item{}
	for _, it := range p.items {
		for _, list := range [][]string{it.secret.all(), it.secret.Also} {
			for _, id := range list {
				if ids = append(ids, id); isName(id) {
					names = append(names, id)
				}
				p.byID[id] = append(p.byID[id], it)
			}
		}
	}
	p.finder, p.names = identifier.NewFinder(ids), identifier.NewFinder(names)
}

// minName is the length of the shortest identifier that is taken for one anywhere in a text.
const minName = 6

// isName reports whether an identifier that is found in a text means the user, unlike a number or a short word.
func isName(id string) bool {
	return identifier.IsEmail(id) || len(id) >= minName && strings.ContainsFunc(id, unicode.IsLetter) && strings.ContainsFunc(id, func(r rune) bool { return !unicode.IsLetter(r) })
}

// ownersOf returns the erasures that an event belongs to.
func (p *pass) ownersOf(v event.Value) (owners []*item) {
	if receivedAfter(v, p.newest) {
		return nil
	}
	p.set.EachOf(v, func(hash string) bool {
		for _, it := range p.byHash[hash] {
			if !receivedAfter(v, it.RequestedAt) {
				owners = append(owners, it)
			}
		}
		return len(owners) == 0
	})
	return owners
}

func (p *pass) hasEvent(v event.Value) bool { return len(p.ownersOf(v)) > 0 }

// ownersOfIdentity returns the erasures that an identity of a ledger belongs to.
func (p *pass) ownersOfIdentity(identity string) (owners []*item) {
	p.set.EachOfIdentity(identity, func(hash string) bool {
		owners = p.byHash[hash]
		return false
	})
	return owners
}

func (p *pass) hasIdentity(identity string) bool { return len(p.ownersOfIdentity(identity)) > 0 }

// run carries out the steps. It ends early if ctx does or the state cannot be written.
func (p *pass) run(ctx context.Context) error {
	if err := p.waitForRequests(ctx); err != nil {
		return err
	}
	steps := []func(context.Context) error{p.find, p.leaveAudiences, p.deleteAtDestinations, p.eraseLedger, p.eraseDeadLetters, p.eraseHistory, p.eraseLog, p.eraseFiles}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return p.finish(ctx)
}

// maxRequestTime is how long a request with an event of a user may take.
const maxRequestTime = time.Minute

// waitForRequests waits until the requests of this process with events of the users are done, as their results are recorded then.
func (p *pass) waitForRequests(ctx context.Context) error {
	for began := time.Now(); p.Runner != nil && p.Runner.IsSendingErased() && time.Since(began) < maxRequestTime; {
		if err := pause.For(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// attempt is one attempt of a step, for the erasures of which it is not done.
type attempt struct {
	pass           *pass
	name, instance string
	todo           []*item
	failed         map[*item]string
}

// tryStep runs a step for the erasures of which it is not done, and stores the result. An error of run is that of all of them. The error that is
// returned is one of the state, or ctx's.
func (p *pass) tryStep(ctx context.Context, name, instance string, run func(*attempt) error) error {
	a := &attempt{pass: p, name: name, instance: instance, failed: map[*item]string{}}
	for _, it := range p.items {
		if !it.step(name, instance).Done {
			a.todo = append(a.todo, it)
		}
	}
	if len(a.todo) == 0 {
		return nil
	}
	err := run(a)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, it := range a.todo {
		s := it.step(name, instance)
		s.At, s.Error = time.Now().UTC(), a.failed[it]
		if err != nil {
			s.Error = p.withoutUsers(err.Error())
		}
		s.Done = s.Error == ""
		if err := p.save(ctx, it); err != nil {
			return err
		}
	}
	if p.afterStep != nil {
		return p.afterStep(name)
	}
	return nil
}

// count adds to a count of the step.
func (a *attempt) count(it *item, name string, n int) {
	s := it.step(a.name, a.instance)
	if s.Counts == nil {
		s.Counts = map[string]int{}
	}
	s.Counts[name] += n
}

// fail says why the step is not done for an erasure. The first reason stays.
func (a *attempt) fail(it *item, reason string) {
	if a.failed[it] == "" {
		a.failed[it] = a.pass.withoutUsers(reason)
	}
}

// maxReason is the number of characters of a reason.
const maxReason = 500

// withoutUsers returns a reason if it names none of the users, as it is stored.
func (p *pass) withoutUsers(reason string) string {
	if p.finder.In(reason) {
		return "it failed with a reason that names the user, so that is not kept: the log of the destination has more"
	}
	return fault.Shorten(reason, maxReason)
}

// save stores an erasure.
func (p *pass) save(ctx context.Context, it *item) error {
	box, err := oauth.NewBox(p.StateKey())
	if err != nil {
		return err
	}
	stored, err := sealed(box, &it.Receipt, it.secret)
	if err != nil {
		return err
	}
	return p.Store.UpdateErasure(ctx, stored)
}

// finish ends the erasures whose steps are all done, and sets when the others are tried again.
func (p *pass) finish(ctx context.Context) error {
	if err := p.checkLedger(ctx); err != nil {
		return err
	}
	var errs []error
	for _, it := range p.items {
		now := time.Now().UTC()
		it.NextAttempt = nil
		if it.isFinished() {
			it.DoneAt = &now
		} else {
			next := now.Add(p.Backoff(it.Attempts))
			it.NextAttempt = &next
		}
		errs = append(errs, p.save(ctx, it))
		p.logResult(it)
	}
	return errors.Join(errs...)
}

// logResult writes how an attempt ended to the log.
func (p *pass) logResult(it *item) {
	if it.DoneAt != nil {
		p.Log.Info("a user was erased", "erasure", it.ID, "took", it.DoneAt.Sub(it.RequestedAt).Round(time.Second))
		return
	}
	for _, s := range it.Steps {
		if !s.Done && s.Error != "" {
			p.Log.Warn("a user is not erased everywhere yet: trying again", "erasure", it.ID, "step", s.Name, "instance", s.Instance, "error", s.Error, "next", it.NextAttempt)
			return
		}
	}
}

// runningInstance returns the running instance with an id.
func (p *pass) runningInstance(id string) (instances.Instance, bool) {
	for _, in := range p.Instances() {
		if in.Plan.ID() == id {
			return in, true
		}
	}
	return instances.Instance{}, false
}
