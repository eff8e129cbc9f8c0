package cli

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/state"
)

// flatness is how the CPU time of one event or identity depends on one quantity.
type flatness struct {
	file, title string
	quantity    string // what sizes count
	sizes, few  []int  // measured with LANDFALL_FLATNESS, and without
	measure     func(t *testing.T, size, events int) time.Duration
	once        string // environment variable with a further size, which is measured in the first round only; "" for none
}

var flatnesses = []flatness{
	{"members", "An update of the ledger", "members in 20 audiences", []int{10_000, 100_000, 1_000_000, 10_000_000}, []int{4_000}, costWithMembers, ""},
	{"waiting", "An event that waits for the end of a pause", "waiting events", []int{10_000, 100_000, 1_000_000}, []int{10_000}, costWithWaiting, "LANDFALL_WAITING"},
	{"subscriptions", "A served event", "subscriptions", []int{1, 5, 20, 50}, []int{2}, costWithSubscriptions, ""},
	{"sources", "A served event", "sources", []int{1, 10, 100, 1_000}, []int{2}, costWithSources, ""},
}

// TestFlatness measures how the CPU time of an event grows with the members of the ledger, the waiting events, and the subscriptions and
// sources of the config, and draws a plot of each. LANDFALL_FLATNESS=3 measures the sizes of the plots in framework/performance, as
// medians of three rounds, and replaces these; otherwise one small size of each is measured once. LANDFALL_WAITING=10000000 also measures that many
// waiting events, once.
func TestFlatness(t *testing.T) {
	rounds, events, dir := 1, 1_000, t.TempDir()
	text := os.Getenv("LANDFALL_FLATNESS")
	if text != "" {
		var err error
		rounds, err = strconv.Atoi(text)
		require.NoError(t, err)
		events, dir = 60_000, filepath.Join("..", "performance")
	}
	for _, f := range flatnesses {
		t.Run(f.file, func(t *testing.T) {
			p := plot{title: f.title, x: f.quantity, y: "µs of CPU time"}
			sizes := f.sizes
			if text == "" {
				sizes = f.few
			}
			usual := len(sizes)
			if n, err := strconv.Atoi(os.Getenv(f.once)); err == nil {
				sizes = append(slices.Clone(sizes), n)
			}
			costs := make([][]time.Duration, len(sizes))
			for round := range rounds { // the sizes take turns, since other work on the machine changes
				for i, size := range sizes {
					if i >= usual && round > 0 {
						continue
					}
					costs[i] = append(costs[i], f.measure(t, size, events))
				}
			}
			for i, size := range sizes {
				slices.Sort(costs[i])
				cost := costs[i][len(costs[i])/2]
				t.Logf("%d %s: %v, of %v", size, f.quantity, cost.Round(10*time.Nanosecond), costs[i])
				assert.Positive(t, cost)
				p.points = append(p.points, point{float64(size), float64(cost) / float64(time.Microsecond)})
			}
			require.NoError(t, os.WriteFile(filepath.Join(dir, f.file+".svg"), p.svg(), 0o600))
		})
	}
}

// ledgerAudiences is the number of audiences of costWithMembers.
const ledgerAudiences = 20

// costWithMembers returns the CPU time of an identity that is looked up, marked and recorded, including its share of the merge when the ledger
// is closed. Random identities are updated in batches of 1,000, or of all members of an audience.
func costWithMembers(t *testing.T, members, events int) time.Duration {
	dir, random := t.TempDir(), rand.New(rand.NewPCG(1, 2))
	each, updates := members/ledgerAudiences, 4*events
	batch := min(each, 1000)
	s, err := state.Open(t.Context(), dir)
	require.NoError(t, err)
	for i := range ledgerAudiences {
		for at := 0; at < each; at += batch {
			require.NoError(t, s.Ledger("main").Record(t.Context(), ledgerAudience(i), memberChanges(batch, func(n int) int { return at + n })))
		}
	}
	require.NoError(t, s.Close())
	s, err = state.Open(t.Context(), dir)
	require.NoError(t, err)
	before := processTime(t)
	for i := range updates / batch {
		updateLedger(t, s.Ledger("main"), ledgerAudience(i%ledgerAudiences), memberChanges(batch, func(int) int { return random.IntN(each) }))
	}
	require.NoError(t, s.Close())
	return (processTime(t) - before) / time.Duration(updates/batch*batch)
}

func ledgerAudience(i int) destination.Audience {
	return destination.Audience{ID: fmt.Sprint("aud_", i)}
}

