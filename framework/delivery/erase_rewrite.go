package delivery

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/compressed"
	"github.com/landfall-dev/landfall/framework/event"
)

// isInCopy reports whether the copy of a damaged file may have what is to be erased. Those of the journal are compressed.
func (r *EraseRequest) isInCopy(stream string, content []byte) bool {
	return stream == journalStream || r.HasUser(string(content))
}

// rewriteMessage returns the data of a message without what is to be erased, with the same length; nil if there is nothing.
func (r *EraseRequest) rewriteMessage(stream, subject string, data []byte) []byte {
	switch stream {
	case eventsStream, rewrittenStream:
		return rewriteLines(data, r.rewriteEvent)
	case journalStream:
		if subject == compressedSubject {
			return r.rewriteGroup(data)
		}
		return rewriteLines(data, r.rewriteJournaled)
	case deadStream, parkStream:
		return rewriteLines(data, r.rewriteLetter)
	}
	return nil
}

// rewriteGroup is rewriteMessage for a compressed group of the journal.
func (r *EraseRequest) rewriteGroup(data []byte) []byte {
	text, err := groupText(compressedSubject, data)
	if err != nil {
		return nil
	}
	if text = rewriteLines(text, r.rewriteJournaled); text == nil {
		return nil
	}
	made := compressed.Fit(len(data), text)
	r.left = r.left || made == nil
	return made
}

// rewriteLines returns a text of the same length in which rewrite has replaced lines, and spaces fill what the new lines leave; nil if it has replaced
// none.
func rewriteLines(data []byte, rewrite func(line []byte) []byte) (made []byte) {
	at := 0
	for line := range bytes.Lines(data) {
		line = bytes.TrimSuffix(line, []byte{'\n'})
		if text := rewrite(line); text != nil && len(text) <= len(line) {
			if made == nil {
				made = bytes.Clone(data)
			}
			n := copy(made[at:], text)
			copy(made[at+n:at+len(line)], bytes.Repeat([]byte{' '}, len(line)-n))
		}
		at += len(line) + 1
	}
	return made
}

func (r *EraseRequest) rewriteEvent(line []byte) []byte {
	if isErasedLine(line) {
		return nil
	}
	if e, err := event.Parse(line); err != nil || !r.Match(e.Value()) {
		return nil
	}
	return []byte(erasedEvent)
}

// rewriteJournaled erases the event in a line of a group of the journal.
func (r *EraseRequest) rewriteJournaled(line []byte) []byte {
	event, subject := cutSubject(line)
	erased := r.rewriteEvent(event)
	if erased == nil || len(erased) > len(event) {
		return nil
	}
	return slices.Concat(erased, bytes.Repeat([]byte{' '}, len(event)-len(erased)), line[len(line)-len(subject)-1:])
}

// erasedKey is the ordering key of a dead letter whose event was erased.
const erasedKey = "erased"

// rewriteLetter erases a dead letter's event, or in another user's dead letter the request that it shares with the user.
func (r *EraseRequest) rewriteLetter(line []byte) []byte {
	var l DeadLetter
	if json.Unmarshal(line, &l) != nil || isErasedLine(l.Event) {
		return nil
	}
	e, err := event.Parse(l.Event)
	erased := err == nil && r.Match(e.Value())
	switch {
	case erased:
		l.Key, l.Reason, l.Request, l.Event = erasedKey, "", nil, []byte(erasedEvent)
	case l.Request != nil && l.Request.HasText(r.HasUser):
		l.Request = nil
	case r.HasUser(l.Reason):
	default:
		return nil
	}
	if r.HasUser(l.Reason) {
		l.Reason = l.Cause.Text()
	}
	text, err := json.Marshal(&l)
	if err == nil && len(text) > len(line) { // the text of the cause is longer than the reason was
		l.Reason = ""
		text, err = json.Marshal(&l)
	}
	if err != nil || len(text) > len(line) {
		text = []byte(erasedEvent) // those of earlier versions may be shorter; it is skipped when it is read
	}
	return text
}
