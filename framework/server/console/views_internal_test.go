package console

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/history"
)

// TestDiffLines checks the class of each line of a diff, and that its header is left out.
func TestDiffLines(t *testing.T) {
	lines := diffLines("f.yaml", "a: 1\nb: 2\nc: 3\n", "a: 1\nb: 5\nc: 3\n")
	assert.Equal(t, []diffLine{{"place", "@@ -1,3 +1,3 @@"}, {"kept", " a: 1"}, {"removed", "-b: 2"}, {"added", "+b: 5"}, {"kept", " c: 3"}}, lines)
	assert.Empty(t, diffLines("f.yaml", "a: 1\n", "a: 1\n"))
}

// TestDraftsExpire checks how long a reviewed config can be written, and that drafts do not pile up.
func TestDraftsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d drafts
		id := d.storeDraft(draft{text: []byte("x"), made: time.Now()})
		time.Sleep(draftLifetime)
		found, ok := d.findDraft(id)
		assert.True(t, ok)
		assert.Equal(t, "x", string(found.text))
		time.Sleep(time.Nanosecond)
		_, ok = d.findDraft(id)
		assert.False(t, ok)
		other := d.storeDraft(draft{made: time.Now()})
		assert.Len(t, d.byID, 1, "the expired one is dropped")
		d.deleteDraft(other)
		_, ok = d.findDraft(other)
		assert.False(t, ok)
	})
}

// TestConfigsWithInstances checks how an instance is found, replaced, appended and removed, and what is added with it.
func TestConfigsWithInstances(t *testing.T) {
	f := configFile{root: event.MustParse(`{"listen":"x","destinations":[{"id":"a"},{"id":"b"},{"destination":"no id"}],"state":{"url":"u"}}`)}
	for id, want := range map[string]int{"a": 0, "b": 1, "c": 3, "": 3} {
		in, at := f.findInstance(id)
		assert.Equal(t, want, at, id)
		assert.Equal(t, want < 3, in.Kind() != event.Absent, id)
	}
	in := event.MustParse(`{"id":"n"}`)
	for at, want := range map[int]string{
		0: `[{"id":"n"},{"id":"b"},{"destination":"no id"}]`, 1: `[{"id":"a"},{"id":"n"},{"destination":"no id"}]`, 3: `[{"id":"a"},{"id":"b"},{"destination":"no id"},{"id":"n"}]`,
	} {
		got := f.withInstance(at, in, additions{})
		assert.Equal(t, want, got.Get("destinations").JSON())
		assert.Equal(t, "x", got.Get("listen").Str())
	}
	assert.Equal(t, `[{"id":"a"},{"destination":"no id"}]`, f.withInstance(1, event.Value{}, additions{}).Get("destinations").JSON())
	assert.Equal(t, `[{"id":"a"},{"id":"b"},{"destination":"no id"}]`, f.root.Get("destinations").JSON(), "the file's own list is not changed")
	assert.Equal(t, `{"listen":"x","destinations":[{"id":"n"},{"id":"b"},{"destination":"no id"}],"state":{"url":"u","key":"${K}"},"sources":[{"id":"web","writeKey":"${W}"}]}`,
		f.withInstance(0, in, additions{SourceID: "web", SourceKey: "${W}", StateKey: "${K}"}).JSON())
	assert.Equal(t, "shop", new(Console).freeID(f, "shop"))
	assert.Equal(t, "a-2", new(Console).freeID(f, "a"))
	f.root = event.MustParse(`{"destinations":[{"id":"a"},{"id":"a-2"}]}`)
	assert.Equal(t, "a-3", new(Console).freeID(f, "a"))
}