// memberChanges returns entries of users, whose ids do not sort in the order of their numbers.
func memberChanges(n int, user func(int) int) []destination.Change {
	changes, at := make([]destination.Change, n), time.Now()
	for i := range changes {
		changes[i] = destination.Change{Identity: fmt.Sprintf("external_id:%016x", uint64(user(i))*0x9e3779b97f4a7c15), Member: true, At: at}
	}
	return changes
}

// updateLedger does with changes what the delivery of a batch does.
func updateLedger(t *testing.T, l *state.Ledger, a destination.Audience, changes []destination.Change) {
	identities := make([]string, len(changes))
	for i := range changes {
		identities[i] = changes[i].Identity
	}
	_, err := l.Lookup(t.Context(), a.ID, identities)
	require.NoError(t, err)
	require.NoError(t, l.MarkUncertain(t.Context(), a, changes))
	require.NoError(t, l.Record(t.Context(), a, changes))
}

// costWithWaiting returns the CPU time of the server for each of many events that wait for the end of a pause, from their acceptance to their
// verdicts: what is read before the end of a pause is a large part of few events. Before, the server delivers events until the ledger knows
// all users, so that it costs the same for all sizes. Few waiting events are delivered many times: the ledger writes recent rows to files when there
// are many, and that is part of the cost of all of them.
func costWithWaiting(t *testing.T, waiting, events int) time.Duration {
	sandbox := sandboxProcess(t)
	s := newServed(t, serveConfig, "--sandbox-url", sandbox)
	s.start()
	defer s.kill(syscall.SIGTERM)
	load := newLoad(events/20, 6)
	sent := int64(events)
	send(s, loadBodies(load, events), 16, 0)
	s.waitSettled(sent)
	var accepted, delivered time.Duration
	rounds := max(10*events/waiting, 1)
	for round := range rounds {
		injectFaults(t, sandbox, `{"path":"`+users+`","status":429,"headers":{"Retry-After":"86400"},"times":1}`)
		s.post(entered(fmt.Sprint("first", round), "vip"))
		require.Eventually(t, func() bool { list, ok := s.status(); return ok && list[0].Paused }, time.Minute, 20*time.Millisecond)
		before := s.usage().cpu
		for left := waiting; left > 0; left -= min(left, 100_000) {
			send(s, loadBodies(load, min(left, 100_000)), 16, 0)
		}
		sent += int64(waiting + 1)
		paused := s.usage().cpu
		s.cli("resume", "braze-main")
		s.waitSettled(sent)
		after := s.usage().cpu
		accepted, delivered = accepted+paused-before, delivered+after-paused
	}
	t.Logf("of this, %v before the end of the pause", (accepted / time.Duration(rounds*waiting)).Round(10*time.Nanosecond))
	return (accepted + delivered) / time.Duration(rounds*waiting)
}

// loadBodies returns batches of 100 events.
func loadBodies(load *load, events int) [][]byte {
	load.context = costContext
	bodies := make([][]byte, events/100)
	for i := range bodies {
		bodies[i] = load.batch(100, 0, 1)
	}
	return bodies
}

// costWithSubscriptions returns the CPU time of a server for each event, with subscriptions of which one matches.
func costWithSubscriptions(t *testing.T, subscriptions, events int) time.Duration {
	config := serveConfig
	for i := range subscriptions - 1 {
		config += fmt.Sprintf("      - {name: Other %d, action: syncAudiences, subscribe: event = \"Other %d\", mapping: {personas_audience_key: x}}\n", i, i)
	}
	return costOfConfig(t, config, []string{"wk"}, events)
}

// costWithSources returns the CPU time of a server for each event, with events that come from its sources.
func costWithSources(t *testing.T, sources, events int) time.Duration {
	var list []string
	keys := make([]string, sources)
	for i := range keys {
		keys[i] = fmt.Sprint("wk", i)
		list = append(list, fmt.Sprintf("{id: web%d, writeKey: %s}", i, keys[i]))
	}
	config := replaceOnce(t, serveConfig, "{id: web, writeKey: wk}", strings.Join(list, ", "))
	return costOfConfig(t, replaceOnce(t, config, "    sources: [web]\n", ""), keys, events)
}

// costOfConfig returns the CPU time of a server with a config for each event, until all have a verdict.
func costOfConfig(t *testing.T, config string, keys []string, events int) time.Duration {
	s := newServed(t, config, "--sandbox-url", sandboxProcess(t))
	s.keys = keys
	s.start()
	defer s.kill(syscall.SIGTERM)
	bodies := loadBodies(newLoad(100_000, 6), events)
	before := s.usage().cpu
	send(s, bodies, 16, 0)
	counts := s.waitSettled(int64(events))
	require.Zero(t, counts["dead"]+counts["parked"]+counts["unmatched"], "%v", counts)
	return (s.usage().cpu - before) / time.Duration(events)
}
