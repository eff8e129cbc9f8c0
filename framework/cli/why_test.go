package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/server/why"
)

// whyServer is a server with users who are missing for different reasons.
type whyServer struct {
	*served
	sandbox string
}

// newWhyServer starts a server with a sandbox of Braze, which does not know the user ghost and refuses requests with the user poison.
func newWhyServer(t *testing.T) *whyServer {
	var sandbox *httptest.Server
	for _, sb := range allSandboxes(destinations.All()) {
		if sb.Name == "braze" {
			sandbox = httptest.NewServer(sb.New(map[string][]string{"poison-users": {"poison"}, "unknown-users": {"ghost"}}))
			t.Cleanup(sandbox.Close)
		}
	}
	w := &whyServer{newServed(t, strings.Replace(serveConfig, "client_secret: s", "client_secret: hidden-secret", 1), "--sandbox-url", sandbox.URL), sandbox.URL}
	w.start()
	return w
}

// audienceEvent returns an event of a user and an audience, with further members.
func audienceEvent(id, user, name, audience string, member any, at time.Time, more string) string {
	value, _ := json.Marshal(member)
	return fmt.Sprintf(`{"type":"track","messageId":%q,"userId":%q,"event":%q,"timestamp":%q,"properties":{"audience_key":%q,%q:%s},"context":{"personas":{"computation_class":"audience","computation_id":%q,"computation_key":%q}%s}}`,
		id, user, name, at.UTC().Format("2006-01-02T15:04:05.000Z"), audience, audience, value, "aud_"+audience, audience, more)
}

// sendEvents sends events in one batch. Some of them may be rejected.
func (w *whyServer) sendEvents(events ...string) {
	w.t.Helper()
	request, err := http.NewRequest(http.MethodPost, w.url+"/v1/batch", strings.NewReader(`{"batch":[`+strings.Join(events, ",")+`]}`))
	require.NoError(w.t, err)
	request.SetBasicAuth("wk", "")
	answer, err := w.client.Do(request)
	require.NoError(w.t, err)
	_ = answer.Body.Close()
}

// ask runs landfall why and returns its report.
func (w *whyServer) askWhy(user, audience string) *why.Report {
	w.t.Helper()
	args := []string{"why", "--config", filepath.Join(w.dir, "landfall.yaml"), "--json", "--user", user}
	if audience != "" {
		args = append(args, "--audience", audience)
	}
	code, out, notes := commandHere(w.t.Context(), args...)
	require.Equal(w.t, exitOK, code, notes)
	report := &why.Report{}
	require.NoError(w.t, json.Unmarshal([]byte(out), report), out)
	return report
}

// run runs another command on the server's config.
func (w *whyServer) run(args ...string) {
	w.t.Helper()
	code, out := command(w.t, append(args, "--config", filepath.Join(w.dir, "landfall.yaml"))...)
	require.Equal(w.t, exitOK, code, out)
}

// missingCase is a user and the answer.
type missingCase struct {
	user, audience string
	reason         why.Reason
	says           string
}

