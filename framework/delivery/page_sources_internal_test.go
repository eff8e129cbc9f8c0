package delivery

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/memlog"
	"github.com/landfall-dev/landfall/framework/event"
)

// TestPagesAreSmallerOnACluster checks how much is packed into one page.
func TestPagesAreSmallerOnACluster(t *testing.T) {
	half := func(page int) record { return record{"ev.web.1", make([]byte, page/2-1)} }
	for page, mix := range map[int]bool{pageBytes: true, singlePageBytes: false} {
		assert.Len(t, packMessages([]record{half(page), half(page)}, mix), 1, page)
		assert.Len(t, packMessages([]record{half(page), half(page), {"ev.web.1", []byte("{}")}}, mix), 2, page)
	}
	assert.Len(t, packMessages([]record{half(pageBytes), half(pageBytes)}, false), 2)
}

// TestMessagesInAUsedBuffer packs records into messages with a buffer that was used before, of any size: each message has at most the bytes of
// a page unless one line has more, and the lines of a subject stay in order, or of a partition if sources are mixed.
func TestMessagesInAUsedBuffer(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var buffer []byte
	for round := range 60 {
		mix, sources, limit := round%2 == 0, 1+random.IntN(3), singlePageBytes
		if mix {
			limit = pageBytes
		}
		var records []record
		want, got := map[string]string{}, map[string]string{}
		note := func(to map[string]string, source, partition, line string) {
			if mix {
				to[partition] += source + " " + line + "\n"
				return
			}
			to[partition+" "+source] += line + "\n"
		}
		for i := range random.IntN(60) {
			source, partition := fmt.Sprint("s.", random.IntN(sources)), fmt.Sprint(random.IntN(4))
			r := record{"ev." + subjectToken(source) + "." + partition, bytes.Repeat([]byte{byte('a' + i%26)}, random.IntN(2*singlePageBytes/(1+random.IntN(50))))}
			records = append(records, r)
			note(want, source, partition, string(r.line))
		}
		var messages []eventlog.Write
		messages, buffer = packInto(buffer, records, mix)
		for _, m := range messages {
			assert.True(t, len(m.Data) <= limit || bytes.Count(m.Data, []byte{'\n'}) == 1, len(m.Data))
			several := map[string]bool{}
			for e := range eventsIn(&eventlog.Message{Subject: m.Subject, Header: m.Header, Data: m.Data}) {
				note(got, e.Source, fmt.Sprint(e.Partition), string(e.Raw))
				several[e.Source] = true
			}
			if len(several) == 1 {
				assert.Nil(t, m.Header)
				assert.NotContains(t, m.Subject, mixedToken, "as earlier versions write it")
			}
		}
		require.Equal(t, want, got)
		if random.IntN(3) == 0 {
			buffer = nil
		}
	}
}

// TestSourcesOfAPageAreLimited packs small events of many sources with long names: the header of a page has a limit.
func TestSourcesOfAPageAreLimited(t *testing.T) {
	var records []record
	for i := range 2000 {
		records = append(records, record{fmt.Sprintf("ev.%s%d.7", strings.Repeat("s", i%300), i%100), []byte("{}")})
	}
	next := 0
	messages := packMessages(records, true)
	for _, m := range messages {
		require.LessOrEqual(t, len(m.Header[sourcesHeader]), maxSourcesHeader)
		for e := range eventsIn(&eventlog.Message{Subject: m.Subject, Header: m.Header, Data: m.Data}) {
			require.Equal(t, records[next].subject, partitionSubject("ev", e.Source, e.Partition))
			next++
		}
	}
	assert.Equal(t, len(records), next)
	assert.Less(t, len(messages), 60)

	large := record{"ev." + strings.Repeat("s", maxSourcesHeader) + ".7", nil}
	messages = packMessages([]record{large, records[0], large, large}, true)
	require.Len(t, messages, 3)
	assert.Equal(t, large.subject, messages[2].Subject)
	assert.Equal(t, "\n\n", string(messages[2].Data))
}

// TestSubjectsOfMixedPages checks that no source has the token of pages with several ones.
func TestSubjectsOfMixedPages(t *testing.T) {
	for _, id := range []string{"", "=", "several", "=several", "=SEVERAL", "==several", "\xfeveral", "*", ">", "a,b*2"} {
		token := subjectToken(id)
		assert.NotEqual(t, mixedToken, token)
		assert.Equal(t, id, parseToken(token))
		assert.NotContains(t, token, ",")
		assert.NotContains(t, token, "*")
	}
}

