package audienceruns

import (
	"context"
	"errors"

	"github.com/landfall-dev/landfall/framework/files/audiencesync"
)

// Preview is what a run of a sync would do now.
type Preview struct {
	Report         audiencesync.Report
	Enters, Exits  []string               // identities of the first users who would enter and exit
	Waits          *GuardError            // not nil if the run would wait for an approval
	UnreadableRows []audiencesync.Failure // the first ones
}

// maxPreviewed is the number of users of each kind in a Preview.
const maxPreviewed = 100

// Preview runs the query of a sync, compares its result with the ledger and sends nothing.
func (s *Scheduler) Preview(ctx context.Context, c Choice) (Preview, error) {
	j, err := s.find(c)
	if err != nil {
		return Preview{}, err
	}
	doc, _, err := readDocument(ctx, j.instance.Ledger, j.stateKey())
	if err != nil {
		return Preview{}, err
	}
	p := Preview{}
	syncer := &audiencesync.Syncer{
		DryRun: true,
		Guard: func(exits, members int) error {
			_, err := doc.checkRemovals(s.Now(), exits, members, j.sync.MaxRemove)
			errors.As(err, &p.Waits)
			return nil
		},
		OnPlanned: func(identity string, member bool) {
			list := &p.Exits
			if member {
				list = &p.Enters
			}
			if len(*list) < maxPreviewed {
				*list = append(*list, identity)
			}
		},
		OnFailure: func(f audiencesync.Failure) {
			if len(p.UnreadableRows) < maxPreviewed {
				p.UnreadableRows = append(p.UnreadableRows, f)
			}
		},
	}
	p.Report, err = s.runQuery(ctx, j, readingOf(&j.sync, &doc, s.Now()), syncer)
	return p, err
}
