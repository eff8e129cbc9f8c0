package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/stream"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/explain"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
)

// reporter prints the progress and the result of a run.
type reporter interface {
	printHeader(target string, all []instances.Instance)
	addEvent(stream.Event) error
	printRequest(httpx.Exchange) // only in a dry run
	printSummary(requests int, audiences []audienceSize) stream.Summary
}

func newReporter(s streams, asJSON bool, progress *progress) reporter {
	if asJSON {
		return &jsonReporter{out: json.NewEncoder(s.out)}
	}
	return &textReporter{streams: s, terminal: isTerminal(s.err), progress: progress}
}

// jsonReporter prints one JSON object per line.
type jsonReporter struct {
	out     *json.Encoder
	summary stream.Summary
}

type verdictJSON struct {
	Instance     string `json:"instance,omitempty"`
	Subscription string `json:"subscription"`
	Outcome      string `json:"outcome"`
	Status       int    `json:"status"`
	Code         string `json:"code,omitempty"`
	Cause        string `json:"cause,omitempty"`
	Reason       string `json:"reason"`
}

func (r *jsonReporter) printHeader(string, []instances.Instance) {}

func (r *jsonReporter) addEvent(e stream.Event) error {
	r.summary.Add(e)
	verdicts := make([]verdictJSON, len(e.Verdicts))
	for i, v := range e.Verdicts {
		verdicts[i] = verdictJSON{v.Instance, v.Subscription, string(v.Outcome), v.Status, v.Code, string(v.Cause), v.Reason}
	}
	return r.out.Encode(struct {
		Index    int           `json:"index"`
		Verdicts []verdictJSON `json:"verdicts"`
	}{e.Index, verdicts})
}

func (r *jsonReporter) printRequest(x httpx.Exchange) {
	_ = r.out.Encode(map[string]any{"request": explain.RequestOf(x)})
}

func (r *jsonReporter) printSummary(requests int, audiences []audienceSize) stream.Summary {
	s := r.summary
	_ = r.out.Encode(map[string]any{"summary": struct {
		Events    int            `json:"events"`
		Matched   int            `json:"matched"`
		Delivered int            `json:"delivered"`
		Skipped   int            `json:"skipped"`
		Refused   int            `json:"refused"`
		Failed    int            `json:"failed"`
		Requests  int            `json:"requests"`
		Audiences []audienceSize `json:"cohorts"` // the key of earlier versions
	}{s.Events, s.Matched, s.Delivered, s.Skipped, s.Refused, s.Failed, requests, audiences}})
	return s
}

// textReporter prints for people: the progress if standard error is a terminal, and a summary at the end.
type textReporter struct {
	streams
	terminal bool
	progress *progress
	shown    time.Time
	summary  stream.Summary
}

// progressEvery is the number of events between two looks at the clock for the progress.
const progressEvery = 64

func (r *textReporter) printHeader(target string, all []instances.Instance) {
	for _, in := range all {
		d := in.Plan.Definition()
		fmt.Fprintf(r.out, "%s (%s) · %s\n", d.Name, in.Plan.ID(), target)
	}
	fmt.Fprintln(r.out)
}

func (r *textReporter) addEvent(e stream.Event) error {
	r.summary.Add(e)
	if r.terminal && r.summary.Events%progressEvery == 0 && time.Since(r.shown) > 200*time.Millisecond {
		r.shown = time.Now()
		fmt.Fprintf(r.err, "\r%s\033[K", r.progress.statusLine(r.summary.Events, r.shown))
	}
	return nil
}

func (r *textReporter) printRequest(x httpx.Exchange) {
	fmt.Fprintf(r.out, "%s %s\n", x.Method, x.URL)
	if len(x.Body) > 0 {
		fmt.Fprintf(r.out, "  %s\n", x.Body)
	}
}

func (r *textReporter) printSummary(requests int, audiences []audienceSize) stream.Summary {
	if r.terminal {
		fmt.Fprint(r.err, "\r\033[K")
	}
	s := r.summary
	rows := [][2]any{{"events", s.Events}, {"matched", s.Matched}, {"delivered", s.Delivered}, {"skipped", s.Skipped}, {"refused", s.Refused}}
	if s.Failed > 0 {
		rows = append(rows, [2]any{"failed", s.Failed})
	}
	for _, row := range append(rows, [2]any{"requests", requests}) {
		fmt.Fprintf(r.out, "%-10s %9d\n", row[0], row[1])
	}
	r.printReasons(s)
	if len(audiences) > 0 {
		fmt.Fprintln(r.out)
		printAudiences(r.out, audiences)
	}
	return s
}

// printReasons prints why events were not delivered, grouped by outcome.
func (r *textReporter) printReasons(s stream.Summary) {
	var under runtime.Outcome
	for _, reason := range s.Reasons() {
		if reason.Outcome != under {
			under = reason.Outcome
			fmt.Fprintf(r.out, "\n%s because\n", outcomeWord(under))
		}
		fmt.Fprintf(r.out, "%9d  %s  (first: line %d)\n", reason.Count, strings.ReplaceAll(reason.Reason, "\n", "\n           "), reason.Line)
	}
}

func outcomeWord(o runtime.Outcome) string {
	if o == runtime.Retry {
		return "failed for now"
	}
	return string(o)
}

// printAudiences prints audiences as a table.
func printAudiences(out io.Writer, audiences []audienceSize) {
	width, names := len("audience"), len("name")
	for _, c := range audiences {
		width, names = max(width, len(c.ID)), max(names, len(c.Name))
	}
	fmt.Fprintf(out, "%-*s  %-*s  %7s\n", width, "audience", names, "name", "members")
	for _, c := range audiences {
		fmt.Fprintf(out, "%-*s  %-*s  %7d\n", width, c.ID, names, c.Name, c.Members)
	}
	for _, c := range audiences {
		if u := c.Unknown; u != nil {
			more := ""
			if u.Count > len(u.First) {
				more = " …"
			}
			does := fault.Plural(u.Count, "does not exist at the remote, so it is", "do not exist at the remote, so they are")
			again := fault.Plural(u.Count, "create this user first, then send it again", "create these users first, then send them again")
			fmt.Fprintf(out, "\nunknown: %d of the users sent to %s (%s) %s not in the audience: %s%s\n", u.Count, c.Name, c.ID, does, strings.Join(u.First, ", "), more)
			fmt.Fprintf(out, "         %s (landfall members resync %s)\n", again, c.ID)
		}
	}
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