func TestParseSourceRuns(t *testing.T) {
	for _, c := range []struct {
		header string
		n      int
		want   []sourceRun
		err    string
	}{
		{"web*3,app,web*2", 6, []sourceRun{{"web", 3}, {"app", 4}, {"web", 6}}, ""},
		{"=,a=2Eb", 2, []sourceRun{{"", 1}, {"a.b", 2}}, ""},
		{"web*2", 2, []sourceRun{{"web", 2}}, ""},
		{"", 1, nil, "run 1"},
		{"web,,app", 2, nil, "run 2"},
		{"web*0,app", 1, nil, "run 1"},
		{"web*-1,app*2", 1, nil, "run 1"},
		{"web*x", 1, nil, "run 1"},
		{"web*99999999999999999999", 1, nil, "run 1"},
		{"web*9223372036854775807,app*2", 1, nil, "run 1"},
		{"web*1*2", 2, nil, "run 1"},
		{"web*2,app", 2, nil, "run 2"},
		{"web,app", 3, nil, "the sources of 2"},
		{"web,app,", 3, nil, "run 3"},
	} {
		runs, err := parseSourceRuns(c.header, c.n)
		assert.Equal(t, c.want, runs, c.header)
		if c.err == "" {
			assert.NoError(t, err, c.header)
		} else {
			assert.ErrorContains(t, err, c.err, c.header)
		}
	}
}

func FuzzSourceRuns(f *testing.F) {
	f.Add("web*3,app,web*2", 6)
	f.Add("=,a=2Eb*0", 1)
	f.Fuzz(func(t *testing.T, header string, n int) {
		runs, err := parseSourceRuns(header, n)
		if err != nil {
			assert.Nil(t, runs)
			return
		}
		sources := func(runs []sourceRun) (list []string) {
			for _, r := range runs {
				require.Greater(t, r.end, len(list))
				list = append(list, slices.Repeat([]string{r.source}, min(r.end, 1<<16)-len(list))...)
			}
			return list
		}
		if n > 1<<16 {
			return
		}
		all := sources(runs)
		require.Len(t, all, n)
		var written sourceList
		for _, source := range all {
			written.add(subjectToken(source))
		}
		again, err := parseSourceRuns(written.String(), n)
		require.NoError(t, err)
		require.Equal(t, all, sources(again))
	})
}

// TestEventsOfSources checks which events of a page instances get, and that only these are parsed.
func TestEventsOfSources(t *testing.T) {
	page := func(subject string, header map[string]string, n int) *logPage {
		data := strings.Repeat(`{"messageId":"m"}`+"\n", n)
		return newLogPage(eventlog.Message{Subject: subject, Header: header, Data: []byte(data)}, 0, newPageFeeds(nil, 0).seed)
	}
	mixed := map[string]string{sourcesHeader: "web*2,app,web,other*3"}
	replayed := map[string]string{opHeader: opReplayEvents, sourcesHeader: "web,app"}
	for _, c := range []struct {
		page    *logPage
		sources []string // nil for all
		want    []eventRange
	}{
		{page("ev.web.1", nil, 3), nil, []eventRange{{0, 3}}},
		{page("ev.web.1", nil, 3), []string{"web"}, []eventRange{{0, 3}}},
		{page("ev.=several.1", mixed, 7), nil, []eventRange{{0, 7}}},
		{page("ev.=several.1", mixed, 7), []string{"app", "none"}, []eventRange{{2, 3}}},
		{page("ev.=several.1", mixed, 7), []string{"web"}, []eventRange{{0, 2}, {3, 4}}},
		{page("ev.=several.1", mixed, 7), []string{"none"}, nil},
		{page("ev.=several.1", mixed, 6), []string{"none"}, []eventRange{{0, 6}}}, // of unknown sources
		{page("ev.=several.1", nil, 2), []string{"none"}, []eventRange{{0, 2}}},
		{page("ctl.main.1", replayed, 2), []string{"web"}, []eventRange{{0, 2}}},
		{page("ctl.main.1", map[string]string{opHeader: opReplayEvents, sourceHeader: "web"}, 2), []string{"app"}, []eventRange{{0, 2}}},
	} {
		var sources map[string]bool
		if c.sources != nil {
			sources = maps.Collect(func(yield func(string, bool) bool) {
				for _, s := range c.sources {
					yield(s, true)
				}
			})
		}
		got := c.page.eventsFrom(sources)
		assert.Equal(t, c.want, got, "%s %s", c.page.Subject, c.sources)
		events, ids := c.page.parseEvents(got)
		for i, e := range events {
			own := slices.ContainsFunc(got, func(r eventRange) bool { return i >= r.from && i < r.to })
			assert.Equal(t, own, e.parsed)
			assert.Equal(t, own && c.page.err == nil && !c.page.isCommand(), ids[i] != 0)
			assert.Equal(t, own && c.page.err != nil, e.err != nil)
		}
	}
	shared := page("ev.=several.1", mixed, 7)
	first, _ := shared.parseEvents(shared.eventsFrom(map[string]bool{"web": true}))
	all, ids := shared.parseEvents(shared.eventsFrom(nil))
	assert.Equal(t, &first[0], &all[0])
	assert.Equal(t, []string{"web", "web", "app", "web", "other", "other", "other"}, func() (list []string) {
		for _, e := range all {
			list = append(list, e.source)
		}
		return list
	}())
	assert.NotEqual(t, ids[1], ids[2], "the messageIds of sources are independent")
	assert.Equal(t, ids[0], ids[3])
}

