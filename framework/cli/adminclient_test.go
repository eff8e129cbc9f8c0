package cli

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// adminAnswers is the admin API of a server that has canned answers: by method and path, an optional status and the body.
type adminAnswers struct {
	t        *testing.T
	url      string
	config   string
	answers  map[string]string
	requests []string // that the command makes after it has connected, with their query and body
}

// defaultAnswers are those of a server with two instances.
func defaultAnswers() map[string]string {
	const letter = `{"id":"7-0-x","instance":"main","subscription":"Users","parked":false,"key":"u:u1","cause":"refused_by_remote","reason":"no such user","code":"BAD","status":400,"attempts":3,"at":"2026-01-02T03:04:05Z","seq":7,"index":0,"event":{"userId":"u1"},"request":{"method":"POST","url":"https://a.example/u","body":"the body","status":400,"response":"the answer"}}`
	const parked = `{"id":"8-0-x","instance":"main","subscription":"Users","parked":true,"key":"u:u2","reason":"too slow","attempts":1,"at":"2026-01-02T03:04:06Z","seq":8,"index":0,"event":{"userId":"u2"},"request":{"method":"POST","url":"https://a.example/u","error":"connection refused"}}`
	return map[string]string{
		"GET /admin/status":                 `[{"instance":"main","counts":{"events":5,"delivered":4},"waiting":1,"lagNs":2000000000},{"instance":"other","counts":{}}]`,
		"GET /admin/letters":                letter + "\n" + parked + "\n",
		"POST /admin/letters/replay":        `{"count":2}`,
		"POST /admin/letters/drop":          `{"count":1}`,
		"POST /admin/replay":                `{"count":3}`,
		"POST /admin/resume":                `{"resumed":true}`,
		"POST /admin/checkpoints/repair":    `{"checkpoints":[{"instance":"main","partition":2,"cause":"beyond","at":9,"logEnd":5,"to":4}]}`,
		"GET /admin/audience/syncs":         `[{"sync":"gold","instance":"main","audience":"vip","next":"2026-01-03T00:00:00Z","last":{"outcome":"done","at":"2026-01-02T03:04:05Z"},"waiting":true},{"sync":"new","instance":"main","audience":"n","asked":true},{"sync":"busy","instance":"main","audience":"b","running":{"at":"2026-01-02T03:04:05Z"}}]`,
		"GET /admin/audience/syncs/history": `[{"sync":"gold","instance":"main","outcome":"failed","at":"2026-01-02T03:04:05Z","seconds":1.5,"startedBy":"schedule","changes":true,"error":"no such table","report":{"rows":9,"enters":1,"exits":2,"unchanged":3,"refused":4}}]`,
		"POST /admin/audience/syncs/run":    "", "POST /admin/audience/syncs/approve": "",
		"GET /admin/why": `{"answer":{"text":"u1 is in vip.","next":"do nothing","recomputed":true},"identifiers":["u1","a1"],"audiences":[{"instance":"main","name":"vip","identity":"id:u1","known":true,"member":true},{"instance":"main","name":"new","identity":"id:u1"},{"instance":"main","name":"old","identity":"id:u1","known":true}],` +
			`"timeline":[{"at":"2026-01-02T03:04:05Z","kind":"verdict","instance":"main","subscription":"Users","text":"delivered","event":{"seq":7,"index":1},"supersededBy":{"seq":8,"index":2},"conditions":"type = track\n","recomputed":true,"batch":{"id":"b1","events":2,"milliseconds":30,"partial":true,"requests":[{"method":"POST","url":"https://a.example/u","body":"one\ntwo","status":200,"response":"ok"}]}}],"searched":{"from":"2026-01-01T00:00:00Z","complete":true},"problems":["the history cannot be read"]}`,
		"GET /readyz": `{"ready":true,"taking":true,"delivering":true,"findings":[]}`,
	}
}

