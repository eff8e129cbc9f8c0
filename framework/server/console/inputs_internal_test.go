package console

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/server/history"
	"github.com/landfall-dev/landfall/framework/server/why"
)

// TestTurnedInputsKeepTheirValue checks what a field maps to after its mode was changed in the browser: the same, as far as the new mode can
// say it, and nothing that cannot be read is lost.
func TestTurnedInputsKeepTheirValue(t *testing.T) {
	fields, err := fieldschema.ParseFields(event.MustParse(`{"email":{"label":"E-mail","type":"string","default":{"@path":"$.email"}}}`))
	require.NoError(t, err)
	for _, c := range []struct{ was, mode, text, want, shown string }{
		{"path", "template", "$.userId", "template", "$.userId"},
		{"text", "json", `hello`, "json", `"hello"`},
		{"text", "json", `{"@path":"$.a"}`, "json", `{"@path":"$.a"}`},
		{"text", "json", `["a"]`, "json", `["a"]`},
		{"template", "json", `{{userId}}`, "json", "@template"},
		{"default", "json", "", "json", `"@path"`},
		{"json", "text", `{"a":1}`, "text", ""},
		{"json", "path", `{"@path":"$.x"}`, "path", "$.x"},
		{"json", "text", `"plain"`, "text", "plain"},
		{"json", "text", `{"a":`, "json", `{"a":`},
		{"text", modeCard, "hello", modeCard, ""},
		{modeCard, "text", "typed", "text", ""},
	} {
		in := &fieldInput{Field: fields[0], Name: "f"}
		in.readMapping(url.Values{"f.was": {c.was}, "f.mode": {c.mode}, "f.text": {c.text}})
		assert.Equal(t, c.want, in.Mode, "%+v", c)
		assert.Contains(t, strings.Join(strings.Fields(in.Text), ""), c.shown, "%+v", c)
		assert.Equal(t, c.want == modeCard, in.Card != nil, "%+v", c)
	}
}

// TestTurnedInputsOfDirectives is TestTurnedInputsKeepTheirValue for the inputs within a directive.
func TestTurnedInputsOfDirectives(t *testing.T) {
	for _, c := range []struct{ was, mode, text, want, shown string }{
		{"text", "json", "hello", "json", `"hello"`}, {"json", "text", `"plain"`, "text", "plain"}, {"json", "text", `{"a":`, "json", `{"a":`}, {"path", "path", "$.a", "path", "$.a"}, {"text", modeCard, "hello", modeCard, ""},
	} {
		m, changed := readMapping(url.Values{"f.was": {c.was}, "f.mode": {c.mode}, "f.text": {c.text}}, "f", "Value", false, 0)
		assert.Equal(t, c.want, m.Mode, "%+v", c)
		assert.Contains(t, m.Text, c.shown, "%+v", c)
		assert.Equal(t, c.want == modeCard, m.Card != nil, "%+v", c)
		assert.Equal(t, c.want == c.mode && c.was != c.mode, changed, "%+v", c)
	}
}

// TestLiveFilters checks which events each part of a filter selects.
func TestLiveFilters(t *testing.T) {
	const entered = `{"type":"track","event":"Bought","userId":"ana","context":{"personas":{"computation_key":"vip","computation_id":"aud_1"}}}`
	for f, want := range map[liveFilter]bool{
		{}: true, {Event: "bought"}: true, {Event: "TRACK"}: true, {Event: "Sold"}: false, {Audience: "vip"}: true, {Audience: "aud_1"}: true, {Audience: "VIP"}: false, {Event: "Bought", Audience: "gold"}: false,
		{Source: "web"}: true, {Source: "app"}: false, {Text: "ANA"}: true, {Text: "bob"}: false, {Source: "web", Text: "bob"}: false, {Source: "app", Text: "ana"}: false, {Event: "Bought", Audience: "vip"}: true,
	} {
		assert.Equal(t, want, f.selects([]byte(entered), "web"), "%+v", f)
	}
	assert.True(t, liveFilter{}.selects([]byte("{"), "web"), "an event that cannot be read is one of all")
	assert.False(t, liveFilter{Event: "x"}.selects([]byte("{"), "web"))
	verdicts := []delivery.VerdictRecord{{Instance: "main", Outcome: "delivered"}, {Instance: "other", Outcome: "dead"}}
	for f, want := range map[liveFilter]bool{
		{}: true, {Instance: "main"}: true, {Instance: "none"}: false, {Outcome: "dead"}: true, {Outcome: "dead", Instance: "main"}: false, {Outcome: "parked"}: false, {Outcome: outcomeNone}: false,
		{Outcome: outcomeNone, Instance: "none"}: true, {Outcome: outcomeNone, Instance: "main"}: false, {Outcome: "delivered", Instance: "main"}: true,
	} {
		assert.Equal(t, want, f.selectsVerdicts(verdicts), "%+v", f)
	}
	for f, want := range map[liveFilter]int{{}: 1, {Instance: "main"}: 0, {Outcome: outcomeRejected}: 1, {Outcome: "dead"}: 0, {Text: "none"}: 0} {
		v := liveView{Filter: f}
		v.addRejections([]history.Rejection{{Event: `{"type":"trakc"}`, Source: "web", Reason: "no such type"}})
		assert.Len(t, v.Rows, want, "%+v", f)
		assert.Equal(t, 1, v.Searched)
	}
}