// TestSubscriptionsOfAForm checks adding, removing and renaming subscriptions, and switching between fields and JSON.
func TestSubscriptionsOfAForm(t *testing.T) {
	form := newForm(event.MustParse(`{"id":"a"}`), event.NewObject(nil), shop(t))
	for range 3 {
		form.addAction("order")
	}
	form.addAction("none")
	namesOf := func() (names []string) {
		for i, s := range form.Subscriptions {
			names = append(names, s.Name)
			assert.Equal(t, i, s.Index)
			for _, in := range s.allFields() {
				assert.True(t, strings.HasPrefix(in.Name, fmt.Sprintf("s.%d.f.", i)), in.Name)
			}
		}
		return names
	}
	assert.Equal(t, []string{"Order", "Order 2", "Order 3"}, namesOf())
	form.removeSubscription(1)
	assert.Equal(t, []string{"Order", "Order 3"}, namesOf())
	form.removeSubscription(-1)
	form.removeSubscription(2)
	assert.Len(t, form.Subscriptions, 2)
	form.addAction("order")
	assert.Equal(t, []string{"Order", "Order 3", "Order 2"}, namesOf())
	form.removeSubscription(0)
	assert.Equal(t, []string{"Order 3", "Order 2"}, namesOf())
	assert.Equal(t, `{"id":"","destination":"shop","enabled":true,"subscriptions":[{"name":"Order 3","action":"order"},{"name":"Order 2","action":"order"}]}`, strings.Replace(form.instanceValue().JSON(), `"id":"a","destination":"shop"`, `"id":"","destination":"shop","enabled":true`, 1))

	s := form.Subscriptions[0]
	s.Fields[1].value = event.MustParse("5")
	s.setJSONMode(true)
	assert.True(t, s.AsJSON)
	assert.JSONEq(t, `{"total":5}`, s.JSON)
	s.JSON = `{"total":6}`
	s.setJSONMode(false)
	assert.False(t, s.AsJSON)
	assert.Equal(t, "6", s.Fields[1].Text)
	s.setJSONMode(true)
	s.JSON, s.Errors["json"] = `{"total"`, []problemView{{Message: "no JSON"}}
	s.setJSONMode(false)
	assert.True(t, s.AsJSON, "text that is no JSON is kept")
	assert.Equal(t, `{"total"`, s.JSON)
}

// TestMatchingSample checks which sample a form starts with.
func TestMatchingSample(t *testing.T) {
	form := func(subscriptions string) *setupForm {
		return newForm(event.MustParse(`{"id":"a","subscriptions":[`+subscriptions+`]}`), event.NewObject(nil), shop(t))
	}
	for subscription, want := range map[string]string{
		``: "", `{"action":"none"}`: "", `{"action":"order"}`: "entered", `{"action":"order","subscribe":"type = \"identify\""}`: "identify", `{"action":"order","subscribe":"event = \"Order Completed\""}`: "order",
		`{"action":"order","subscribe":"type = \"page\""}`: "", `{"action":"order","subscribe":"type = "}`: "",
	} {
		assert.Equal(t, want, form(subscription).matchingSample(builtinSamples), subscription)
	}
	for key, want := range map[string]string{"exited": "exited", "none": "entered", "": "entered"} {
		got, text := chooseSample(builtinSamples, key)
		assert.Equal(t, want, got)
		assert.Contains(t, text, `"sample-`+want)
	}
}

// TestEventTitles checks the title of each kind of event.
func TestEventTitles(t *testing.T) {
	for raw, want := range map[string]string{
		`{"type":"track","event":"Bought","userId":"u"}`: "Bought of u", `{"type":"page","anonymousId":"a"}`: "page of a", `{"type":"page","userId":5,"anonymousId":"a"}`: "page of 5", `{`: "unreadable event",
		`{"type":"track","event":"` + strings.Repeat("x", 200) + `"}`: strings.Repeat("x", 200),
	} {
		got := eventTitle(delivery.StoredEvent{Raw: []byte(raw)})
		if len(want) > 100 {
			assert.Less(t, len(got), 130)
			continue
		}
		assert.Equal(t, want, got)
	}
}

