package connect

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/dispatch"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/tasks"
)

// batchLinger is how long an incomplete batch waits for the next messages of users whose earlier messages were just delivered.
const batchLinger = time.Millisecond

// pass tries messages once. The dispatcher forms their batches, and its lock guards the pass, its messages and the sender.
type pass struct {
	*sender
	ctx        context.Context
	dispatcher *dispatch.Dispatcher[delivery]
	waiting    map[string][]*message // messages that were not tried yet, by key
	tried      bool
	goroutines sync.WaitGroup
}

// delivery is a message for one subscription.
type delivery struct {
	message *message
	item    runtime.Item
	verdict runtime.Verdict
}

// tryPending tries each message once, unless an earlier message of its key holds it back. A message is tried when the earlier ones of
// its key are done, whatever happens to other keys. It reports whether it tried any message.
func (s *sender) tryPending(ctx context.Context, pending []*message) (tried bool) {
	if s.failing == nil || s.delivered {
		s.failing, s.delivered = map[string]bool{}, false
	}
	p := &pass{sender: s, ctx: ctx, waiting: map[string][]*message{}}
	p.dispatcher = dispatch.New(dispatch.Config{Linger: batchLinger, MaxBatches: max(s.parallel, 1)}, p)
	var keys []string
	for _, m := range pending {
		if p.waiting[m.key] == nil {
			keys = append(keys, m.key)
		}
		p.waiting[m.key] = append(p.waiting[m.key], m)
	}
	p.dispatcher.Lock()
	for _, key := range keys {
		p.tryKeyLocked(key)
	}
	p.dispatcher.Unlock()
	p.dispatcher.Flush()
	_ = p.dispatcher.Wait(context.WithoutCancel(ctx), func(held, _ int) bool { return held == 0 }) // requests end with ctx
	p.dispatcher.Stop()
	p.goroutines.Wait()
	return p.tried
}

// tryKeyLocked tries the next messages of a key, until one waits for its requests. The dispatcher is locked.
func (p *pass) tryKeyLocked(key string) {
	for len(p.waiting[key]) > 0 {
		m := p.waiting[key][0]
		p.waiting[key] = p.waiting[key][1:]
		ok, why := p.order.tryNext(m.key, m.id)
		if !ok {
			m.waitReason = why
			continue
		}
		p.tried = true
		if p.sendMessageLocked(m); m.open > 0 {
			return
		}
		p.finishMessage(m)
	}
}

// sendMessageLocked adds the tasks of a message. The dispatcher is locked.
func (p *pass) sendMessageLocked(m *message) {
	m.result = result{replacedReason: m.replacedReason}
	if m.suppressed {
		m.addVerdict(runtime.NotDelivered(runtime.Skipped, fault.CauseSuppressed))
		return
	}
	if m.finalVerdicts == nil {
		m.finalVerdicts = p.order.finalVerdicts(m.key)
	}
	var added []*dispatch.Task[delivery]
	for _, plan := range p.plans {
		for _, sub := range plan.Offered(m.event) {
			if v, ok := m.finalVerdicts[subscriptionKey(plan.ID(), sub.Name())]; ok {
				m.verdicts = append(m.verdicts, v)
				continue
			}
			item, verdict := plan.Prepare(sub, m.event, 0)
			switch {
			case verdict == nil:
				t := &dispatch.Task[delivery]{Value: delivery{message: m, item: item}}
				tasks.Describe(t, plan, item)
				added = append(added, t)
			case verdict.Cause != fault.CauseNotSubscribed:
				m.addVerdict(*verdict)
			}
		}
	}
	m.open = len(added)
	for _, t := range added {
		p.dispatcher.AddLocked(t)
	}
}

// Send implements dispatch.Handler.
func (p *pass) Send(b *dispatch.Batch[delivery]) {
	p.goroutines.Go(func() {
		items, results := make([]runtime.Item, len(b.Tasks)), make([]dispatch.Result, len(b.Tasks))
		for i, t := range b.Tasks {
			items[i] = t.Value.item
		}
		verdicts := b.Tasks[0].Lane.Scope.(*runtime.Plan).Deliver(p.ctx, items)
		for i, t := range b.Tasks {
			t.Value.verdict = verdicts[i]
			results[i].Outcome = dispatch.Dropped // the pipeline sends the message again, if that is needed
		}
		b.Done(results)
	})
}

// Finished implements dispatch.Handler. After its last task it finishes the message, and tries the next one of its key.
func (p *pass) Finished(t *dispatch.Task[delivery], _ dispatch.Result) {
	m := t.Value.message
	m.addVerdict(t.Value.verdict)
	if m.open--; m.open == 0 {
		p.finishMessage(m)
		p.tryKeyLocked(m.key)
	}
}

// Exhausted implements dispatch.Handler. It is not called, as nothing is retried within a pass.
func (p *pass) Exhausted(tasks []*dispatch.Task[delivery], _ dispatch.Result) int { return len(tasks) }

// Retried implements dispatch.Handler.
func (p *pass) Retried(*dispatch.Task[delivery], dispatch.Result) {}

// finishMessage completes the verdicts of a message, and updates the order.
func (p *pass) finishMessage(m *message) {
	slices.SortStableFunc(m.verdicts, func(a, b runtime.Verdict) int {
		return cmp.Or(cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Subscription, b.Subscription))
	})
	if len(m.verdicts) == 0 {
		m.verdicts = []runtime.Verdict{{Outcome: runtime.Skipped, Status: 200, Cause: fault.CauseNotSubscribed, Reason: "the event matches no subscription"}}
	}
	p.recordOutcome(m)
}
