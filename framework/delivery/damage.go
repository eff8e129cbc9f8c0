package delivery

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/fault"
)

// scrubPause is how long a check of the files sleeps after each.
const scrubPause = 40 * time.Millisecond

// Problem describes what is wrong with a queue or its delivery, and what to do about it.
type Problem struct {
	Code string `json:"code"` // lost, damaged, or checkpoints
	What string `json:"what"`
	Next string `json:"next"`
}

// Damage is what is missing, damaged or inconsistent in the queue.
type Damage struct {
	Lost        []LostRange     `json:"lost"`        // that are not acknowledged
	LostPages   uint64          `json:"lostPages"`   // in these ranges
	Files       []DamagedFile   `json:"files"`       // damaged files that are not acknowledged
	Checkpoints []BadCheckpoint `json:"checkpoints"` // those that do not match the log, so that their partitions are not delivered
}

// Damage returns the damage found so far.
func (q *Queue) Damage() Damage {
	l := q.monitor
	l.mu.Lock()
	defer l.mu.Unlock()
	d := Damage{Lost: []LostRange{}, Files: slices.Clone(l.state.Damaged), Checkpoints: []BadCheckpoint{}}
	for _, r := range l.state.Lost {
		if !r.Accepted {
			d.Lost = append(d.Lost, r)
			d.LostPages += r.Pages()
		}
	}
	for _, b := range l.badCheckpoints {
		d.Checkpoints = append(d.Checkpoints, b.BadCheckpoint)
	}
	slices.SortFunc(d.Checkpoints, func(a, b BadCheckpoint) int {
		return cmp.Or(cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Partition, b.Partition))
	})
	return d
}

// Problems returns the problems of the queue, none if it is intact.
func (q *Queue) Problems() []Problem { return q.Damage().Problems() }

// Problems describes the damage.
func (d Damage) Problems() []Problem {
	var list []Problem
	if n := len(d.Lost); n > 0 {
		list = append(list, Problem{
			"lost", fmt.Sprintf("%s of the log %s lost, in %s from %d to %d: the events there were accepted and cannot be delivered",
				fault.Count(d.LostPages, "page"), fault.Plural(d.LostPages, "is", "are"), fault.Count(n, "range"), d.Lost[0].First, d.Lost[n-1].Last),
			"have the senders send that time again, then landfall checkpoints repair --accept-loss",
		})
	}
	if n := len(d.Files); n > 0 {
		f := d.Files[n-1]
		list = append(list, Problem{
			"damaged", fmt.Sprintf("%s of the queue %s damaged; the last: %s, copy: %s", fault.Count(n, "file"), fault.Plural(n, "was", "were"), f.FileDamage, cmp.Or(f.CopyPath, "none, "+f.NoCopyReason)),
			"check the disk; then landfall checkpoints repair --accept-loss",
		})
	}
	if n := len(d.Checkpoints); n > 0 {
		list = append(list, Problem{
			"checkpoints", fmt.Sprintf("%s not delivered: %s", fault.Count(n, "partition")+fault.Plural(n, " is", " are"), d.Checkpoints[0]),
			"landfall checkpoints repair --dry-run shows what would be set back, without --dry-run it is",
		})
	}
	return list
}

// salvageFiles repairs the files of the embedded server before the server reads them, and logs what was damaged.
func (q *Queue) salvageFiles(ctx context.Context) error {
	began := time.Now()
	findings, err := logFiles(q.config.Dir).Salvage(ctx)
	for _, f := range findings {
		if f.Torn {
			q.config.Log.Info("the log ends in an interrupted write, which was never acknowledged", "stream", f.Stream, "file", f.File)
			continue
		}
		q.config.Log.Error("a file of the log is damaged: "+f.String(), "copy", cmp.Or(f.CopyPath, "none: "+f.NoCopyReason))
	}
	q.monitor.addFindings(findings)
	if d := time.Since(began); d > 5*time.Second {
		q.config.Log.Info("the log was not closed properly, so all of it was checked", "took", d.Round(time.Second))
	}
	return err
}

// scrubFiles checks the files of the embedded log once, slowly, and records damaged ones. It does not change them.
func (q *Queue) scrubFiles(ctx context.Context) error {
	files := logFiles(q.config.Dir)
	findings, err := files.Check(ctx, scrubPause)
	if err != nil {
		return err
	}
	q.monitor.mu.Lock()
	known := slices.Clone(q.monitor.state.Damaged)
	q.monitor.mu.Unlock()
	findings = slices.DeleteFunc(findings, func(f eventlog.FileDamage) bool {
		return f.Torn || slices.ContainsFunc(known, func(d DamagedFile) bool { return d.Stream == f.Stream && d.File == f.File && d.Last == f.Last })
	})
	for i := range findings {
		findings[i].CopyPath, findings[i].NoCopyReason = files.CopyDamaged(findings[i])
		q.config.Log.Error("a file of the log is damaged: "+findings[i].String(), "copy", cmp.Or(findings[i].CopyPath, "none: "+findings[i].NoCopyReason))
	}
	q.monitor.addFindings(findings)
	return q.monitor.checkLog(ctx)
}

// addFindings stores findings until the next check records them.
func (l *logMonitor) addFindings(list []eventlog.FileDamage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.newFindings = append(l.newFindings, list...)
}

// CheckFiles checks the files of a queue's directory without changing them. It returns a description of each damaged file.
func CheckFiles(ctx context.Context, dir string) ([]string, error) {
	findings, err := logFiles(dir).Check(ctx, 0)
	var list []string
	for _, f := range findings {
		if !f.Torn {
			list = append(list, f.String())
		}
	}
	return list, err
}
