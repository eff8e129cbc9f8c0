package audiencesync_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/incoming"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/internal/testsize"
)

// TestBadClocksBlockNoUser runs random histories from receipt to the sandbox: events of devices whose clocks are wrong by
// seconds, days or decades, whose requests stall, and whose times are missing or equal, with syncs, resyncs, purges and restored
// ledgers between, and queries whose results are sent a while after their snapshots. The newest change decides each user, no event counts as later than its receipt and the tolerance, and a later event
// with a good clock always changes a user. LANDFALL_SEED repeats one history.
func TestBadClocksBlockNoUser(t *testing.T) {
	first, count := uint64(1), uint64(testsize.Of(60, 20))
	if seed, err := strconv.ParseUint(os.Getenv("LANDFALL_SEED"), 10, 64); err == nil {
		first, count = seed, 1
	}
	for seed := first; seed < first+count; seed++ {
		newHistory(t, seed).run()
	}
}

// history is one random history. now is the server's clock.
type history struct {
	t          *testing.T
	seed       uint64
	random     *rand.Rand
	now        time.Time
	normalizer *incoming.Normalizer
	store      *state.Store
	syncer     *audiencesync.Syncer
	wire       http.RoundTripper
	users      map[string]*decidedUser
	query      *snapshot // of a query whose result is not sent yet
	decided    time.Time // of the last sync or purge, which also decide unknown users: older events do not count
	steps      []string
}

// decidedUser is the model's state of a user.
type decidedUser struct {
	at       time.Time // the deciding time of the newest change
	received time.Time // when the event that decided was received; zero if an operator decided
	member   bool
	operated time.Time // when an operator last confirmed it; events between at and operated may count either way
	open     bool      // such an event came
}

func newHistory(t *testing.T, seed uint64) *history {
	store, err := state.Open(t.Context(), t.TempDir())
	require.NoError(t, err)
	h := &history{
		t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 5)), now: time.Now().Add(-3 * time.Hour).UTC().Truncate(time.Millisecond),
		normalizer: incoming.New(incoming.DefaultMaxFuture), store: store, users: map[string]*decidedUser{},
	}
	plugin := brazecohorts.Plugin()
	definition, err := plugin.Load()
	require.NoError(t, err)
	h.wire = sandbox.Transport(plugin.Sandbox.New(nil))
	h.syncer = &audiencesync.Syncer{Audiences: plugin.Audiences, Ledger: store.Ledger("main"), Now: func() time.Time { return h.now }}
	in := config.InstanceOf(event.MustParse(`{"id":"main","settings":{"endpoint":"https://rest.iad-01.braze.com","client_secret":"very-secret","partner_api_key":"partner-key"},
		"subscriptions":[{"name":"all","action":"syncAudiences","mapping":{"personas_audience_key":{"@path":"$.properties.audience_key"}}}]}`))
	h.syncer.Plan, err = runtime.New(plugin, definition, in, runtime.Host{Transport: h.wire, State: h.syncer.Ledger, Members: h.syncer.Ledger})
	require.NoError(t, err)
	return h
}

func (h *history) run() {
	defer func() { require.NoError(h.t, h.store.Close()) }()
	for range 5 + h.random.IntN(25) {
		h.now = h.now.Add(time.Duration(h.random.IntN(30_000)) * time.Millisecond)
		switch n := h.random.IntN(12); {
		case n < 2:
			h.stepQuery()
		case n == 2 && h.query == nil: // the lease of an audience keeps other commands from it while a query runs
			h.syncFile()
		case n == 3 && h.query == nil:
			h.resync()
		case n == 4 && h.query == nil:
			h.purge()
		case n == 5:
			h.steps = append(h.steps, "restored")
			require.NoError(h.t, h.store.MarkAllUncertain(h.t.Context()), h)
		default:
			h.sendEvent(fmt.Sprintf("u%d", h.random.IntN(3)))
		}
		h.check()
	}
	if h.query != nil {
		h.stepQuery()
		h.check()
	}
	for id, user := range h.users {
		h.now = h.now.Add(2 * time.Minute)
		h.deliver(id, "good", !user.member, h.now, h.now)
		require.False(h.t, user.open, "%s", h)
		h.check()
	}
}

// skews are the clock errors of devices.
var skews = []time.Duration{0, 0, 3 * time.Second, -40 * time.Second, 2 * time.Hour, -14 * 24 * time.Hour, 70 * 365 * 24 * time.Hour}

