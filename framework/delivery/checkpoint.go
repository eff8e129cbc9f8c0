package delivery

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// checkpoint is the durable progress and lease of one partition of an instance. Only its owner writes it, and each write names
// the revision of the owner's previous one. A process that has lost the partition therefore cannot write it.
type checkpoint struct {
	Owner string `json:"owner,omitempty"` // name of the process that holds the lease; "" if none does
	// Low is the first page to read: all pages before it are finished.
	Low uint64 `json:"low"`
	// Start is the page at which the instance started; 0 if an earlier version wrote it.
	Start uint64 `json:"start,omitempty"`
	// DedupeFrom is the page at which the remembered messageIds start; 0 for Low.
	DedupeFrom uint64 `json:"since,omitempty"`
	// Done are ranges of finished pages above Low, first and last page each.
	Done [][2]uint64 `json:"done,omitempty"`
	// Partial are the pages of which some events are finished: by page, one bit for each event in base64.
	Partial map[string]string `json:"part,omitempty"`
	// LogCreated identifies the log: when it was created, in nanoseconds since 1970; 0 if an earlier version wrote it.
	LogCreated int64 `json:"log,omitempty"`
	// Anchor is the last page that was read from that log.
	Anchor *anchor `json:"anchor,omitempty"`
	// Sources are the sources whose events are read. It is empty for all sources, and in checkpoints of earlier versions.
	Sources []string `json:"src,omitempty"`
	// Removed has the sources that were among Sources before, each with the first page whose events of it were not read.
	Removed map[string]uint64 `json:"left,omitempty"`
	// Counts are the numbers of verdicts by outcome.
	Counts map[string]int64 `json:"counts,omitempty"`
}

func parseCheckpoint(data []byte) checkpoint {
	var cp checkpoint
	_ = json.Unmarshal(data, &cp) // an unreadable checkpoint has no owner
	return cp
}

// ownerOf returns the owner of an encoded checkpoint, without decoding the rest if possible.
func ownerOf(data []byte) string {
	if rest, ok := bytes.CutPrefix(data, []byte(`{"owner":"`)); ok {
		if name, _, ok := bytes.Cut(rest, []byte{'"'}); ok && !bytes.ContainsRune(name, '\\') {
			return string(name)
		}
	}
	if !bytes.Contains(data, []byte(`"owner"`)) {
		return ""
	}
	return parseCheckpoint(data).Owner
}

// toMessage returns the message that replaces a revision of the checkpoint.
func (cp checkpoint) toMessage(subject string, revision uint64) eventlog.Write {
	data, err := json.Marshal(cp)
	if err != nil {
		panic(err) // cannot happen: every field can be marshaled
	}
	return eventlog.Write{Subject: subject, Data: data, Conditional: true, Revision: revision}
}

// finishedEvents returns which events of a page are finished: all, or those whose bit is set.
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

// setProgressLocked sets the progress from the unfinished pages, in order, and the next page to read. The mutex of their worker
// is held.
func (cp *checkpoint) setProgressLocked(pages []*page, next uint64) {
	cp.Low = next
	if len(pages) == 0 {
		return
	}
	cp.Low = pages[0].seq
	run := false // the previous page is finished
	for _, p := range pages {
		switch {
		case !p.isFinishedLocked():
			cp.addPartialLocked(p)
		case run:
			cp.Done[len(cp.Done)-1][1] = p.seq
		default:
			cp.Done = append(cp.Done, [2]uint64{p.seq, p.seq})
		}
		run = p.isFinishedLocked()
	}
}

// addPartialLocked adds a page of which some events are finished. The mutex of its worker is held.
func (cp *checkpoint) addPartialLocked(p *page) {
	if p.eventsLeft == len(p.verdictsLeft) {
		return
	}
	var bits []byte
	for i, n := range p.verdictsLeft {
		if n != 0 {
			continue
		}
		if bits == nil {
			bits = make([]byte, (len(p.verdictsLeft)+7)/8)
		}
		bits[i/8] |= 1 << (i % 8)
	}
	if bits == nil { // none of the instance's events is finished
		return
	}
	cp.setPartial(strconv.FormatUint(p.seq, 10), base64.RawStdEncoding.EncodeToString(bits))
}

func (cp *checkpoint) setPartial(seq, bits string) {
	if cp.Partial == nil {
		cp.Partial = map[string]string{}
	}
	cp.Partial[seq] = bits
}

// carryOver copies what an earlier checkpoint says about pages not read since: finished ones, and those from next on.
func (cp *checkpoint) carryOver(earlier checkpoint, next uint64) {
	for _, r := range earlier.Done {
		if r[1] >= cp.Low {
			cp.Done = append(cp.Done, r)
		}
	}
	for seq, bits := range earlier.Partial {
		if n, err := strconv.ParseUint(seq, 10, 64); err == nil && n >= next {
			cp.setPartial(seq, bits)
		}
	}
}