// TestStatesOfInstances checks the state, its tone and its hint for each status of an instance.
func TestStatesOfInstances(t *testing.T) {
	until := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, s := range []struct {
		status            delivery.Status
		state, tone, hint string
	}{
		{delivery.Status{}, "idle", "quiet", ""},
		{delivery.Status{Waiting: 1}, "delivering", "delivering", ""},
		{delivery.Status{Behind: 1}, "delivering", "delivering", ""},
		{delivery.Status{Paused: true, Until: until, Waiting: 1}, "rate limited", "waiting", "landfall resume main"},
		{delivery.Status{Stopped: "log in first", Paused: true}, "stopped", "stopped", "log in first"},
		{delivery.Status{Removed: true, Stopped: "x", Members: 7}, "removed", "stopped", "ledger (7 members)"},
		{delivery.Status{Findings: []delivery.Finding{{Code: delivery.CodeParkedFull}}, Waiting: 1}, "needs attention", "waiting", ""},
		{delivery.Status{Findings: []delivery.Finding{{Code: "other", Stops: delivery.StopsIngest}}}, "needs attention", "waiting", ""},
		{delivery.Status{Findings: []delivery.Finding{{Code: delivery.CodeDown}}, Paused: true}, "remote down", "waiting", ""},
		{delivery.Status{Findings: []delivery.Finding{{Code: delivery.CodeBudget}}, Paused: true}, "budget spent", "waiting", ""},
		{delivery.Status{Findings: []delivery.Finding{{Code: "other"}}}, "idle", "quiet", ""},
		{delivery.Status{Findings: []delivery.Finding{{Code: "other"}, {Code: "other", Stops: "delivery"}}, Stopped: "x"}, "not delivering", "stopped", ""},
	} {
		s.status.Instance = "main"
		v := newInstanceView(s.status, "Shop", 0, nil, windowOf(""))
		assert.Equal(t, []string{s.state, s.tone}, []string{v.State, v.Tone}, "%+v", s.status)
		assert.Contains(t, v.Hint, s.hint)
	}
	slots := []history.CountSlot{{At: time.Now(), Counts: history.Counts{Instances: history.Outcomes{"main": {"delivered": 4, "skipped": 5, "unmatched": 1, "duplicate": 1, "retried": 8, "dead": 1, "parked": 1}, "other": {"delivered": 9}}}}}
	v := newInstanceView(delivery.Status{Instance: "main", Waiting: 2, Behind: 3, Lag: time.Minute, Counts: map[string]int64{"delivered": 40}}, "Shop", 3, slots, windowOf("24h"))
	var figures []string
	for _, f := range v.Figures {
		figures = append(figures, f.Name+" "+f.Value)
	}
	assert.Equal(t, []string{"Delivered 4", "Skipped 5", "Not matched 2", "Retried 8", "Dead or parked 2", "Dead letters now 3", "Waiting now 5", "Oldest waiting 60 s"}, figures)
	assert.Equal(t, "Events that the destination accepted in the last 24 hours; 40 since the instance was added", v.Figures[0].Help)
	assert.Regexp(t, `^verdicts\?from=\S+Z&instance=main&outcome=delivered&to=\S+Z$`, v.Figures[0].Link)
	assert.Equal(t, "live?instance=main&outcome=no+verdict", v.Figures[2].Link)
	assert.Equal(t, "letters?instance=main", v.Figures[5].Link)
}