// missingUsers makes users missing for all reasons but a pause, and returns the answers.
func (w *whyServer) missingUsers() []missingCase {
	at := time.Now().Add(-time.Hour)
	enter := func(id, user, audience string) string {
		return audienceEvent(id, user, "Audience Entered", audience, true, at, "")
	}
	w.sendEvents(
		strings.Replace(enter("m1", "rejected", "vip"), `"type":"track"`, `"type":"trakc"`, 1),
		audienceEvent("m2", "unmatched", "Order Completed", "vip", true, at, ""),
		audienceEvent("m3", "unmapped", "Audience Entered", "vip", "perhaps", at, ""),
		enter("m4", "ghost", "vip"), enter("m5", "poison", "vip"),
		enter("m6", "purged", "gone"), enter("m7", "synced", "file"), enter("m8", "kept", "file"),
		audienceEvent("m9", "member", "Audience Entered", "vip", true, at, `,"device":{"id":"device-9"},"traits":{"email":"Ann@Example.com"}`),
		audienceEvent("m10", "late", "Audience Exited", "vip", false, at.Add(time.Minute), ""),
		audienceEvent("m12", "left", "Audience Entered", "vip", true, at, ""),
	)
	w.waitSettled(10)
	w.sendEvents(enter("m11", "late", "vip"), audienceEvent("m13", "left", "Audience Exited", "vip", false, at.Add(time.Minute), ""))
	w.waitSettled(12)
	w.run("members", "purge", "gone", "--yes", "--sandbox-url", w.sandbox)
	users := filepath.Join(w.dir, "users.csv")
	require.NoError(w.t, os.WriteFile(users, []byte("external_id\nkept\n"), 0o600))
	w.run("sync", "--audience", "aud_file", "--sandbox-url", w.sandbox, "--yes", users)
	return []missingCase{
		{"nobody-at-all", "vip", why.NeverArrived, "No event of nobody-at-all has arrived"},
		{"left", "viip", why.NeverArrived, `No event about viip has arrived (did you mean "vip"?)`},
		{"rejected", "vip", why.Rejected, "trakc"},
		{"unmatched", "vip", why.NotSubscribed, `event = "Audience Entered", but event is "Order Completed"`},
		{"unmapped", "vip", why.Refused, "true or false"},
		{"late", "vip", why.Superseded, "superseded by a newer event: the exit of"},
		{"ghost", "vip", why.UnknownToRemote, "does not know external_id:ghost"},
		{"poison", "vip", why.RefusedByRemote, "was refused in braze-main"},
		{"purged", "gone", why.Purged, "by landfall, run by"},
		{"synced", "aud_file", why.Synced, "synced with a file"},
		{"left", "vip", why.Left, "the newest event is an exit"},
		{"member", "VIP", why.Member, "is in vip"},
		{"ann@example.com", "vip", why.Member, "is in vip"},
		{"device-9", "", why.Member, "is in vip"},
	}
}

// check asks for every user and compares the answers.
func (w *whyServer) check(when string, cases []missingCase) {
	w.t.Helper()
	for _, c := range cases {
		r := w.askWhy(c.user, c.audience)
		assert.Equal(w.t, c.reason, r.Answer.Reason, "%s, %s: %s", when, c.user, r.Answer.Text)
		assert.Contains(w.t, r.Answer.Text, c.says, "%s, %s", when, c.user)
		text, _ := json.Marshal(r)
		assert.NotContains(w.t, string(text), "hidden-secret")
	}
	late := w.askWhy("late", "vip")
	linked := false
	for _, e := range late.Timeline {
		linked = linked || e.SupersededBy != nil
	}
	assert.True(w.t, linked, "%s: the skipped event is linked to the newer one: %+v", when, late.Timeline)
	member := w.askWhy("member", "vip")
	batch := 0
	for _, e := range member.Timeline {
		if e.Batch != nil && len(e.Batch.Requests) > 0 {
			batch++
			assert.Positive(w.t, e.Batch.Events)
			assert.True(w.t, slices.ContainsFunc(e.Batch.Requests, func(x *delivery.Exchange) bool {
				return strings.Contains(x.Body, `"member"`) && x.Status == http.StatusCreated
			}), "the request that carried the event, of a batch that can be divided: %+v", e.Batch.Requests)
		}
	}
	assert.Equal(w.t, 1, batch, "%s: %+v", when, member.Timeline)
}

// pauseRemote makes the remote ask to wait, and sends an event of the user waiting.
func (w *whyServer) pauseRemote() missingCase {
	answer, err := http.Post(w.sandbox+"/__sandbox/faults", "application/json", strings.NewReader(`{"path":"*","times":1000,"status":429,"headers":{"Retry-After":"600"}}`))
	require.NoError(w.t, err)
	_ = answer.Body.Close()
	require.Less(w.t, answer.StatusCode, 300)
	w.sendEvents(audienceEvent("m20", "waiting", "Audience Entered", "vip", true, time.Now(), ""))
	w.waitPaused()
	return missingCase{"waiting", "vip", why.Paused, "asked to wait until"}
}

