package cli

import (
	"cmp"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/erasure"
	"github.com/landfall-dev/landfall/framework/server/history"
)

// showRetention shows how long data about users is kept, with the settings that change it.
func (c *doctorCommand) showRetention(cfg *config.Config) {
	s := cfg.Server
	c.addFinding("retention", isOK, "", "delivered events (delivery.retention): %s", fault.WrittenDuration(cmp.Or(s.Retention, delivery.DefaultRetention)))
	c.addFinding("retention", isOK, "", "dead letters (delivery.letters): %s, at most %d bytes",
		fault.WrittenDuration(cmp.Or(s.DeadLetterRetention, delivery.DefaultDeadLetterRetention)), cmp.Or(s.DeadLetterBytes, delivery.DefaultMaxDeadLetterBytes))
	c.addFinding("retention", isOK, "", "parked events: until they are delivered or dropped (landfall dead drop)")
	c.addFinding("retention", isOK, "", "verdicts, rejected events and actions (delivery.history): %s, at most %d bytes of each of the two kinds of verdicts",
		fault.WrittenDuration(cmp.Or(s.HistoryRetention, history.DefaultRetention)), cmp.Or(s.HistoryBytes, history.DefaultMaxVerdictBytes))
	c.addFinding("retention", isOK, "", "receipts of erased users (state.erasureRetention): %s", fault.WrittenDuration(cmp.Or(s.ErasureRetention, erasure.DefaultRetention)))
	if s.LedgerRetention > 0 {
		c.addFinding("retention", isOK, "", "history of members in the ledgers (state.historyRetention): %s", fault.WrittenDuration(s.LedgerRetention))
		return
	}
	c.addFinding("retention", isOK, "", "history of members in the ledgers (state.historyRetention): the latest changes of each member, without a limit in time")
}