// TestBarsOfAChart checks what is drawn, the numbers beside the chart, the times below it, and the table.
func TestBarsOfAChart(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 0, 30, 0, time.UTC)
	begin := now.Truncate(time.Minute).Add(-59 * time.Minute)
	slot := func(at time.Duration, numbers map[string]int64) history.CountSlot {
		return history.CountSlot{At: begin.Add(at), Counts: history.Counts{Instances: history.Outcomes{"main": numbers}}}
	}
	c := newVerdictChart("main", []history.CountSlot{
		slot(-time.Minute, map[string]int64{"delivered": 99}), slot(0, map[string]int64{"delivered": 10, "dead": 10}), slot(time.Minute, map[string]int64{"delivered": 5, "something new": 5}), slot(59*time.Minute, map[string]int64{"delivered": 4}),
	}, windowOf("1h"), now)
	assert.Equal(t, "Verdicts, events per minute", c.Title)
	assert.Equal(t, "Verdicts in the last hour: 19 delivered, 0 skipped, 5 not matched, 0 retried, 10 dead or parked", c.Summary)
	plot := float64(chartHeight - chartFoot - chartHead)
	step := float64(chartWidth-chartSide) / 60
	bar := func(i int, low, part float64) string {
		return fmt.Sprintf("M%s %sh%sv%sh-%sz", short(chartSide+float64(i)*step+step*0.1), short(chartHead+plot-plot*low), short(step*0.8), short(-plot*part), short(step*0.8))
	}
	assert.Equal(t, bar(0, 0, 0.5)+bar(1, 0, 0.25)+bar(59, 0, 0.2), c.Series[0].Path)
	assert.Equal(t, bar(1, 0.25, 0.25), c.Series[2].Path, "an outcome that is not known is not left out")
	assert.Equal(t, bar(0, 0.5, 0.5), c.Series[4].Path)
	var lines []string
	for _, line := range c.Lines {
		lines = append(lines, fmt.Sprintf("%s at %g", line.Text, line.Y))
	}
	assert.Equal(t, []string{fmt.Sprintf("0 at %g", chartHead+plot), fmt.Sprintf("10 at %g", chartHead+plot/2), fmt.Sprintf("20 at %d", chartHead)}, lines)
	require.Len(t, c.Rows, 3, "without those that have no numbers")
	assert.Equal(t, begin, c.Rows[0].From)
	assert.Equal(t, chartCell{10, "verdicts?from=2026-01-02T02%3A01%3A00Z&instance=main&outcome=dead+or+parked&to=2026-01-02T02%3A02%3A00Z"}, c.Rows[0].Cells[4])
	assert.Equal(t, begin.Local().Format("15:04")+" · 10 delivered · 10 dead or parked", c.Hits[0].Text)
	assert.True(t, newVerdictChart("other", nil, windowOf("1h"), now).Empty)
}

// TestTicksAreRoundTimes checks the labels of each window, over a change of the clocks, too.
func TestTicksAreRoundTimes(t *testing.T) {
	for _, w := range windows() {
		for _, now := range []time.Time{time.Date(2026, 3, 29, 7, 13, 0, 0, time.UTC), time.Date(2026, 10, 25, 23, 59, 59, 0, time.UTC)} {
			begin := w.begin(now)
			assert.False(t, begin.Add(w.span).Before(now), "the last bar has the present")
			assert.True(t, begin.Add(w.span-w.step).Before(now.Add(time.Nanosecond)))
			list := w.ticks(now)
			assert.GreaterOrEqual(t, len(list), 5, w.Key)
			assert.LessOrEqual(t, len(list), 9, w.Key)
			for _, at := range list {
				assert.Zero(t, at.Local().Minute()%10)
				assert.False(t, at.Before(begin) || at.After(begin.Add(w.span)))
			}
		}
	}
	assert.Equal(t, "1h", windowOf("hour").Key)
}

// TestSizesOfAnAudienceAreDrawn checks the line of an audience's size and its scale, which shows a small change of a large audience.
func TestSizesOfAnAudienceAreDrawn(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	w := windowOf("1h")
	begin := w.begin(now)
	c := newSizeChart("Size", []history.SizePoint{{At: begin, Members: 1_000_000}, {At: begin.Add(30 * time.Minute), Members: 1_000_004}}, w, now)
	var lines []string
	for _, line := range c.Lines {
		lines = append(lines, line.Text)
	}
	assert.Equal(t, []string{formatCount(999_998), formatCount(1_000_002), formatCount(1_000_006)}, lines)
	plot := float64(chartHeight - chartFoot - chartHead)
	assert.Equal(t, fmt.Sprintf("M64.0 %sH392.0V%sH709.1", short(chartHead+plot*0.75), short(chartHead+plot*0.25)), c.Series[0].Path)
	assert.Contains(t, c.Summary, "from "+formatCount(1_000_000)+" to "+formatCount(1_000_004)+" members")
	assert.Nil(t, newSizeChart("Size", nil, w, now))
	c = newSizeChart("Size", []history.SizePoint{{At: begin.Add(-time.Hour), Members: 0}, {At: now, Members: 7}}, w, now)
	assert.Equal(t, "0", c.Lines[0].Text)
	assert.Equal(t, "10", c.Lines[2].Text)
}

// TestSparklines checks the points of numbers over time.
func TestSparklines(t *testing.T) {
	assert.Equal(t, "2.0,24.0 60.0,4.0 118.0,14.0", newSparkline([]int64{10, 20, 15}, "").Points)
	assert.Equal(t, "2.0,14.0 118.0,14.0", newSparkline([]int64{7}, "").Points)
	assert.Nil(t, newSparkline(nil, ""))
}

