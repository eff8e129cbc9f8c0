package cli

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/server/erasure"
)

// TestStepsOfReceipts checks what a receipt says of a step: that it is done and with which result, why not, or that it waits.
func TestStepsOfReceipts(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for want, step := range map[string]erasure.Step{
		"  log                          done 2026-01-02T03:04:05Z  3 events, 1 letters\n": {Name: "log", Done: true, At: at, Counts: map[string]int{"letters": 1, "events": 3}},
		"  audiences of main            not done: the remote is down\n":                   {Name: "audiences", Instance: "main", Error: "the remote is down"},
		"  ledger                       waits\n":                                          {Name: "ledger"},
	} {
		var out bytes.Buffer
		c := eraseCommand{stateCommand: stateCommand{streams: streams{out: &out}}}
		c.printStep(&step)
		assert.Equal(t, want, out.String())
	}
}