// sendEvent delivers an entry or exit of one of the user's devices, whose request may have stalled.
func (h *history) sendEvent(id string) {
	device := h.random.IntN(len(skews))
	stall := time.Duration(0)
	if h.random.IntN(3) == 0 {
		stall = time.Duration(h.random.IntN(20_000)) * time.Millisecond
	}
	recorded := h.now.Add(-stall).Add(skews[device])
	sent := recorded
	switch h.random.IntN(8) {
	case 0:
		recorded = time.Time{}
	case 1:
		sent = time.Time{}
	case 2:
		if user := h.users[id]; user != nil {
			recorded, sent = user.at, time.Time{} // equal to the newest
		}
	case 3:
		recorded = recorded.Add(-time.Duration(h.random.IntN(100)) * time.Minute) // it waited on the device
	}
	h.deliver(id, fmt.Sprint(device), h.random.IntN(2) == 0, recorded, sent)
}

// deliver normalizes an event as the server does, and delivers it through the plan. Zero times are left out.
func (h *history) deliver(id, device string, member bool, recorded, sent time.Time) runtime.Outcome {
	members := map[string]any{
		"type": "track", "event": "Audience Entered", "userId": id, "anonymousId": id + device,
		"properties": map[string]any{"audience_key": "vip", "vip": member},
		"context":    map[string]any{"personas": map[string]any{"computation_class": "audience", "computation_id": vip.ID, "computation_key": vip.Name}},
	}
	if !recorded.IsZero() {
		members["timestamp"] = incoming.FormatTime(recorded)
	}
	if !sent.IsZero() {
		members["sentAt"] = incoming.FormatTime(sent)
	}
	raw, err := json.Marshal(members)
	require.NoError(h.t, err)
	made, err := h.normalizer.ForRequest(incoming.Request{Source: "web", Received: h.now}).Normalize(event.MustParse(string(raw)))
	require.NoError(h.t, err)
	at, err := event.ReadTime(made.Value.Get("timestamp"))
	require.NoError(h.t, err)
	h.steps = append(h.steps, fmt.Sprintf("%s %s member=%v at %s received %s", id, device, member, incoming.FormatTime(at), incoming.FormatTime(h.now)))
	require.False(h.t, at.After(h.now.Add(incoming.DefaultMaxFuture)), "%s", h)
	e, err := event.Parse(made.Value.AppendJSON(nil))
	require.NoError(h.t, err)
	verdict := h.syncer.Plan.Run(h.t.Context(), e)[0]
	require.Contains(h.t, []runtime.Outcome{runtime.Delivered, runtime.Skipped}, verdict.Outcome, "%s: %s", h, verdict.Reason)
	if h.users[id] == nil {
		h.users[id] = &decidedUser{at: h.decided}
	}
	user := h.users[id]
	switch {
	case at.Before(user.at):
	case at.Before(user.operated):
		user.open = user.open || member != user.member
	default:
		*user = decidedUser{at: at, member: member, received: h.now}
	}
	return verdict.Outcome
}

// deliverAt delivers an event that was recorded, sent and received at the same time, by a correct clock.
func (h *history) deliverAt(id string, member bool, at time.Time) runtime.Outcome {
	now := h.now
	h.now = at
	defer func() { h.now = now }()
	return h.deliver(id, "good", member, at, at)
}

// operate applies an operator's decision about a user to the model.
func (h *history) operate(user *decidedUser, member bool) { h.decide(user, member, h.now) }

// decide applies a decision that was made at a time.
func (h *history) decide(user *decidedUser, member bool, at time.Time) {
	switch {
	case at.Before(user.at) && user.received.After(at): // a newer event
	case at.Before(user.at): // within the tolerance ahead of the clock
		user.open = user.open || member != user.member
		user.operated = user.at
	default:
		*user = decidedUser{at: at, member: member}
	}
}

// snapshot is the result of a query, and the time for which it is valid.
type snapshot struct {
	at   time.Time
	in   map[string]bool
	next int
}

func (s *snapshot) Columns() []audiencesync.Column {
	return []audiencesync.Column{{Name: "external_id"}}
}
func (s *snapshot) Use([]int) {}

// Next returns the users of the result in order.
func (s *snapshot) Next() ([]string, error) {
	users := slices.Sorted(maps.Keys(s.in))
	if s.next == len(users) {
		return nil, io.EOF
	}
	s.next++
	return users[s.next-1 : s.next], nil
}

