package delivery

import (
	"errors"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// intake is a page that is being read.
type intake struct {
	part   *partition
	page   *page
	source string
	only   string // the only subscription that gets it; "" for all

	origins []logPlace // of a replay's events, index by index; nil if they are not known
}

// remember only takes the messageIds of events.
func (in *intake) remember(lines [][]byte) {
	for _, line := range lines {
		if e, err := event.Parse(line); err == nil {
			in.seen(e)
		}
	}
}

// seen remembers the messageId of an event, and tells whether it was there already. Those of a replay have all been there.
func (in *intake) seen(e event.Event) bool {
	return !in.page.again && in.part.seen.add(in.source, e.Value().Get("messageId").Str(), in.page.seq, in.page.at)
}

// begin puts the page into the window, with n events of which those with a bit are finished already.
func (in *intake) begin(n int, finished []byte) {
	p, pg := in.part, in.page
	pg.open, pg.left = slices.Repeat([]uint16{unread}, n), n
	for i := range n {
		if hasBit(finished, i) {
			pg.open[i] = 0
			pg.left--
		}
	}
	p.worker.mu.Lock()
	defer p.worker.mu.Unlock()
	p.window, p.next = append(p.window, pg), pg.seq+1
	p.mean += (float64(n) - p.mean) / 16
}

// event takes one event through the subscriptions as far as its tasks.
func (in *intake) event(i int, line []byte) error {
	p, w := in.part, in.part.worker
	e, err := event.Parse(line)
	if err == nil && in.seen(e) {
		err = errDuplicate
	}
	if in.page.open[i] == 0 { // nobody else touches it before it is begun
		return nil
	}
	stopped := err == nil && p.mapping.begin(p.logID, in.page.seq, i, false)
	var tasks []*task
	var verdicts []runtime.Verdict
	switch {
	case err != nil:
	case stopped:
		tasks = in.refuseAll(i, e)
	default:
		tasks, verdicts = in.offer(i, e)
	}
	p.mapping.end()
	w.mu.Lock()
	defer w.mu.Unlock()
	in.page.open[i] = uint16(max(len(tasks)+len(verdicts), 1))
	if err != nil || len(tasks)+len(verdicts) == 0 {
		p.finish(in.page, i, p.unmatched(err))
		return nil
	}
	for _, v := range verdicts {
		p.count(countSkipped, v.Subscription, v.Reason)
		p.finish(in.page, i, countSkipped)
	}
	for _, t := range tasks {
		w.begin(t)
	}
	return nil
}

var errDuplicate = errors.New("the messageId was accepted before")

// offer hands an event to the subscriptions. The verdicts are final; what cannot be mapped is a task, too, that is dead.
func (in *intake) offer(i int, e event.Event) (tasks []*task, verdicts []runtime.Verdict) {
	plan := in.part.worker.instance.Plan
	if f := in.part.worker.runner.config.mapping; f != nil {
		f(e)
	}
	for _, s := range plan.Choose(e, nil) {
		if in.only != "" && in.only != s.Name() {
			continue
		}
		item, v := plan.Prepare(s, e, i)
		if v != nil && v.Reason == runtime.NotSubscribed {
			continue
		}
		if v != nil && v.Outcome == runtime.Skipped {
			verdicts = append(verdicts, *v)
			continue
		}
		if v != nil {
			item = runtime.Item{Subscription: s, Event: e}
		}
		tasks = append(tasks, in.newTask(i, e, item, v))
	}
	return tasks, verdicts
}

// newTask returns the task of an event, refused if the verdict is not nil.
func (in *intake) newTask(i int, e event.Event, item runtime.Item, refused *runtime.Verdict) *task {
	return &task{
		item: item, part: in.part, page: in.page, index: i, source: in.source, key: keyOf(e.Value(), item), refused: refused,
		bytes: len(e.Raw()) + item.Payload.Size(), arrived: time.Now(), origin: in.originOf(i),
	}
}

// end says that the page has been read.
func (in *intake) end() {
	w := in.part.worker
	w.mu.Lock()
	defer w.mu.Unlock()
	in.page.read = true
	in.part.slide()
}

func (in *intake) originOf(i int) logPlace {
	if i < len(in.origins) {
		return in.origins[i]
	}
	return logPlace{}
}
