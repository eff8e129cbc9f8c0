package audiencesync_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/files/stream"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/state"
)

// listsDefinition is a destination whose remote lists members by page.
const listsDefinition = `
name: Lists
slug: lists
mode: cloud
authentication: {scheme: none}
request: {baseUrl: https://api.example.com}
actions:
  syncList:
    title: Sync List
    fields:
      list_id: {label: List ID, type: string, required: true}
      list_key: {label: List Key, type: string, required: true}
      properties: {label: Properties, type: object}
      time: {label: Time, type: datetime}
      user_id: {label: User ID, type: string}
      email: {label: E-mail, type: string}
    audience:
      id: list_id
      key: list_key
      properties: properties
      time: time
      identifiers: [user_id, email]
      add: &change
        url: /members
        batch: {size: 100, item: {"@expr": "pick(payload, ['user_id', 'email'])"}}
        body: {add: {"@path": $.items}}
      remove: {<<: *change, body: {remove: {"@path": $.items}}}
      list:
        request: {method: GET, url: "/lists/{{audience.id}}", query: {after: {"@path": $.page}}}
        users: {"@path": $.body.users}
        next: {"@path": $.body.next}
        compareAs: {email: {"@expr": "lower(value)"}}
`

// listedUser is a user of the remote, by the keys user_id and email.
type listedUser map[string]string

// listRemote is a remote with one list, in pages of five users.
type listRemote struct {
	users  []listedUser
	sent   []string                        // changes
	before func(page string) (int, string) // returns a status and a body in place of the page; 0 for none. May be nil

	onChange func() // called for each request that changes members; may be nil
}

