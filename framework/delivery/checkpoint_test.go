package delivery

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// However often a partition is acquired, and however far it has been read: a checkpoint lists exactly the events that were
// finished when it was written.
func TestCheckpointsKeepFinishedEvents(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 9))
	for range 300 {
		const pages, events = 30, 10
		var finished [pages][events]bool
		earlier := checkpoint{Low: 0}
		for range 8 { // acquisitions
			now := finished
			p := &partition{counts: map[string]int64{}, recentIDs: newRecentIDs(), initial: earlier, nextPage: earlier.Low}
			upTo := random.IntN(pages + 1)
			for seq := range upTo {
				all, bits := earlier.finishedEvents(uint64(seq))
				if all {
					continue
				}
				pg := &page{seq: uint64(seq), verdictsLeft: make([]uint16, events), eventsLeft: events, fullyRead: seq < upTo-1 || random.IntN(2) == 0}
				for i := range pg.verdictsLeft {
					pg.verdictsLeft[i] = 1
					if hasBit(bits, i) {
						pg.verdictsLeft[i] = 0
						pg.eventsLeft--
					}
				}
				p.openPages, p.nextPage = append(p.openPages, pg), uint64(seq)+1
			}
			for range random.IntN(pages * events) {
				if len(p.openPages) == 0 {
					break
				}
				pg, i := p.openPages[random.IntN(len(p.openPages))], random.IntN(events)
				if pg.verdictsLeft[i] == 1 {
					now[pg.seq][i] = true
					p.recordOutcomeLocked(pg, i, countDelivered)
				}
			}
			p.dropFinishedPagesLocked()
			text, err := json.Marshal(p.currentCheckpointLocked("x"))
			require.NoError(t, err)
			if random.IntN(3) == 0 {
				continue // it was not written
			}
			earlier, finished = parseCheckpoint(text), now
			for seq := range pages {
				all, bits := earlier.finishedEvents(uint64(seq))
				for i := range events {
					require.Equal(t, finished[seq][i], all || hasBit(bits, i), "page %d event %d of %s", seq, i, text)
				}
			}
		}
	}
}

func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte(`{"owner":"a","low":3,"done":[[4,9]],"part":{"11":"AQ"}}`), uint64(11))
	f.Fuzz(func(_ *testing.T, text []byte, seq uint64) {
		cp := parseCheckpoint(text)
		all, bits := cp.finishedEvents(seq)
		_ = all || hasBit(bits, 1000)
		_, _ = parseDeadLetter(eventlog.Message{Subject: "dead.i.0.1", Data: text, Sequence: seq})
	})
}