// TestKeyFiles checks that a key file is made once, for this user only, and that a file which has no key is not replaced.
func TestKeyFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "new", KeyFile)
	require.NoError(t, makeKeyFile(path))
	first, err := os.ReadFile(path)
	require.NoError(t, err)
	_, err = oauth.NewBox(strings.TrimSpace(string(first)))
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.EqualValues(t, 0o600, info.Mode().Perm())
	require.NoError(t, makeKeyFile(path))
	again, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(first), string(again))
	require.NoError(t, os.WriteFile(path, []byte("mine"), 0o600))
	assert.ErrorContains(t, makeKeyFile(path), "move the file away")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "mine", string(text))
	assert.Error(t, makeKeyFile(filepath.Join(path, KeyFile)), "a directory is a file")
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "link")))
	assert.ErrorContains(t, makeKeyFile(filepath.Join(dir, "link")), "making the key file")
	assert.NoFileExists(t, filepath.Join(dir, "nowhere"))
}

// TestTonesOfAnswers checks how answers and entries of a timeline are marked.
func TestTonesOfAnswers(t *testing.T) {
	for reason, tone := range map[why.Reason]string{
		why.Member: "good", why.Delivered: "good", why.Waiting: "warning", why.Paused: "warning", why.Parked: "warning", why.Left: "warning", why.Superseded: "warning", why.Purged: "warning",
		why.Synced: "warning", why.UnknownToRemote: "warning", why.NeverArrived: "bad", why.Rejected: "bad", why.Refused: "bad", why.Filtered: "bad",
	} {
		assert.Equal(t, tone, answerTone(reason), reason)
	}
	for want, list := range map[string][]why.Entry{
		"good":    {{Kind: why.KindAccepted}, {Kind: why.KindMapped}, {Outcome: "delivered"}},
		"bad":     {{Kind: why.KindRejected}, {Outcome: "dead"}, {Outcome: "refused"}, {Outcome: "dropped"}},
		"warning": {{Kind: why.KindWaiting}, {Outcome: "parked"}, {Kind: why.KindOperator}},
		"quiet":   {{}, {Outcome: "skipped"}},
	} {
		for _, e := range list {
			assert.Equal(t, want, entryTone(e), "%+v", e)
		}
	}
}

// TestCachedVerdictsAreBounded checks that the cache of verdicts is emptied once it has too many events, and not before.
func TestCachedVerdictsAreBounded(t *testing.T) {
	c := &Console{}
	c.History.Events = func(context.Context, []history.Position) (map[history.Position][]delivery.VerdictRecord, error) {
		return nil, nil
	}
	c.verdicts.known = map[history.Position]cachedVerdicts{}
	for i := range maxCachedVerdicts {
		c.verdicts.known[history.Position{Seq: uint64(i + 10)}] = cachedVerdicts{}
	}
	_, err := c.keptVerdicts(t.Context(), []delivery.StoredEvent{{Seq: 1}})
	require.NoError(t, err)
	assert.Len(t, c.verdicts.known, maxCachedVerdicts+1)
	_, err = c.keptVerdicts(t.Context(), []delivery.StoredEvent{{Seq: 2}})
	require.NoError(t, err)
	assert.Len(t, c.verdicts.known, 1)
}

// TestAFailedLookAtTheHistoryIsNotCached checks that verdicts which could not be read are read again by the next page, which then has them.
func TestAFailedLookAtTheHistoryIsNotCached(t *testing.T) {
	c, at := &Console{}, history.Position{Seq: 7}
	c.Log = slog.New(slog.DiscardHandler)
	fails := errors.New("the database does not answer")
	c.History.Events = func(context.Context, []history.Position) (map[history.Position][]delivery.VerdictRecord, error) {
		if fails != nil {
			return nil, fails
		}
		return map[history.Position][]delivery.VerdictRecord{at: {{Seq: 7, Outcome: "delivered"}}}, nil
	}
	kept, err := c.keptVerdicts(t.Context(), []delivery.StoredEvent{{Seq: 7}})
	require.ErrorIs(t, err, fails)
	assert.Empty(t, kept[at])
	fails = nil
	kept, err = c.keptVerdicts(t.Context(), []delivery.StoredEvent{{Seq: 7}})
	require.NoError(t, err)
	assert.Len(t, kept[at], 1)
	view := &liveView{}
	view.addError(errors.New("one"))
	view.addError(nil)
	view.addError(errors.New("two"))
	assert.Len(t, view.Errors, 2, "a later error does not replace the first one")
}