func (l *listRemote) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		if l.onChange != nil {
			l.onChange()
		}
		var body struct{ Add, Remove []listedUser }
		raw, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(raw, &body)
		l.change("+", body.Add)
		l.change("-", body.Remove)
		return
	}
	page := r.URL.Query().Get("after")
	if l.before != nil {
		if status, text := l.before(page); status != 0 {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
			return
		}
	}
	start, _ := strconv.Atoi(page)
	end := min(start+5, len(l.users))
	answer := map[string]any{"users": append([]listedUser{}, l.users[start:end]...)}
	if end < len(l.users) {
		answer["next"] = strconv.Itoa(end)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (l *listRemote) change(sign string, users []listedUser) {
	for _, u := range users {
		l.sent = append(l.sent, sign+u["user_id"]+u["email"])
		l.users = slices.DeleteFunc(l.users, func(other listedUser) bool {
			return u["user_id"] != "" && u["user_id"] == other["user_id"] || u["email"] != "" && strings.EqualFold(u["email"], other["email"])
		})
		if sign == "+" {
			l.users = append(l.users, u)
		}
	}
}

// newListSyncer returns a Syncer of a remote that lists members.
func newListSyncer(t *testing.T, remote *listRemote) *audiencesync.Syncer {
	k, _ := newClosableListSyncer(t, remote)
	return k
}

// newClosableListSyncer is newListSyncer with a function that closes the ledger.
func newClosableListSyncer(t *testing.T, remote *listRemote) (k *audiencesync.Syncer, closeStore func()) {
	p := destination.Plugin{Definition: fstest.MapFS{"destination.yaml": {Data: []byte(listsDefinition)}}}
	d, err := p.Load()
	require.NoError(t, err)
	p = p.Complete(d)
	store, err := state.Open(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	k = &audiencesync.Syncer{Audiences: p.Audiences, Ledger: store.Ledger("main"), Retry: stream.Retry{Attempts: 3, Backoff: time.Microsecond, MaxWait: time.Microsecond}}
	in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{}}`))
	k.Plan, err = runtime.New(p, d, in, runtime.Host{State: k.Ledger, Members: k.Ledger, Transport: sandbox.Transport(remote)})
	require.NoError(t, err)
	return k, func() { _ = store.Close() }
}

// record writes members of the ledger, and users who have left, which begin with a minus sign.
func record(t *testing.T, k *audiencesync.Syncer, at time.Time, identities ...string) {
	var changes []destination.Change
	for _, identity := range identities {
		name, left := strings.CutPrefix(identity, "-")
		changes = append(changes, destination.Change{Identity: name, Member: !left, At: at})
	}
	require.NoError(t, k.Ledger.Record(t.Context(), vip, changes))
}

// drifts returns the differences between the ledger and the remote.
func drifts(t *testing.T, k *audiencesync.Syncer) (list []string, report audiencesync.RemoteReport) {
	report, err := k.DiffRemote(t.Context(), vip, func(d audiencesync.Drift, identity string) error {
		list = append(list, string(d)+" "+identity)
		return nil
	})
	require.NoError(t, err)
	slices.Sort(list)
	return list, report
}

// fillers are n users whom the ledger and the remote have.
func fillers(n int) (identities []string, users []listedUser) {
	for i := range n {
		identities, users = append(identities, fmt.Sprintf("user_id:f%02d", i)), append(users, listedUser{"user_id": fmt.Sprintf("f%02d", i)})
	}
	return identities, users
}

func TestDriftOfTheRemote(t *testing.T) {
	remote := &listRemote{}
	k := newListSyncer(t, remote)
	now := time.Now().Add(-time.Hour).UTC()
	identities, users := fillers(11)
	record(t, k, now, append(identities, "user_id:u1", "email:Ann@Example.com", "-user_id:u3", "user_id:u4", "-email:bo@example.com", "-user_id:u6")...)
	remote.users = append(users,
		listedUser{"user_id": "u1", "email": "u1@example.com"},
		listedUser{"user_id": "other", "email": "ann@example.com"}, // another form, and an id that the ledger does not have
		listedUser{"user_id": "u3"},
		listedUser{"user_id": "b0", "email": "BO@example.com"}, // out by one of the identifiers
		listedUser{"user_id": "new", "email": "new@example.com"},
		listedUser{"city": "", "email": ""},
	)
	remote.users[len(remote.users)-1] = listedUser{"email": ""}
	list, report := drifts(t, k)
	assert.Equal(t, []string{"extra email:bo@example.com", "extra user_id:u3", "missing user_id:u4", "unknown user_id:new"}, list)
	assert.Equal(t, []int{14, 17, 13, 1, 2, 1, 1}, []int{report.Members, report.Listed, report.Unchanged, report.Missing, report.Extra, report.Unknown, report.Nameless})
	assert.Empty(t, remote.sent)

	k.Suppressed = nil
	report, err := k.RepairRemote(t.Context(), vip, false)
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{"+u4", "-u3", "-bo@example.com"}, remote.sent)
	assert.Equal(t, []int{1, 2, 3}, []int{report.Enters, report.Exits, report.Delivered})
	m, _, _, err := k.Ledger.Find(t.Context(), vip.ID, "user_id:u4")
	require.NoError(t, err)
	assert.True(t, m.At.Equal(now.Truncate(time.Microsecond)) || m.At.Equal(now), "a repair decides nothing: %s", m.At)
	list, _ = drifts(t, k)
	assert.Equal(t, []string{"unknown user_id:new"}, list)

	remote.sent = nil
	_, err = k.RepairRemote(t.Context(), vip, true)
	require.NoError(t, err)
	assert.Equal(t, []string{"-new"}, remote.sent)
	list, _ = drifts(t, k)
	assert.Empty(t, list)
}

// TestIncompleteListsOfTheRemote checks that nothing is sent unless the remote has listed all members.
func TestIncompleteListsOfTheRemote(t *testing.T) {
	for name, c := range map[string]struct {
		page   string
		status int
		body   string
		times  int // that the remote answers so
		err    string
	}{
		"a limit":               {"5", 429, `{"message":"slow down"}`, 2, ""},
		"a failure for a while": {"", 503, ``, 2, ""},
		"a failure":             {"10", 500, `{"message":"broken"}`, 100, "broken"},
		"no right":              {"", 403, `{"message":"no right"}`, 100, "no right"},
		"no list":               {"5", 200, `{}`, 100, "the response has no list of users: it is nothing"},
		"null":                  {"5", 200, `{"users":null}`, 100, "the response has no list of users: it is null"},
		"no JSON":               {"5", 200, `users`, 100, "the response has no list of users"},
		"a web page":            {"5", 200, `<html>`, 100, "the response is a web page"},
		"a page twice":          {"10", 200, `{"users":[],"next":"5"}`, 100, `it names the page "5" twice`},
		"users that are texts":  {"5", 200, `{"users":["u1"]}`, 100, "should be an object with identifiers, but is a string"},
		"an unknown identifier": {"5", 200, `{"users":[{"mail":"a"}]}`, 100, `"mail" of a user is not one of the identifiers (did you mean "email"?)`},
	} {
		t.Run(name, func(t *testing.T) {
			identities, users := fillers(12)
			remote := &listRemote{users: users}
			k := newListSyncer(t, remote)
			record(t, k, time.Now().Add(-time.Hour), append(identities, "user_id:missing")...)
			left := c.times
			remote.before = func(page string) (int, string) {
				if page != c.page || left == 0 {
					return 0, ""
				}
				left--
				return c.status, c.body
			}
			report, err := k.RepairRemote(t.Context(), vip, true)
			if c.err == "" {
				require.NoError(t, err)
				assert.Equal(t, []string{"+missing"}, remote.sent)
				assert.Equal(t, 12, report.Listed, "a page that is fetched again counts once")
				return
			}
			require.ErrorContains(t, err, "listing the members of aud_1 at the remote: ")
			assert.ErrorContains(t, err, c.err)
			assert.Empty(t, remote.sent)
		})
	}
}

// TestStatesThatChangeDuringAListAreNotCompared checks users whose state is recorded after the remote has listed, or not listed, them.
func TestStatesThatChangeDuringAListAreNotCompared(t *testing.T) {
	identities, users := fillers(12)
	remote := &listRemote{users: append(users, listedUser{"user_id": "leaves"})}
	k := newListSyncer(t, remote)
	record(t, k, time.Now().Add(-time.Hour), append(identities, "user_id:leaves")...)
	remote.before = func(page string) (int, string) {
		if page == "10" {
			record(t, k, time.Now(), "user_id:enters", "-user_id:leaves")
		}
		return 0, ""
	}
	list, report := drifts(t, k)
	assert.Empty(t, list)
	assert.Equal(t, 2, report.Changing)
}

// TestUsersWhoseFirstChangeIsNotAcceptedYetAreNotRemoved checks users whom the remote lists and whose entry was sent, but has no result yet.
func TestUsersWhoseFirstChangeIsNotAcceptedYetAreNotRemoved(t *testing.T) {
	for name, decided := range map[string]bool{"unknown": false, "decided by a sync": true} {
		t.Run(name, func(t *testing.T) {
			remote := &listRemote{users: []listedUser{{"user_id": "sent"}, {"user_id": "new"}}}
			k := newListSyncer(t, remote)
			at := time.Now().Add(-time.Hour)
			record(t, k, at, "user_id:missing")
			if decided {
				require.NoError(t, k.Ledger.DecideAll(t.Context(), vip, at))
			}
			require.NoError(t, k.Ledger.MarkUncertain(t.Context(), vip, []destination.Change{{Identity: "user_id:sent", Member: true, At: at.Add(time.Minute)}}))
			report, err := k.RepairRemote(t.Context(), vip, true)
			require.NoError(t, err)
			assert.ElementsMatch(t, []string{"+missing", "-new"}, remote.sent)
			assert.Equal(t, []int{1, 0, 1}, []int{report.Changing, report.Extra, report.Unknown})
		})
	}
}

// TestPageThatFailsAfterSomeUsers checks a Fetch that has passed users before its error, and fewer when it is called again.
func TestPageThatFailsAfterSomeUsers(t *testing.T) {
	remote := &listRemote{}
	k := newListSyncer(t, remote)
	record(t, k, time.Now().Add(-time.Hour), "user_id:u1", "-user_id:u3")
	lists := [][]string{{"u5", "u4", "u3"}, {"u3", "u1"}}
	k.Audiences.List.Fetch = func(_ context.Context, _ destination.ListInput, each func([]string) error) (string, error) {
		list := lists[0]
		for _, id := range list {
			require.NoError(t, each([]string{"user_id:" + id}))
		}
		if lists = lists[1:]; len(lists) > 0 {
			return "", fault.FromStatus(http.StatusBadGateway, "cut off")
		}
		return "", nil
	}
	list, report := drifts(t, k)
	assert.Equal(t, []string{"extra user_id:u3", "unknown user_id:u4", "unknown user_id:u5"}, list)
	assert.Equal(t, 2, report.Listed)
}

// TestRepairMakesTheRemoteMatch changes a remote at random. After a repair, it has the members of the ledger, and users whom the ledger does not know.
func TestRepairMakesTheRemoteMatch(t *testing.T) {
	for seed := range uint64(10) {
		random := rand.New(rand.NewPCG(seed, 0))
		remote := &listRemote{}
		k := newListSyncer(t, remote)
		members := map[string]bool{}
		var recorded []string
		for i := range 60 {
			id := fmt.Sprintf("u%d", i)
			switch random.IntN(4) {
			case 0:
				recorded = append(recorded, "-user_id:"+id)
			case 1: // unknown
			default:
				members[id] = true
				recorded = append(recorded, "user_id:"+id)
			}
			if random.IntN(3) > 0 {
				remote.users = append(remote.users, listedUser{"user_id": id, "email": id + "@example.com"})
			}
		}
		record(t, k, time.Now().Add(-time.Hour), recorded...)
		_, err := k.RepairRemote(t.Context(), vip, true)
		require.NoError(t, err)
		var got []string
		for _, u := range remote.users {
			got = append(got, u["user_id"])
		}
		assert.ElementsMatch(t, slices.Collect(maps.Keys(members)), got, "seed %d", seed)
	}
}