// waitPaused waits until the remote has asked to wait.
func (w *whyServer) waitPaused() {
	w.t.Helper()
	require.Eventually(w.t, func() bool { list, ok := w.status(); return ok && list[0].Paused }, time.Minute, 50*time.Millisecond)
}

// TestWhyAUserIsMissing asks about users who are missing for each reason, before and after a restart, with the command and in the console,
// and without a server.
func TestWhyAUserIsMissing(t *testing.T) {
	t.Parallel() // it mostly waits for other processes
	w := newWhyServer(t)
	cases := w.missingUsers()
	w.check("before the restart", cases)
	cases = append(cases, w.pauseRemote())
	counted := w.countedEvents()
	w.kill(syscall.SIGTERM)
	w.start()
	w.waitPaused()
	assert.Equal(t, counted, w.countedEvents(), "the history has the same numbers after the restart")
	assert.Contains(t, w.page("live?outcome=delivered"), `<span class="badge good">delivered</span>`, "verdicts of before the restart")
	w.check("after the restart", cases)
	w.checkWhyPages(cases)
	w.changeQuery()
	w.kill(syscall.SIGTERM)
	r := w.askWhy("late", "vip")
	assert.Equal(t, why.Superseded, r.Answer.Reason, "without a server")
	assert.Equal(t, why.Waiting, w.askWhy("waiting", "vip").Answer.Reason, "without a server, nothing is delivered")
}

// changeQuery lets the subscription match the event of the user unmatched, which it did not when the event was processed.
func (w *whyServer) changeQuery() {
	before := w.reloadCount()
	file := filepath.Join(w.dir, "landfall.yaml")
	text, err := os.ReadFile(file)
	require.NoError(w.t, err)
	require.NoError(w.t, os.WriteFile(file, []byte(strings.Replace(string(text), `subscribe: event = "Audience Entered"`, `subscribe: event = "Order Completed" or event = "Audience Entered"`, 1)), 0o600))
	w.waitReloaded(before)
	r := w.askWhy("unmatched", "vip")
	assert.Equal(w.t, why.BeforeChange, r.Answer.Reason, r.Answer.Text)
	assert.Contains(w.t, r.Answer.Next, "landfall replay --instance braze-main --since")
	changes := w.page("changes/config")
	assert.Contains(w.t, changes, "the file changed")
	assert.Contains(w.t, changes, "&#43;1 −1")
	change := regexp.MustCompile(`/console/(changes/config/\d+)`).FindStringSubmatch(changes)
	require.NotNil(w.t, change)
	assert.Contains(w.t, w.page(change[1]), "Order Completed")
	assert.NotContains(w.t, w.page(change[1]), "hidden-secret")
}

// countedEvents returns the totals of the page History that do not change while the remote is paused.
func (w *whyServer) countedEvents() map[string]string {
	found := map[string]string{}
	for _, m := range regexp.MustCompile(`>([0-9\x{202f}]+) (accepted|rejected|delivered|skipped|not matched|dead or parked)<`).FindAllStringSubmatch(w.page("history"), -1) {
		found[m[2]] = m[1]
	}
	assert.Len(w.t, found, 6)
	for _, name := range []string{"accepted", "rejected", "delivered", "not matched", "dead or parked"} {
		assert.NotEqual(w.t, "0", found[name], name)
	}
	return found
}

// checkWhyPages looks at the answers in the console.
func (w *whyServer) checkWhyPages(cases []missingCase) {
	b := newBrowser(w.t)
	script := axe(w.t)
	b.url = w.admin.URL
	for _, c := range cases {
		b.open("/console/why?" + url.Values{"user": {c.user}, "audience": {c.audience}}.Encode())
		assert.Contains(w.t, b.words(), c.says, c.user)
	}
	for _, user := range []string{"late", "unmatched"} {
		b.checkPage("/console/why?audience=vip&user="+user, "why-"+user, script)
	}
	b.open("/console/why?user=")
	assert.Contains(w.t, b.words(), "Give a user")
}
