package delivery

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrTargetMismatch is wrapped by Open if the queue's events are delivered to another target.
var ErrTargetMismatch = errors.New("the queue belongs to another target")

// targetKey is the metadata key of the events stream that holds the target.
const targetKey = "landfall.target"

// adoptTarget sets the target in the metadata of the events stream: the stored one, otherwise that of the config. Streams of
// earlier versions have none.
func (q *Queue) adoptTarget(events *jetstream.StreamInfo, metadata map[string]string) error {
	was, want := events.Config.Metadata[targetKey], q.config.Target
	switch {
	case was == "" && want == "":
		return nil
	case was != "" && want != "" && was != want:
		return fmt.Errorf("%w: its events are delivered to the target %q, and this process delivers to %q", ErrTargetMismatch, was, want)
	case was == "" && events.State.LastSeq > 0:
		q.config.Log.Warn("the queue does not store its target, because an earlier version created it: using this target", "target", want)
	}
	if metadata[targetKey] = was; was == "" {
		metadata[targetKey] = want
	}
	return nil
}