// TestJobsAreLimited checks how many jobs run and are remembered, and that none runs twice for the same thing.
func TestJobsAreLimited(t *testing.T) {
	c, err := New(Config{})
	require.NoError(t, err)
	release := make(chan struct{})
	start := func(instance, audience, sync string) string {
		return c.startJob(&job{instance: instance, audience: destination.Audience{ID: audience}, sync: sync}, func(context.Context) error { <-release; return nil })
	}
	for _, different := range [][3]string{{"a", "vip", ""}, {"b", "vip", ""}, {"a", "new", ""}} {
		require.Empty(t, start(different[0], different[1], different[2]))
		assert.Contains(t, start(different[0], different[1], different[2]), "Another job is already running for this")
	}
	require.Empty(t, start("a", "vip", "nightly"))
	assert.Contains(t, start("c", "vip", ""), "Too many jobs")
	close(release)
	c.running.Wait()
	for range maxRememberedJobs + 1 {
		require.Empty(t, start("d", "vip", ""))
		c.running.Wait()
	}
	assert.Len(t, c.jobs.list, maxRememberedJobs)
	assert.Len(t, c.jobs.forAudience("d", "vip"), maxRememberedJobs)
	c.Close()
	assert.Contains(t, start("e", "vip", ""), "Too many jobs", "the server stops")
	assert.Equal(t, []int{2, 3}, lastN([]int{1, 2, 3}, 2))
	assert.Equal(t, []int{1, 2}, lastN([]int{1, 2}, 2))
}

// TestLimitsOfInstances checks what is said of the budgets of an instance and of the end of its waiting events.
func TestLimitsOfInstances(t *testing.T) {
	assert.Empty(t, limitFigures(delivery.Status{ExpectedEnd: time.Now().Add(-time.Second)}))
	status := delivery.Status{ExpectedEnd: time.Now().Add(2 * time.Hour), Limits: &budget.GateStatus{Budget: budget.Status{Windows: []budget.WindowStatus{
		{Unit: "requests", Per: time.Hour, Limit: 100, Left: 93, Resets: time.Now().Add(-time.Hour)},
	}}}}
	list := limitFigures(status)
	require.Len(t, list, 2)
	assert.Equal(t, []string{"Finished in", "Budget left", "93"}, []string{list[0].Name, list[1].Name, list[1].Value})
	assert.Contains(t, list[1].Help, "of 100 requests in")
	v := newInstanceView(status, "Shop", 0, nil, windowOf(""))
	assert.Equal(t, "Budget left", v.Figures[len(v.Figures)-1].Name)
}

// TestSeverities checks that what needs an operator comes first.
func TestSeverities(t *testing.T) {
	paused := instanceView{}
	paused.Paused = true
	removed := instanceView{Tone: "stopped"}
	removed.Removed = true
	for _, c := range []struct {
		row  overviewRow
		view instanceView
		want int
	}{
		{overviewRow{}, instanceView{Tone: "stopped"}, severityStopped}, {overviewRow{DeadLetters: 1}, paused, severityPaused}, {overviewRow{}, instanceView{Tone: "waiting"}, severityPaused},
		{overviewRow{DeadLetters: 1, Waiting: 1}, instanceView{}, severityDeadLetters}, {overviewRow{}, removed, severityRemoved}, {overviewRow{Waiting: 1}, instanceView{}, severityWaiting}, {overviewRow{}, instanceView{}, severityIdle},
	} {
		assert.Equal(t, c.want, c.row.severityOf(c.view), "%+v", c)
	}
	assert.Equal(t, 3, new(Console).currentDeadLetters(t.Context(), delivery.Status{Counts: map[string]int64{"dead": 1, "parked": 2, "delivered": 9}}))
}