// TestPagesAreParsed checks the templates of every page, which a server parses only when the page is shown.
func TestPagesAreParsed(t *testing.T) {
	pages, err := listPages()
	require.NoError(t, err)
	assert.Contains(t, pages, "deliveries")
	for name, parse := range pages {
		parsed, err := parse()
		if assert.NoError(t, err, name) {
			assert.NotNil(t, parsed.Lookup("layout"), name)
		}
		again, _ := parse()
		assert.Same(t, parsed, again, "a page is parsed once")
	}
}

// TestTextsOfPages checks times, durations, texts and tones as pages show them.
func TestTextsOfPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		for ago, want := range map[time.Duration]string{0: "just now", 999 * time.Millisecond: "just now", time.Second: "1 s ago", 119 * time.Second: "119 s ago", 2 * time.Minute: "2 min ago", 119 * time.Minute: "119 min ago", 2 * time.Hour: "2 h ago", 47 * time.Hour: "47 h ago", 48 * time.Hour: "2 days ago"} {
			assert.Equal(t, want, formatAgo(now.Add(-ago)))
		}
		assert.Equal(t, "never", formatAgo(time.Time{}))
	})
	shown := string(formatWhen(time.Date(2026, 1, 2, 4, 4, 5, 6e6, time.FixedZone("", 3600))))
	assert.Contains(t, shown, `datetime="2026-01-02T03:04:05.006Z"`)
	assert.Regexp(t, `title="2026-01-0\d \d\d:\d\d:05\.006 \S+ \([+-]\d\d:\d\d\)"`, shown, "the zone and the milliseconds")
	assert.EqualValues(t, "—", formatWhen(time.Time{}))
	for outcome, tone := range map[string]string{"delivered": "good", "would be delivered": "good", "retry": "warning", "parked": "warning", "refused": "bad", "dead": "bad", "invalid": "bad", "skipped": "quiet", "": "quiet"} {
		assert.Equal(t, tone, badgeTone(outcome), outcome)
	}
	assert.Equal(t, "{\n  \"a\": 1\n}", indentJSON(event.MustParse(`{"a":1}`)))
	assert.Equal(t, []string{"", "no JSON", "[]"}, []string{indentJSON(event.Value{}), indentJSON("no JSON"), indentJSON([]byte("[]"))})
	assert.Equal(t, []string{"", "X", "Abc"}, []string{capitalize(""), capitalize("x"), capitalize("abc")})
	assert.Equal(t, []string{"a.example", "b:1", ""}, []string{hostOf("https://a.example/x"), hostOf("http://b:1"), hostOf("none")})
	assert.Equal(t, []string{"a", "b"}, appendUnique(appendUnique([]string{"a"}, "b"), "a"))
	assert.Equal(t, map[string]any{"a": 1, "b": 2}, makeDict("a", 1, "b", 2, "odd"))
	for text, want := range map[string]string{
		`{"type":"string"}`: "string", `{"type":"number","multiple":true,"required":true,"minimum":1,"maximum":2}`: "list of number, required, at least 1, at most 2",
		`{"type":"string","format":"uri","required":{"conditions":[{"fieldKey":"a","operator":"is"}]}}`: "string, conditionally required, uri",
	} {
		fields, err := fieldschema.ParseFields(event.MustParse(`{"a":` + text + `}`))
		require.NoError(t, err)
		assert.Equal(t, want, fieldConstraints(fields[0]))
	}
}

