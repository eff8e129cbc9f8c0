package delivery

import (
	"errors"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// An event may stop the process while it is mapped, by more memory or stack than there is. It is durable, so that every start would
// end the same way. The checkpoint counts starts that ended without having been given up and without any event finished. After
// maxFruitless of them the partition isolates: before it maps an event, it records it in the checkpoint. An event that was recorded
// when the process ended, maxDeaths times, becomes a dead letter without being mapped. Killing the process from outside does not set
// events aside: an event is recorded only while it is mapped, and would have to be hit there each time.
const (
	maxFruitless = 2
	maxDeaths    = 2
)

// suspect is the event that is being mapped while a partition isolates.
type suspect struct {
	Seq    uint64 `json:"seq"`
	Index  int    `json:"index"`
	Letter bool   `json:"letter,omitempty"` // it is replayed from a letter
	Deaths int    `json:"deaths"`           // how often the process has ended there, this time included
}

// took adds a start to a checkpoint whose last owner did not give it up.
func (b *book) took() {
	if b.Owner == "" {
		b.Starts, b.Suspect = 0, nil
		return
	}
	b.Starts++
}

// isolates reports whether a partition begins by recording each event before it is mapped.
func (b book) isolates() bool { return b.Starts >= maxFruitless || b.Suspect != nil }

// stoppedProcess is the verdict of an event that has stopped the process.
var stoppedProcess = runtime.Verdict{
	Outcome: runtime.Refused, Status: 500, Code: fault.CodeInternal, Reporter: fault.ReporterIntegrations,
	Reason: "stopped the process while it was mapped, more than once: it is not tried again by itself",
}

var errClosing = errors.New("the partition is being given up")

// record makes durable that an event is about to be mapped, if the partition isolates. It reports whether the event has stopped the
// process before and must not be mapped.
func (p *partition) record(mark suspect) (stopped bool, err error) {
	w := p.worker
	w.mu.Lock()
	defer w.mu.Unlock()
	if !p.isolating {
		return false, nil
	}
	mark.Deaths = 1
	if was := p.was.Suspect; was != nil && was.Seq == mark.Seq && was.Index == mark.Index && was.Letter == mark.Letter {
		if was.Deaths >= maxDeaths {
			return true, nil
		}
		mark.Deaths += was.Deaths
	}
	if p.isolated++; p.isolated > w.runner.config.Room { // what ended the process was among those read ahead
		p.isolating = false
	}
	p.suspect, p.dirty = &mark, true
	w.runner.checkpointSoon()
	for p.recorded != &mark {
		if p.ctx.Err() != nil || p.closing {
			return false, errClosing
		}
		w.idle.Wait()
	}
	return false, nil
}

// mapped takes back what record has recorded. The next checkpoint no longer names the event.
func (p *partition) mapped() {
	if p.suspect != nil {
		p.suspect, p.dirty = nil, true
	}
}

// caughtUp ends the isolation once the partition has read all that there is.
func (p *partition) caughtUp() {
	if p.behind == 0 {
		p.isolating, p.fruitless = false, 0
	}
}

// refuseAll gives every subscription that an event may be for the verdict that it has stopped the process.
func (in *intake) refuseAll(i int, e event.Event) (tasks []*task) {
	for _, s := range in.part.worker.instance.Plan.Choose(e, nil) {
		if in.only != "" && in.only != s.Name() {
			continue
		}
		v := stoppedProcess
		tasks = append(tasks, in.newTask(i, e, runtime.Item{Subscription: s, Event: e}, &v))
	}
	return tasks
}

// checkpointSoon has the checkpoints written without waiting for their time.
func (r *Runner) checkpointSoon() {
	select {
	case r.soon <- struct{}{}:
	default:
	}
}