// TestGroupsOfDeadLetters checks the numbers of a group, and that its example is the newest dead letter.
func TestGroupsOfDeadLetters(t *testing.T) {
	now := time.Now()
	p := &deadLetterPage{groupsByCause: map[fault.Cause]*deadLetterGroup{}}
	for _, l := range []delivery.DeadLetter{
		{Cause: "a", Reason: "older", At: now.Add(-time.Hour)}, {Cause: "a", Reason: "newest", At: now}, {Cause: "a", Parked: true, Reason: "old", At: now.Add(-2 * time.Hour)}, {Cause: "b", Parked: true, At: now},
	} {
		p.addToGroup(&l)
	}
	a, b := *p.groupsByCause["a"], *p.groupsByCause["b"]
	assert.Equal(t, []any{2, 1, 3, "newest", now}, []any{a.Dead, a.Parked, a.Total(), a.Example, a.Newest})
	p.Groups = []deadLetterGroup{a, b}
	assert.Equal(t, []int{2, 2, 1}, []int{p.Dead(), p.Parked(), b.Total()})
	assert.EqualValues(t, "page=2", pageQuery("", 2))
	assert.EqualValues(t, "kind=dead&page=3", pageQuery("kind=dead", 3))
}

// TestTreesOfSamplesAreBounded checks how much of a large sample its tree shows.
func TestTreesOfSamplesAreBounded(t *testing.T) {
	var items []string
	for i := range maxTreeItems + 1 {
		items = append(items, strconv.Itoa(i))
	}
	tree := sampleTree(`{"list":[` + strings.Join(items, ",") + `]}`)
	require.Len(t, tree, 1)
	assert.Len(t, tree[0].Children, maxTreeItems)
	assert.Equal(t, "$.list[49]", tree[0].Children[49].Path)
	node := sampleTree(strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20))
	depth := 0
	for len(node) > 0 {
		depth++
		node = node[0].Children
	}
	assert.Equal(t, maxTreeDepth, depth)
	assert.Nil(t, sampleTree("{"))
}

// TestTimesOfVerdictFilters checks which times the page of verdicts reads.
func TestTimesOfVerdictFilters(t *testing.T) {
	want := time.Date(2026, 1, 31, 15, 4, 0, 0, time.Local)
	for text, ok := range map[string]bool{"": true, "2026-01-31T15:04": true, "2026-01-31T15:04:00": true, want.UTC().Format(time.RFC3339): true, "yesterday": false, "2026-02-30T15:04": false} {
		at, err := parseStamp(text)
		assert.Equal(t, ok, err == nil, text)
		if ok && text != "" {
			assert.True(t, want.Equal(at), text)
		}
	}
	assert.Equal(t, "2026-01-31T15:04:00", stampInput(want, "typed"))
	assert.Equal(t, "typed", stampInput(time.Time{}, "typed"))
}

// TestEveryIDHasAPath checks that the segment of an id leads to the id, and that neither browsers nor routers take it for a directory.
func TestEveryIDHasAPath(t *testing.T) {
	mux, got := http.NewServeMux(), ""
	mux.HandleFunc("GET /audiences/{instance}/{id...}", func(_ http.ResponseWriter, r *http.Request) { got = pathID(r, "id") })
	base, err := url.Parse("http://h/console")
	require.NoError(t, err)
	for _, id := range []string{"vip", ".", "..", "...", "~.", "~..", "~~.", "~", "~vip", "a/../b", "a//b", "a b", "%2e", "ü", "a?b#c"} {
		target, err := url.Parse("/audiences/i/" + segmentOf(id))
		require.NoError(t, err)
		got = ""
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, base.ResolveReference(target).String(), nil))
		assert.Equal(t, http.StatusOK, w.Code, id)
		assert.Equal(t, id, got)
		assert.NotContains(t, []string{".", "..", "%2e", "%2E"}, segmentOf(id), id)
	}
}

// TestErrorsOfWritingTheConfig checks what is said about a config that cannot be replaced.
func TestErrorsOfWritingTheConfig(t *testing.T) {
	c := &Console{Config: Config{File: "/etc/landfall/landfall.yaml"}}
	require.NoError(t, c.explainWriteError(nil))
	for code, want := range map[syscall.Errno]string{
		syscall.EBUSY:  "cannot be replaced, since it is mounted as a single file: mount its directory /etc/landfall instead, or change the file outside",
		syscall.EROFS:  "cannot be replaced: the file system is read-only: let the user of the server write to the directory /etc/landfall, or change the file yourself",
		syscall.EACCES: "let the user of the server write to the directory /etc/landfall, or change the file yourself",
		syscall.ENOSPC: "cannot be written: the disk is full: free space on it",
	} {
		err := c.explainWriteError(&os.LinkError{Op: "rename", Old: "/etc/landfall/.landfall.yaml.1", New: c.File, Err: code})
		assert.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), ".landfall.yaml.1")
	}
}