// TestCallsOfAnEvent checks what is shown of a request that was sent, and of one that was not.
func TestCallsOfAnEvent(t *testing.T) {
	x := httpx.Exchange{Method: "POST", URL: "https://a.example", Body: []byte(`{"a":1}`), Status: 503, ResponseBody: []byte(`{"b":2}`), Duration: 7 * time.Millisecond, Err: errors.New("down"),
		Header: http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer [hidden]"}, "X-Other": {"o"}}}
	want := callView{Method: "POST", URL: "https://a.example", Body: "{\n  \"a\": 1\n}", Headers: [][2]string{{"Content-Type", "application/json"}, {"Authorization", "Bearer [hidden]"}}}
	assert.Equal(t, want, newCallView(x, false))
	want.Status, want.Response, want.Milliseconds, want.Error = 503, "{\n  \"b\": 2\n}", 7, "down"
	assert.Equal(t, want, newCallView(x, true))
	assert.Empty(t, newCallView(httpx.Exchange{}, true).Headers)
}

// TestSessionCookies checks that the cookie of a session is sent over HTTPS only, if the console is reached that way.
func TestSessionCookies(t *testing.T) {
	c, err := New(Config{Guard: access.NewGuard(access.Config{Key: func() string { return "key" }})})
	require.NoError(t, err)
	defer c.Close()
	for name, secure := range map[string]bool{"http": false, "https": true, "TLS": true} {
		r := httptest.NewRequest(http.MethodPost, "/console/login", strings.NewReader(url.Values{"key": {"key"}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("X-Forwarded-Proto", name)
		if r.TLS = nil; name == "TLS" {
			r.TLS = &tls.ConnectionState{}
		}
		w := httptest.NewRecorder()
		c.handleSignIn(w, r)
		require.Equal(t, http.StatusSeeOther, w.Code)
		cookie := w.Result().Cookies()[0]
		assert.Equal(t, []any{secure, true, http.SameSiteStrictMode, "/console/", int(sessionLifetime.Seconds())}, []any{cookie.Secure, cookie.HttpOnly, cookie.SameSite, cookie.Path, cookie.MaxAge}, name)
	}
}

func TestListsOfACardGrowWithinTheirBounds(t *testing.T) {
	list := func(items, low, high int) *argumentInput {
		return &argumentInput{argumentSpec: argumentSpec{Kind: kindList, Min: low, Max: high}, Items: make([]*mappingInput, items)}
	}
	for _, c := range []struct {
		list         *argumentInput
		grow, shrink bool
	}{
		{list(0, 0, 0), true, false}, {list(1, 0, 0), true, true}, {list(1, 1, 2), true, false}, {list(2, 1, 2), false, true},
		{list(maxCardItems-1, 0, 0), true, true}, {list(maxCardItems, 0, 0), false, true}, {&argumentInput{argumentSpec: argumentSpec{Kind: kindText}}, false, false},
	} {
		assert.Equal(t, []bool{c.grow, c.shrink}, []bool{c.list.CanGrow(), c.list.CanShrink()}, "%d items, %d to %d", len(c.list.Items), c.list.Min, c.list.Max)
	}
}

// TestModesOfTexts checks that an argument which takes only texts offers no other way, unless the file has one.
func TestModesOfTexts(t *testing.T) {
	keys := func(m mappingInput) (list []string) {
		for _, way := range m.Modes() {
			list = append(list, way.Key)
		}
		return list
	}
	assert.Equal(t, []string{"text"}, keys(mappingInput{Mode: "text", Texts: true}))
	assert.Equal(t, []string{"path", "text"}, keys(mappingInput{Mode: "path", Texts: true}))
	assert.Equal(t, []string{"", "text"}, keys(mappingInput{Mode: "text", Texts: true, Optional: true}))
	assert.Equal(t, []string{"path", "text", "template", modeCard, "json"}, keys(mappingInput{Mode: "text"}))
}

// TestDeepDirectivesAreJSON checks that directives within directives have cards down to a depth, and below it their JSON.
func TestDeepDirectivesAreJSON(t *testing.T) {
	text := `{"@path":"$.userId"}`
	for range 20 {
		text = `{"@case":{"operator":"upper","value":` + text + `}}`
	}
	depth := 0
	card := newCard("f", event.MustParse(text), 0)
	for card != nil {
		depth++
		inner := card.Arguments[1].Mapping
		if card = inner.Card; card == nil {
			assert.Equal(t, "json", inner.Mode)
			assert.Contains(t, inner.Text, "$.userId")
		}
	}
	assert.Equal(t, maxCardDepth, depth)
	assert.Nil(t, newCard("f", event.MustParse(`{"@path":"$.a","b":1}`), 0))
	assert.Nil(t, newCard("f", event.NewString("@path"), 0))
}