// TestReplaysOfScatteredEvents replays every other of many small events: the header with their origins has a limit.
func TestReplaysOfScatteredEvents(t *testing.T) {
	q, _ := newMemoryQueue(t, Config{Partitions: 1})
	var list []NewEvent
	for n := range 3 * maxOriginRuns {
		list = append(list, NewEvent{Source: "web", Raw: fmt.Appendf(nil, `{"n":%d}`, n)})
	}
	require.NoError(t, q.Append(t.Context(), list))
	odd := func(v event.Value) bool { return v.Get("n").Int()%2 == 1 }
	n, err := q.Replay(t.Context(), ReplayRequest{Instance: "main", Choose: odd})
	require.NoError(t, err)
	assert.Equal(t, len(list)/2, n)
	pages := commandsOf(t, q, "main")
	assert.Len(t, pages, 2)
	for _, m := range pages {
		assert.Less(t, len(m.Header[originsHeader]), 40*maxOriginRuns)
	}
}

// TestMixedLogOnACluster restores a backup of a log with a compressed page of several sources onto a NATS server: the events keep their sources, also
// when one of them is erased, and later pages have one source.
func TestMixedLogOnACluster(t *testing.T) {
	q, err := Open(t.Context(), Config{Dir: t.TempDir(), Partitions: 1})
	require.NoError(t, err)
	defer q.Close()
	var list []NewEvent
	for n := range 6 {
		e := eventOf([]string{"stays", "gone"}[n%2], n)
		e.Source = []string{"web", "app", "a.b"}[n%3]
		e.Raw = bytes.Replace(e.Raw, []byte("{"), []byte(`{"note":"`+strings.Repeat("long ", 100)+`",`), 1)
		list = append(list, e)
	}
	require.NoError(t, q.Append(t.Context(), list))
	info, err := q.store.Info(t.Context(), eventsStream)
	require.NoError(t, err)
	require.Less(t, info.Bytes, uint64(2000), "its page is compressed")
	files := map[string]*bytes.Buffer{}
	snapshots, err := q.Snapshots(t.Context(), func(name string) (io.Writer, error) {
		files[name] = &bytes.Buffer{}
		return files[name], nil
	})
	require.NoError(t, err)

	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true})
	require.NoError(t, err)
	s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	require.True(t, s.ReadyForConnections(time.Minute))
	config := Config{URL: s.ClientURL(), Replicas: 1}
	require.NoError(t, RestoreSnapshots(t.Context(), config, snapshots, func(name string) (io.ReadCloser, error) { return io.NopCloser(files[name]), nil }))
	restored, err := Open(t.Context(), config)
	require.NoError(t, err)
	defer restored.Close()
	isGone := func(v event.Value) bool { return v.Get("userId").Str() == "gone" }
	_, err = restored.eraseOnCluster(t.Context(), restored.shredder(), &EraseRequest{Match: isGone, HasUser: func(string) bool { return false }})
	require.NoError(t, err)
	require.NoError(t, restored.Append(t.Context(), list[:3]))
	_, err = restored.Replay(t.Context(), ReplayRequest{Instance: "main", Sources: []string{"web", "a.b"}})
	require.NoError(t, err)
	found, err := restored.Find(t.Context(), FindRequest{Match: func([]byte) bool { return true }, Limit: 100, MaxBytes: 1 << 20})
	require.NoError(t, err)
	var got []string
	for _, e := range slices.Backward(found.Events) {
		v := event.MustParse(string(e.Raw))
		got = append(got, fmt.Sprint(e.Seq, " ", e.Index, " ", e.Source, " ", v.Get("messageId").Str(), " ", e.Replay))
	}
	assert.Equal(t, []string{
		"1 0 web stays-0 ", "1 2 a.b stays-2 ", "1 4 app stays-4 ",
		"2 0 web stays-0 ", "3 0 app gone-1 ", "4 0 a.b stays-2 ",
		"5 0 web stays-0 main", "6 0 a.b stays-2 main", "7 0 web stays-0 main", "8 0 a.b stays-2 main",
	}, got)
}

// TestNoEventsAreAppended appends no events, in memory, to the journal and to a cluster.
func TestNoEventsAreAppended(t *testing.T) {
	journaled, _ := openFaulty(t, memlog.New(memlog.Options{}))
	defer journaled.Close()
	memory, _ := newMemoryQueue(t, Config{})
	shared, err := Open(t.Context(), Config{}.On(memlog.New(memlog.Options{Shared: true}).Connect()))
	require.NoError(t, err)
	defer shared.Close()
	for _, q := range []*Queue{journaled, memory, shared} {
		require.NoError(t, q.Append(t.Context(), nil))
		require.NoError(t, q.Append(t.Context(), []NewEvent{eventOf("a", 0)}))
		require.NoError(t, q.settle(t.Context()))
		assert.Len(t, storedEvents(t, q), 1)
	}
}