// stepQuery takes the snapshot of a query, or sends the result of the one that was taken before. Events that were received in between win if they
// are newer than the snapshot.
func (h *history) stepQuery() {
	if h.query == nil {
		h.query = &snapshot{at: h.now, in: map[string]bool{"u9": true}}
		for n := range 3 {
			if h.random.IntN(2) == 0 {
				h.query.in[fmt.Sprintf("u%d", n)] = true
			}
		}
		h.steps = append(h.steps, fmt.Sprintf("snapshot %v at %s", h.query.in, incoming.FormatTime(h.now)))
		return
	}
	q := h.query
	h.query = nil
	h.steps = append(h.steps, "result of the snapshot sent at "+incoming.FormatTime(h.now))
	rows, err := audiencesync.TableRows(q, audiencesync.Options{Identifiers: h.syncer.Audiences.Identifiers, At: q.at})
	require.NoError(h.t, err)
	_, err = h.syncer.Sync(h.t.Context(), vip, rows, audiencesync.Mirror, 1)
	require.NoError(h.t, err, "%s", h)
	for id := range q.in {
		if h.users[id] == nil {
			h.users[id] = &decidedUser{}
		}
	}
	h.decided = q.at
	for id, user := range h.users {
		h.decide(user, q.in[id], q.at)
	}
}

func (h *history) syncFile() {
	in := map[string]bool{}
	for n := range 3 {
		in[fmt.Sprintf("u%d", n)] = h.random.IntN(2) == 0
	}
	in["u9"] = true // a file without users is refused
	var text strings.Builder
	text.WriteString("external_id\n")
	for _, id := range []string{"u0", "u1", "u2", "u9"} {
		if !in[id] {
			continue
		}
		text.WriteString(id + "\n")
		if h.users[id] == nil {
			h.users[id] = &decidedUser{}
		}
	}
	h.steps = append(h.steps, fmt.Sprintf("sync %v at %s", in, incoming.FormatTime(h.now)))
	rows, err := audiencesync.NewRows(strings.NewReader(text.String()), h.syncer.Audiences.Identifiers, nil)
	require.NoError(h.t, err)
	_, err = h.syncer.Sync(h.t.Context(), vip, rows, audiencesync.Mirror, 1)
	require.NoError(h.t, err, "%s", h)
	h.decided = h.now
	for id, user := range h.users {
		h.operate(user, in[id])
	}
}

func (h *history) resync() {
	if len(h.users) == 0 {
		return
	}
	h.steps = append(h.steps, "resync at "+incoming.FormatTime(h.now))
	_, err := h.syncer.Resync(h.t.Context(), vip, nil, true)
	require.NoError(h.t, err, "%s", h)
	for _, user := range h.users {
		if !user.open {
			h.operate(user, user.member)
		}
	}
}

func (h *history) purge() {
	if len(h.users) == 0 {
		return
	}
	h.steps = append(h.steps, "purge at "+incoming.FormatTime(h.now))
	_, err := h.syncer.Purge(h.t.Context(), vip)
	require.NoError(h.t, err, "%s", h)
	h.decided = h.now
	for _, user := range h.users {
		h.operate(user, false)
	}
}

// check compares the members in the sandbox with those of the model.
func (h *history) check() {
	members := h.members()
	for id, user := range h.users {
		if !user.open {
			require.Equal(h.t, user.member, slices.Contains(members, id), "%s: %s", id, h)
		}
	}
}

// members returns the users who are in the sandbox's cohort.
func (h *history) members() []string {
	request, err := http.NewRequest(http.MethodGet, "http://sandbox/__sandbox/state", nil)
	require.NoError(h.t, err)
	response, err := h.wire.RoundTrip(request)
	require.NoError(h.t, err)
	var held struct {
		Cohorts map[string]struct {
			Members struct {
				Users []string `json:"user_ids"`
			}
		}
	}
	require.NoError(h.t, json.NewDecoder(response.Body).Decode(&held))
	require.NoError(h.t, response.Body.Close())
	members := []string{}
	for _, cohort := range held.Cohorts {
		members = append(members, cohort.Members.Users...)
	}
	return members
}

func (h *history) String() string {
	return fmt.Sprintf("LANDFALL_SEED=%d\n%s", h.seed, strings.Join(h.steps, "\n"))
}
