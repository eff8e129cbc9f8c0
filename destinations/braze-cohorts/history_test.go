package brazecohorts_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/state"
)

// histories is how many random histories TestMembershipFollowsTheNewestEvent takes through the destination.
const histories = 10_000

// Random entries and exits of random users, cut into random batches, with answers of 429, 423 and 5xx, connections dropped
// before and after Braze has acted, the process ending around a record, and batches given up and never tried again: Braze always holds the users whose newest
// event is an entry. A user whose newest event was given up is open until a newer one arrives.
func TestMembershipFollowsTheNewestEvent(t *testing.T) {
	random, r := rand.New(rand.NewPCG(7, 11)), newRemote(t)
	for n := range histories {
		r.restart(fmt.Sprintf("aud_%d", n))
		runHistory(t, r, random)
	}
}

// The same with the ledger in SQL.
func TestMembershipFollowsTheNewestEventInSQL(t *testing.T) {
	store, err := state.Open(t.Context(), t.TempDir())
	require.NoError(t, err)
	defer store.Close()
	ledger := store.Ledger("main")
	random, r := rand.New(rand.NewPCG(5, 3)), newRemoteOn(t, ledger, ledger)
	for n := range histories / 50 {
		r.restart(fmt.Sprintf("aud_%d", n))
		runHistory(t, r, random)
	}
}

// newest is the event that decides a user.
type newest struct {
	second int
	member bool
	open   bool // it was given up
}

func runHistory(t *testing.T, r *remote, random *rand.Rand) {
	users := map[string]newest{}
	var story []string
	for range 1 + random.IntN(4) {
		batch := make([]string, 1+random.IntN(6))
		for i := range batch {
			batch[i] = fmt.Sprintf("u%d%c%02d", random.IntN(3), "+-"[random.IntN(2)], 10+random.IntN(20))
		}
		story = append(story, strings.Join(batch, " "))
		trouble(r, random)
		given := deliver(t, r, batch, 1+random.IntN(4))
		for _, change := range batch {
			id, second, member := parse(change)
			if best, ok := users[id]; !ok || second >= best.second {
				users[id] = newest{second, member, given[id]}
			}
		}
		check(t, r, users, story)
	}
}

// deliver tries a batch and what is left of it, and gives the users whose newest event was given up.
func deliver(t *testing.T, r *remote, batch []string, tries int) map[string]bool {
	for range tries {
		var again []string
		outcomes := r.run(batch...)
		if r.ledger.crashed { // the outcomes are lost
			r.ledger.crashed = false
			continue
		}
		for i, outcome := range outcomes {
			require.Contains(t, []string{"delivered", "skipped", "retry"}, outcome)
			if outcome == "retry" {
				again = append(again, batch[i])
			}
		}
		batch = again
	}
	given := map[string]bool{}
	for _, change := range batch {
		id, _, _ := parse(change)
		given[id] = true
	}
	return given
}

// trouble lets some of the next requests go wrong.
func trouble(r *remote, random *rand.Rand) {
	switch random.IntN(6) {
	case 0:
		r.ledger.before = true
	case 1:
		r.ledger.after = true
	case 2, 3:
		return
	}
	kinds := []string{`"status":429`, `"status":423`, `"status":503`, `"drop":true`, `"drop":true,"after":true`, `"status":500,"after":true`}
	paths := []string{"/partners/segment/cohorts", "/partners/segment/cohorts/users"}
	r.fault(fmt.Sprintf(`{"path":%q,%s,"times":%d}`, paths[random.IntN(2)], kinds[random.IntN(len(kinds))], 1+random.IntN(2)))
}

func parse(change string) (id string, second int, member bool) {
	at := strings.IndexAny(change, "+-")
	_, err := fmt.Sscan(change[at+1:], &second)
	if err != nil {
		panic(err)
	}
	return change[:at], second, change[at] == '+'
}

func check(t *testing.T, r *remote, users map[string]newest, story []string) {
	want, got := []string{}, []string{}
	for id, n := range users {
		if n.member && !n.open {
			want = append(want, id)
		}
	}
	for _, id := range r.members() {
		if !users[id].open {
			got = append(got, id)
		}
	}
	slices.Sort(want)
	require.Equal(t, want, got, strings.Join(story, " | "))
}
