package delivery

import (
	"errors"
	"fmt"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// ErrTargetMismatch is wrapped by Open if the queue's events are delivered to another target.
var ErrTargetMismatch = errors.New("the queue belongs to another target")

// targetKey is the label of the events stream that holds the target.
const targetKey = "landfall.target"

// adoptTarget sets the target in the labels of the events stream: the stored one, otherwise that of the config. Streams of
// earlier versions have none.
func (q *Queue) adoptTarget(events eventlog.Info, labels map[string]string) error {
	was, want := events.Labels[targetKey], q.config.Target
	switch {
	case was == "" && want == "":
		return nil
	case was != "" && want != "" && was != want:
		return fmt.Errorf("%w: its events are delivered to the target %q, and this process delivers to %q", ErrTargetMismatch, was, want)
	case was == "" && events.LastSeq > 0:
		q.config.Log.Warn("the queue does not store its target, because an earlier version created it: using this target", "target", want)
	}
	if labels[targetKey] = was; was == "" {
		labels[targetKey] = want
	}
	return nil
}