func newAdminAnswers(t *testing.T, changed map[string]string) *adminAnswers {
	a := &adminAnswers{t: t, answers: defaultAnswers()}
	for request, answer := range changed {
		a.answers[request] = answer
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		key := r.Method + " " + r.URL.Path
		query, _ := url.QueryUnescape(r.URL.RawQuery)
		a.requests = append(a.requests, strings.TrimSpace(key+" "+query+" "+string(body)))
		if r.Header.Get("Authorization") != "Bearer key-1" && r.URL.Path != "/readyz" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error":"the key is wrong"}`)
			return
		}
		answer, ok := a.answers[key]
		if text, refused := strings.CutPrefix(answer, "409 "); refused || !ok {
			w.WriteHeader(map[bool]int{true: http.StatusConflict, false: http.StatusNotFound}[refused])
			_, _ = io.WriteString(w, `{"error":"`+text+`"}`)
			return
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	a.url, a.config = server.URL, filepath.Join(dir, "landfall.yaml")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key"), []byte("key-1\n"), 0o600))
	return a
}

// run runs a command and returns its exit code and outputs.
func (a *adminAnswers) run(args ...string) (code int, out, errs string) {
	a.t.Helper()
	a.requests = nil
	code, out, errs = commandHere(a.t.Context(), append(args, "--config", a.config, "--url", a.url, "--key-file", filepath.Join(filepath.Dir(a.config), "key"))...)
	if len(a.requests) > 0 && strings.HasPrefix(a.requests[0], "GET /admin/status") {
		a.requests = a.requests[1:] // which connects
	}
	return code, out, errs
}

// TestCommandsOfARunningServer checks what each command asks of a server, and what it prints and exits with.
func TestCommandsOfARunningServer(t *testing.T) {
	a := newAdminAnswers(t, nil)
	for _, c := range []struct {
		args    string
		code    int
		out     []string // lines that are printed, in this order; the only ones if exact
		errs    string
		request string
	}{
		{args: "dead list", request: "GET /admin/letters", out: []string{"7-0-x                    dead   2026-01-02T03:04:05Z  main · Users  u:u1: no such user", "8-0-x                    parked 2026-01-02T03:04:06Z  main · Users  u:u2: too slow"}},
		{args: "dead list --json --instance main --subscription Users --cause refused_by_remote --reason no --user u1 --parked --dead --limit 5 --since 2026-01-01 --until 2026-01-03",
			request: "GET /admin/letters cause=refused_by_remote&dead=true&instance=main&limit=5&parked=true&reason=no&since=2026-01-01T00:00:00Z&subscription=Users&until=2026-01-03T00:00:00Z&user=u1", out: []string{`"id":"7-0-x"`, `"id":"8-0-x"`}},
		{args: "dead list --limit -1", code: 2, errs: "--limit should be 0 or more but is -1"},
		{args: "dead list --since soon", code: 2, errs: `--since should be a date such as`},
		{args: "dead list --until soon", code: 2, errs: `--until should be a date such as`},
		{args: "dead list --cause refused", code: 2, errs: `there is no cause "refused"`},
		{args: "dead show 7-0-x", request: "GET /admin/letters id=7-0-x", out: []string{"7-0-x, dead since 2026-01-02T03:04:05Z", "instance      main", "cause         refused_by_remote", "next          ", "attempts      3", "verdict       400 BAD", "request       POST https://a.example/u", "  body        the body", "  answer      the answer", "  status      400", `event         {"userId":"u1"}`,
			"8-0-x, parked since", "  error       connection refused"}},
		{args: "dead show 7-0-x --json", request: "GET /admin/letters id=7-0-x", out: []string{`"attempts":3`}},
		{args: "dead replay", code: 2, errs: "say which dead letters"},
		{args: "dead replay --all --user u1", code: 2, errs: "give --all alone"},
		{args: "dead replay --all", request: "POST /admin/letters/replay", out: []string{"2 replayed\n"}},
		{args: "dead replay 7-0-x", request: "POST /admin/letters/replay id=7-0-x", out: []string{"2 replayed\n"}},
		{args: "dead replay --since 2026-01-01", request: "POST /admin/letters/replay since=2026-01-01T00:00:00Z", out: []string{"2 replayed\n"}},
		{args: "dead drop", code: 2, errs: "say which dead letters"},
		{args: "dead drop --parked", request: "POST /admin/letters/drop parked=true", out: []string{"1 dropped\n"}},
		{args: "dead drop --dead --json", request: "POST /admin/letters/drop dead=true", out: []string{"{\"dropped\":1}\n"}},
		{args: "dead drop --until 2026-01-01", request: "POST /admin/letters/drop until=2026-01-01T00:00:00Z", out: []string{"1 dropped\n"}},
		{args: "replay --since 2026-01-01", code: 2, errs: "say which events and which instance"},
		{args: "replay --instance main", code: 2, errs: "say which events and which instance"},
		{args: "replay --instance main --since soon", code: 2, errs: "--since should be a date"},
		{args: "replay --instance main --since 2026-01-01 --until soon", code: 2, errs: "--until should be a date"},
		{args: "replay --instance mian --since 2026-01-01", code: 2, errs: `there is no instance "mian" in the config, which has main, other`},
		{args: "replay --instance main --since 2026-01-01 --until 2026-01-02 --subscribe type=track --subscription Users", out: []string{"3 events since 2026-01-01T00:00:00Z are delivered to main again\n"},
			request: `POST /admin/replay  {"instance":"main","subscription":"Users","subscribe":"type=track","since":"2026-01-01T00:00:00Z","until":"2026-01-02T00:00:00Z"}`},
		{args: "replay --instance main --since 2026-01-01 --source web --source app", out: []string{"3 events of web, app since 2026-01-01T00:00:00Z are delivered to main again\n"},
			request: `POST /admin/replay  {"instance":"main","sources":["web","app"],"since":"2026-01-01T00:00:00Z"}`},
		{args: "replay --instance main --since 2026-01-01 --json", request: "POST /admin/replay", out: []string{`{"events":3,"instance":"main","since":"2026-01-01T00:00:00Z"}`}},
		{args: "resume main", request: "POST /admin/resume instance=main", out: []string{"main: resumed\n"}},
		{args: "resume main --json", request: "POST /admin/resume instance=main", out: []string{`{"resumed":"main","waited":true}`}},
		{args: "checkpoints repair", request: "POST /admin/checkpoints/repair acceptLoss=false&dryRun=false", out: []string{"main, partition 2: its checkpoint is at page 9, but the log ends at page 5; set to continue at page 4, 2 pages from there to the log's end\n"}},
		{args: "checkpoints repair --dry-run --accept-loss", request: "POST /admin/checkpoints/repair acceptLoss=true&dryRun=true", out: []string{"; would be set to continue at page 4"}},
		{args: "checkpoints repair --json", request: "POST /admin/checkpoints/repair acceptLoss=false&dryRun=false", out: []string{`"cause":"beyond"`}},
		{args: "status", request: "GET /admin/status", out: []string{"main\n", "  delivered             4\n", "  events                5\n", "  waiting               1\n", "  oldest               2s\n", "other\n"}},
		{args: "status --json", request: "GET /admin/status", out: []string{`{"instance":"main"`, `{"instance":"other"`}},
		{args: "health", request: "GET /readyz format=json", out: []string{"ready\n"}},
		{args: "health --json", request: "GET /readyz format=json", out: []string{`{"ready":true`}},
		{args: "audience syncs list", request: "GET /admin/audience/syncs", out: []string{"gold                 main                 vip                  done 2026-01-02 03:04:05Z: landfall audience syncs approve gold, next 2026-01-03 00:00:00Z\n", "has not run, runs in a moment\n", "runs since 2026-01-02 03:04:05Z\n"}},
		{args: "audience syncs list --json", request: "GET /admin/audience/syncs", out: []string{`"sync":"gold"`}},
		{args: "audience syncs history gold --limit 5", request: "GET /admin/audience/syncs/history limit=5&sync=gold", out: []string{"2026-01-02 03:04:05Z  gold  main  failed       changed rows 9, enter 1, exit 2, unchanged 3, refused 4  1.5 s  by schedule\n", "    no such table\n"}},
		{args: "audience syncs history --json", request: "GET /admin/audience/syncs/history limit=20&sync=", out: []string{`"outcome":"failed"`}},
		{args: "audience syncs run gold --instance main", request: "POST /admin/audience/syncs/run instance=main&sync=gold", out: []string{"gold runs in a moment: landfall audience syncs history gold\n"}},
		{args: "audience syncs approve gold --json", request: "POST /admin/audience/syncs/approve instance=&sync=gold", out: []string{`{"asked":"gold"}`}},
		{args: "why", code: 2, errs: "say which user: --user ID"},
		{args: "why --user u1 --instance mian", code: 2, errs: `there is no instance "mian"`},
		{args: "why --user u1 --audience vip --instance main", errs: "warning: the history cannot be read", out: []string{"u1 is in vip.\n", "Next: do nothing\n", "This was computed with the current config, since no verdict is recorded.\n", "identifiers  u1, a1\n", "ledger       main: vip (id:u1) in\n", "ledger       main: new (id:u1) never delivered\n", "ledger       main: old (id:u1) out\n",
			"log          searched completely, since 2026-01-01 00:00:00.000Z\n", "2026-01-02 03:04:05.000Z  verdict  main › Users  event 7-1\n  delivered\n", "  superseded by event 8-2\n", "    type = track\n", "  (recomputed with the current config)\n", "  batch b1 of 2 events, 30 ms\n", "    POST https://a.example/u\n", "      request  one two\n", "      response ok\n", "      status   200\n", "    more requests are not recorded\n"},
			request: "GET /admin/why audience=vip&instance=main&user=u1"},
		{args: "why --user u1 --brief", request: "GET /admin/why", errs: "warning", out: []string{"u1 is in vip.\n"}},
		{args: "why --user u1 --json", request: "GET /admin/why", out: []string{`"text":"u1 is in vip."`}},
	} {
		code, out, errs := a.run(strings.Fields(c.args)...)
		assert.Equal(t, c.code, code, "%s: %s", c.args, errs)
		rest := out
		for _, line := range c.out {
			_, after, ok := strings.Cut(rest, line)
			assert.True(t, ok, "%s: %q is not in %s", c.args, line, rest)
			rest = after
		}
		assert.Contains(t, errs, c.errs, c.args)
		assert.Equal(t, c.errs == "", errs == "", "%s: %s", c.args, errs)
		if c.request == "" {
			for _, request := range a.requests {
				assert.True(t, strings.HasPrefix(request, "GET "), "%s: %s", c.args, request)
			}
			continue
		}
		if assert.Len(t, a.requests, 1, c.args) {
			assert.Contains(t, strings.ReplaceAll(a.requests[0], "  ", " "), strings.ReplaceAll(c.request, "  ", " "), c.args)
		}
		if strings.Contains(c.args, "--brief") {
			assert.NotContains(t, out, "identifiers")
		}
	}
}

// TestEmptyAnswersOfARunningServer checks what the commands say if there is nothing.
func TestEmptyAnswersOfARunningServer(t *testing.T) {
	a := newAdminAnswers(t, map[string]string{
		"GET /admin/letters": "", "POST /admin/letters/replay": `{"count":0}`, "POST /admin/letters/drop": `{"count":0}`, "POST /admin/resume": `{"resumed":false}`, "POST /admin/checkpoints/repair": `{"checkpoints":[]}`,
		"POST /admin/replay": `{"count":1}`, "GET /admin/audience/syncs": `[]`, "GET /admin/audience/syncs/history": `[]`, "GET /admin/status": `[]`,
		"GET /admin/why": `{"answer":{"text":"there is nothing about u1."},"identifiers":[],"searched":{}}`, "GET /readyz": `{"ready":false,"taking":true,"findings":[{"code":"down","message":"the remote is down","next":"wait"}]}`,
	})
	for args, want := range map[string]struct {
		code      int
		out, errs string
	}{
		"dead list":                  {0, "there are no dead letters or parked events\n", ""},
		"dead list --json":           {0, "", ""},
		"dead show 7-0-x":            {1, "", `landfall: there is no dead letter "7-0-x": landfall dead list shows them` + "\n"},
		"dead replay 7-0-x":          {1, "", `landfall: there is no dead letter "7-0-x": landfall dead list shows them` + "\n"},
		"dead replay --all":          {0, "0 replayed\n", ""},
		"dead drop 7-0-x":            {1, "", `landfall: there is no dead letter "7-0-x": landfall dead list shows them` + "\n"},
		"dead drop --parked":         {0, "0 dropped\n", ""},
		"resume main":                {0, "main: no change: it is not paused, and no retry waits\n", ""},
		"resume main --json":         {0, `{"resumed":"main","waited":false}` + "\n", ""},
		"checkpoints repair":         {0, "all checkpoints match the log\n", ""},
		"status":                     {0, "nothing is delivered: the config has no enabled instance\n", ""},
		"status --json":              {0, "", ""},
		"health":                     {1, "not delivering\nthe remote is down: wait\n", ""},
		"audience syncs list":        {0, "the config has no enabled audienceSyncs\n", ""},
		"audience syncs list --json": {0, "", ""},
		"audience syncs history":     {0, "nothing has run yet\n", ""},
		"why --user u1":              {0, "there is nothing about u1.\n\nidentifiers  \nlog          empty\n", ""},
	} {
		code, out, errs := a.run(strings.Fields(args)...)
		assert.Equal(t, want.code, code, args)
		assert.Equal(t, []string{want.out, want.errs}, []string{out, errs}, args)
	}
}

// TestRefusalsOfARunningServer checks that each command fails with the words of the server that refuses it, and prints no result.
func TestRefusalsOfARunningServer(t *testing.T) {
	changed := map[string]string{}
	for request := range defaultAnswers() {
		if request != "GET /admin/status" && request != "GET /readyz" {
			changed[request] = "409 not now"
		}
	}
	a := newAdminAnswers(t, changed)
	for _, args := range []string{
		"dead list", "dead list --json", "dead show 7-0-x", "dead replay --all", "dead drop --all", "replay --instance main --since 1h", "resume main", "checkpoints repair", "backup " + filepath.Join(t.TempDir(), "new"),
		"audience syncs list", "audience syncs history", "audience syncs run gold", "audience syncs approve gold", "why --user u1",
	} {
		if strings.HasPrefix(args, "backup") {
			a.answers["GET /admin/backup"] = "409 not now"
		}
		code, out, errs := a.run(strings.Fields(args)...)
		assert.Equal(t, 1, code, args)
		assert.Empty(t, out, args)
		assert.Equal(t, "landfall: not now\n", errs, args)
	}
	a.answers["GET /admin/status"] = "409 not now"
	for _, args := range []string{"status", "dead list", "resume main"} {
		code, out, errs := a.run(strings.Fields(args)...)
		assert.Equal(t, []any{1, "", "landfall: not now\n"}, []any{code, out, errs}, args)
	}
}

// TestStatusDetails checks the lines of landfall status that only some servers have.
func TestStatusDetails(t *testing.T) {
	soon := time.Now().Add(90 * time.Minute).UTC().Format(time.RFC3339)
	a := newAdminAnswers(t, map[string]string{"GET /admin/status": `[
		{"instance":"main","counts":{},"expectedEnd":"2026-01-02T03:04:05Z","findings":[{"message":"the disk is short","next":"free space"},{"instance":"main","message":"it is paused","next":"wait"},{"instance":"other","message":"not here","next":"x"}],
		 "limits":{"concurrency":3,"mostConcurrency":8,"budget":{"remoteLeft":12,"remoteReset":"2026-01-02T04:00:00Z","windows":[{"unit":"requests","perNs":3600000000000,"limit":10,"used":4,"left":6,"resets":"` + soon + `"},{"unit":"bytes","perNs":1000000000,"limit":9,"used":0,"left":9,"resets":"` + soon + `"}]}}},
		{"instance":"web","counts":{},"inBrowser":true}, {"instance":"old","counts":{},"gone":true,"members":7,"limits":{"concurrency":64,"mostConcurrency":100,"budget":{}}}]`})
	code, out, _ := a.run("status")
	assert.Zero(t, code)
	assert.Regexp(t, `^the disk is short: free space
main
  main: it is paused: wait
  waiting +0
  oldest +0s
  finished at  2026-01-02T03:04:05Z \(estimated\)
  budget       4 of 10 requests in 1h used, 6 left, resets in 1h(30m0s|29m\d+s)
  budget       0 of 9 bytes in .* used, 9 left
  the remote   12 requests left until 2026-01-02T04:00:00Z
  concurrency +3
web
  runs in the browser: the server maps the events of pages for it, and delivers none
old
  no longer in the config; its remaining data \(see landfall instances\):
  waiting +0
  oldest +0s
  members +7
$`, out)
}

// TestAddressesOfServers checks what is said about a server that cannot be used.
func TestAddressesOfServers(t *testing.T) {
	a := newAdminAnswers(t, nil)
	key := filepath.Join(filepath.Dir(a.config), "key")
	wrong := filepath.Join(t.TempDir(), "wrong")
	require.NoError(t, os.WriteFile(wrong, []byte("other"), 0o600))
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	t.Setenv(adminKeyVariable, "")
	for args, want := range map[string]struct {
		code int
		errs string
	}{
		"--url " + a.url + "/ --key-file " + key:  {0, ""},
		"--url " + a.url + " --key-file " + wrong: {1, "the key is wrong: give the admin key with --key-file FILE or in $LANDFALL_ADMIN_KEY"},
		"--url " + a.url: {1, "give the admin key with --key-file FILE"},
		"--url " + a.url + " --key-file " + key + "-2": {2, "there is no such file"},
		"--url ftp://127.0.0.1":                        {2, "--url should be like http://127.0.0.1:8081 or unix:PATH but is"},
		"--url http://":                                {2, "--url should be like"},
		"--url http://%zz":                             {2, "--url should be like"},
		"--url http://127.0.0.1:1":                     {1, "no server answers at http://127.0.0.1:1: check that it runs"},
		"--url unix:" + wrong + "-3":                   {1, "no server answers at unix:"},
		"--url " + other.URL:                           {1, "there is no admin API at " + other.URL + ": it has its own port, by default"},
		"--sandbox --sandbox-url http://a.example":     {2, "give one of --sandbox and --sandbox-url"},
	} {
		code, out, errs := commandHere(t.Context(), append([]string{"status", "--config", a.config}, strings.Fields(args)...)...)
		assert.Equal(t, want.code, code, "%s: %s", args, errs)
		assert.Contains(t, errs, want.errs, args)
		assert.Equal(t, want.code == 0, out != "", args)
	}
}
