package delivery

import (
	"bytes"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// mixedToken is in the place of the source in the subject of a page with events of several sources. It encodes no id: subjectToken writes = alone or
// before two hexadecimal digits.
const mixedToken = "=several"

// sourcesHeader is the header of such a page, and of replayed events of several sources. It has the tokens of the sources in the order of the
// events, each with the number of its consecutive events unless that is 1: web*3,app,web*2.
const sourcesHeader = "Landfall-Sources"

// Limits of that header.
const (
	maxSourcesHeader = 8 << 10 // bytes, beyond which another page begins
	maxRunOverhead   = 8       // bytes of a run beside its token
)

// sourceList collects the sources of a page that is being written.
type sourceList struct {
	runs []tokenRun
	size int // of the header, at most
}

// tokenRun is a source of consecutive events.
type tokenRun struct {
	token string
	n     int
}

// accepts reports whether the header has space for an event of a source.
func (l *sourceList) accepts(token string) bool {
	n := len(l.runs)
	return n == 0 || l.runs[n-1].token == token || l.size+len(token)+maxRunOverhead <= maxSourcesHeader
}

func (l *sourceList) add(token string) {
	if n := len(l.runs); n > 0 && l.runs[n-1].token == token {
		l.runs[n-1].n++
		return
	}
	l.runs = append(l.runs, tokenRun{token, 1})
	l.size += len(token) + maxRunOverhead
}

// isMixed reports whether there are several sources.
func (l *sourceList) isMixed() bool { return len(l.runs) > 1 }

// String returns the header.
func (l *sourceList) String() string {
	b := make([]byte, 0, l.size)
	for i, r := range l.runs {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, r.token...)
		if r.n > 1 {
			b = strconv.AppendInt(append(b, '*'), int64(r.n), 10)
		}
	}
	return string(b)
}

// sourceRun is consecutive events of one source in a page.
type sourceRun struct {
	source string
	end    int // index after the last event
}

// parseSourceRuns returns the runs of a header of a page with n events.
func parseSourceRuns(header string, n int) (runs []sourceRun, err error) {
	end := 0
	for text := range strings.SplitSeq(header, ",") {
		token, number, counted := strings.Cut(text, "*")
		count := 1
		if counted {
			count, err = strconv.Atoi(number)
		}
		if err != nil || count < 1 || count > n-end || token == "" {
			return nil, fmt.Errorf("the header %s of a page with %d events cannot be read: run %d", sourcesHeader, n, len(runs)+1)
		}
		end += count
		runs = append(runs, sourceRun{parseToken(token), end})
	}
	if end != n {
		return nil, fmt.Errorf("the header %s of a page with %d events has the sources of %d", sourcesHeader, n, end)
	}
	return runs, nil
}

// sourcesOf returns the sources of the n events of a page, also of replayed events. If they cannot be read, it returns one run without a source, and
// an error.
func sourcesOf(m *eventlog.Message, n int) ([]sourceRun, error) {
	kind, rest, _ := strings.Cut(m.Subject, ".")
	token, _, _ := strings.Cut(rest, ".")
	header, several := m.Header[sourcesHeader]
	switch {
	case several || kind == "ev" && token == mixedToken:
		runs, err := parseSourceRuns(header, n)
		if err != nil {
			runs = []sourceRun{{"", n}}
		}
		return runs, err
	case kind == "ctl":
		return []sourceRun{{m.Header[sourceHeader], n}}, nil
	}
	return []sourceRun{{parseToken(token), n}}, nil
}

// pageLines returns the events of a page.
func pageLines(data []byte) [][]byte {
	return bytes.Split(bytes.TrimSuffix(data, []byte{'\n'}), []byte{'\n'})
}

// countLines returns how many events a page has.
func countLines(data []byte) int {
	return bytes.Count(bytes.TrimSuffix(data, []byte{'\n'}), []byte{'\n'}) + 1
}

// eventsIn returns the events of a message of the log, including erased ones. A command has none, unless it replays events.
func eventsIn(m *eventlog.Message) iter.Seq[StoredEvent] {
	return func(yield func(StoredEvent) bool) {
		parts := strings.Split(m.Subject, ".")
		copies := parts[0] == "ctl"
		if len(parts) < 3 || copies && m.Header[opHeader] != opReplayEvents {
			return
		}
		lines := pageLines(m.Data)
		e := StoredEvent{Seq: m.Sequence, At: m.Time}
		e.Partition, _ = strconv.Atoi(parts[2]) // the subjects of the stream end in it
		var origins []position
		if copies {
			e.Replay, origins = parseToken(parts[1]), parseOrigins(m.Header[originsHeader], len(lines))
		}
		runs, _ := sourcesOf(m, len(lines)) // events of an unknown source have none
		for i, line := range lines {
			if i == runs[0].end {
				runs = runs[1:]
			}
			e.Index, e.Raw, e.Source = i, line, runs[0].source
			if i < len(origins) {
				e.Original = EventSource{origins[i].seq, origins[i].index}
			}
			if !yield(e) {
				return
			}
		}
	}
}
