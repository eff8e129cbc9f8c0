package delivery

import (
	"encoding/base64"
	"encoding/json"
	"strconv"

	"github.com/nats-io/nats.go"
)

// checkpoint is what is written down of a partition of an instance: who works on it, how far that is, and what became of the
// events. Only its owner writes it, after the revision that it wrote last; who has lost the partition cannot.
type checkpoint struct {
	Owner string `json:"owner,omitempty"` // "" where nobody works on it
	// Low is where to read on: everything before it is finished.
	Low uint64 `json:"low"`
	// Start is where the instance began to get events; 0 if an earlier version wrote it.
	Start uint64 `json:"start,omitempty"`
	// DedupeFrom is where the messageIds that are remembered begin, 0 for Low.
	DedupeFrom uint64 `json:"since,omitempty"`
	// Done are ranges of pages above Low that are finished, first and last.
	Done [][2]uint64 `json:"done,omitempty"`
	// Partial are pages of which some events are finished: a bit for each event, by page.
	Partial map[string]string `json:"part,omitempty"`
	// LogCreated is the log that it speaks of, by the time of its creation in nanoseconds; 0 if an earlier version wrote it.
	LogCreated int64 `json:"log,omitempty"`
	// Anchor is the last page that was taken from that log.
	Anchor *anchor `json:"anchor,omitempty"`
	// Counts are how many verdicts of each kind there have been.
	Counts map[string]int64 `json:"counts,omitempty"`
}

func parseCheckpoint(data []byte) checkpoint {
	var cp checkpoint
	_ = json.Unmarshal(data, &cp) // what cannot be read is a book without an owner
	return cp
}

// message is the book as it is written after a revision.
func (cp checkpoint) message(subject string, revision uint64) *nats.Msg {
	data, err := json.Marshal(cp)
	if err != nil {
		panic(err) // it holds nothing that cannot be written
	}
	return &nats.Msg{Subject: subject, Data: data, Header: nats.Header{
		"Nats-Expected-Last-Subject-Sequence": {strconv.FormatUint(revision, 10)},
	}}
}

// finishedEvents tells which events of a page are finished already: all, or those with a bit.
func (cp checkpoint) finishedEvents(seq uint64) (all bool, bits []byte) {
	if seq < cp.Low {
		return true, nil
	}
	for _, r := range cp.Done {
		if seq >= r[0] && seq <= r[1] {
			return true, nil
		}
	}
	bits, _ = base64.RawStdEncoding.DecodeString(cp.Partial[strconv.FormatUint(seq, 10)])
	return false, bits
}

func hasBit(bits []byte, i int) bool { return i/8 < len(bits) && bits[i/8]&(1<<(i%8)) != 0 }

// page is a message of the log whose events are not all finished.
type page struct {
	seq            uint64
	verdictsLeft   []uint16         // how many verdicts of each event are to come
	earlyOutcomes  map[int][]string // those that have come, of events that are not finished
	eventsLeft     int              // events with some to come
	fullyRead      bool             // all its events are on their way
	replayed       bool             // its events are replayed
	holdsLetters   bool             // they are letters
	acceptedMillis int64            // when it was accepted, in milliseconds
}

// verdictsUnknown is an event whose verdicts are not known yet.
const verdictsUnknown = 1<<16 - 1

func (p *page) isFinished() bool { return p.fullyRead && p.eventsLeft == 0 }

// setProgress puts the pages of a window, in their order, into a book.
func (b *checkpoint) setProgress(window []*page, next uint64) {
	b.Low = next
	if len(window) == 0 {
		return
	}
	b.Low = window[0].seq
	run := false // the page before was finished
	for _, p := range window {
		switch {
		case !p.isFinished():
			b.addPartial(p)
		case run:
			b.Done[len(b.Done)-1][1] = p.seq
		default:
			b.Done = append(b.Done, [2]uint64{p.seq, p.seq})
		}
		run = p.isFinished()
	}
}

func (b *checkpoint) addPartial(p *page) {
	if p.eventsLeft == len(p.verdictsLeft) {
		return
	}
	bits := make([]byte, (len(p.verdictsLeft)+7)/8)
	for i, n := range p.verdictsLeft {
		if n == 0 {
			bits[i/8] |= 1 << (i % 8)
		}
	}
	b.setPartial(strconv.FormatUint(p.seq, 10), base64.RawStdEncoding.EncodeToString(bits))
}

func (b *checkpoint) setPartial(seq, bits string) {
	if b.Partial == nil {
		b.Partial = map[string]string{}
	}
	b.Partial[seq] = bits
}

// carryOver puts in what an earlier book says of pages that have not been taken up since: those that were finished, and those from
// next on, which have not been read again yet.
func (b *checkpoint) carryOver(was checkpoint, next uint64) {
	for _, r := range was.Done {
		if r[1] >= b.Low {
			b.Done = append(b.Done, r)
		}
	}
	for seq, bits := range was.Partial {
		if n, err := strconv.ParseUint(seq, 10, 64); err == nil && n >= next {
			b.setPartial(seq, bits)
		}
	}
}
