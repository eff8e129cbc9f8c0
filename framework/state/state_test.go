package state_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/state"
	"github.com/landfall-dev/landfall/framework/state/statetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var vip = destination.Audience{ID: "aud_1", Name: "vip"}

func at(second int) time.Time { return time.Date(2026, 1, 2, 3, 4, second, 0, time.UTC) }

func open(t testing.TB, location string) *state.Store {
	t.Helper()
	s, err := state.Open(t.Context(), location)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	if strings.HasSuffix(t.Name(), strings.ReplaceAll(inFiles, " ", "_")) {
		state.MergeToFiles(s)
	}
	return s
}

// inFiles ends the names of tests in which a database has the members in files.
const inFiles = " and member files"

// onBothDatabases runs a test on SQLite and on PostgreSQL, on each with the members in tables and in files.
func onBothDatabases(t *testing.T, f func(t *testing.T, location string)) {
	t.Run("sqlite", func(t *testing.T) { f(t, t.TempDir()) })
	t.Run("sqlite"+inFiles, func(t *testing.T) { f(t, t.TempDir()) })
	server := statetest.Postgres(t)
	t.Run("postgres", func(t *testing.T) { f(t, server) })
	t.Run("postgres"+inFiles, func(t *testing.T) { f(t, statetest.NewDatabase(t, server, "files")) })
}

func TestLedger(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, location string) {
		memory := destination.NewMemoryState()
		for name, check := range map[string]func(t *testing.T, l *state.Ledger){
			"changes are recorded": func(t *testing.T, l *state.Ledger) {
				write(t, l, enter("u1", 5), exit("u2", 6))
				assert.Equal(t, []destination.Record{
					{Known: true, Member: true, At: at(5)}, {Known: true, At: at(6)}, {},
				}, look(t, l, "u1", "u2", "u3"))
			},
			"an older change is ignored, one of the same time is not": func(t *testing.T, l *state.Ledger) {
				write(t, l, enter("u1", 5))
				write(t, l, exit("u1", 4))
				assert.True(t, look(t, l, "u1")[0].Member)
				write(t, l, exit("u1", 5))
				assert.False(t, look(t, l, "u1")[0].Member)
			},
			"the last of equal ones in one write counts": func(t *testing.T, l *state.Ledger) {
				write(t, l, enter("u1", 5), exit("u1", 5), enter("u1", 4))
				assert.Equal(t, []destination.Record{{Known: true, At: at(5)}}, look(t, l, "u1"))
			},
			"uncertain until the next write": func(t *testing.T, l *state.Ledger) {
				write(t, l, enter("u1", 5))
				require.NoError(t, l.MarkUncertain(t.Context(), vip, uncertain("u2")))
				require.NoError(t, l.MarkUncertain(t.Context(), vip, uncertain("u1", "u2", "u1"))) // one is in doubt already, one is named twice
				require.NoError(t, l.MarkUncertain(t.Context(), vip, nil))
				assert.Equal(t, []destination.Record{{Known: true, Member: true, At: at(5), Uncertain: true}, {Uncertain: true}}, look(t, l, "u1", "u2"))
				write(t, l, enter("u1", 6), exit("u2", 6))
				assert.Equal(t, []destination.Record{{Known: true, Member: true, At: at(6)}, {Known: true, At: at(6)}}, look(t, l, "u1", "u2"))
			},
			"sizes are counted as members come and go, and the newest name shows": func(t *testing.T, l *state.Ledger) {
				write(t, l, enter("u1", 1), enter("u2", 1), enter("u3", 1), enter("u3", 1))
				require.NoError(t, l.Record(t.Context(), destination.Audience{ID: "aud_1", Name: "gold"}, []destination.Change{exit("u1", 2), exit("u4", 2)}))
				require.NoError(t, l.Record(t.Context(), destination.Audience{ID: "aud_0", Name: "early"}, []destination.Change{enter("u1", 2)}))
				sizes, err := l.Sizes(t.Context())
				require.NoError(t, err)
				assert.Equal(t, []destination.AudienceSize{
					{Audience: destination.Audience{ID: "aud_0", Name: "early"}, Members: 1},
					{Audience: destination.Audience{ID: "aud_1", Name: "gold"}, Members: 2},
				}, sizes)
			},
			"names of any characters": func(t *testing.T, l *state.Ledger) {
				names := []string{"", "a'b", `a"b\`, "nul\x00l", "\x01", "\x01\x01", "\x01\x02", "ü€😀", "a\nb", "null", "[1]", strings.Repeat("x", 2000)}
				var changes []destination.Change
				for i, name := range names {
					changes = append(changes, enter(name, i))
				}
				write(t, l, changes...)
				for i, r := range look(t, l, names...) {
					assert.Equal(t, at(i), r.At, "%q", names[i])
				}
				seen := 0
				require.NoError(t, l.Each(t.Context(), "aud_1", "", func(state.Membership) error { seen++; return nil }))
				assert.Equal(t, len(names)-1, seen, "all identities after the empty one")
			},
			"a purge ends memberships from before it, known or not": func(t *testing.T, l *state.Ledger) {
				write(t, l, enter("u1", 5))
				require.NoError(t, l.Purge(t.Context(), vip, at(10)))
				assert.Equal(t, []destination.Record{{Known: true, At: at(10), Uncertain: true}, {Known: true, At: at(10)}}, look(t, l, "u1", "u2"),
					"the member's exit is not sent yet")
				require.NoError(t, l.Purge(t.Context(), vip, at(8)), "an earlier one changes nothing")
				write(t, l, enter("u2", 9), enter("u3", 10), exit("u1", 10))
				assert.False(t, look(t, l, "u1")[0].Uncertain)
				assert.Equal(t, []bool{false, false, true}, []bool{look(t, l, "u1")[0].Member, look(t, l, "u2")[0].Member, look(t, l, "u3")[0].Member})
				size, ok, err := l.Audience(t.Context(), "aud_1")
				require.NoError(t, err)
				assert.True(t, ok)
				assert.Equal(t, destination.AudienceSize{Audience: vip, Members: 1, Purged: at(10)}, size)
			},
			"history is limited": func(t *testing.T, l *state.Ledger) {
				write(t, l, enter("u1", 1))
				require.NoError(t, l.Annotate(t.Context(), vip, []destination.Note{{Identity: "u1", At: at(0), Outcome: "skipped", Reason: "superseded"}}))
				write(t, l, exit("u1", 2))
				_, history, ok, err := l.Find(t.Context(), "aud_1", "u1")
				require.NoError(t, err)
				require.True(t, ok)
				require.Len(t, history, 2)
				for i := range history {
					assert.WithinDuration(t, time.Now(), history[i].Decided, time.Minute)
					history[i].Decided = time.Time{}
				}
				assert.ElementsMatch(t, []state.HistoryEntry{
					{At: at(0), Outcome: "skipped", Reason: "superseded"}, {At: at(1), Member: true, Outcome: "delivered"},
				}, history)
				for i := range 3 * state.MaxHistory {
					write(t, l, enter("u1", 3+i))
				}
				s, history, _, err := l.Find(t.Context(), "aud_1", "u1")
				require.NoError(t, err)
				require.Len(t, history, state.MaxHistory)
				assert.Equal(t, s.At.Add(-time.Second), history[len(history)-1].At, "the newest lines stay")
			},
			"an unknown audience has no members": func(t *testing.T, l *state.Ledger) {
				_, _, ok, err := l.Find(t.Context(), "aud_9", "u1")
				require.NoError(t, err)
				assert.False(t, ok)
				assert.Equal(t, []destination.Record{{}}, look(t, l, "u1"))
			},
			"values": func(t *testing.T, l *state.Ledger) {
				_, ok, err := l.Get(t.Context(), "cohort/x\x00")
				require.NoError(t, err)
				assert.False(t, ok)
				require.NoError(t, l.Put(t.Context(), "cohort/x\x00", "one"))
				require.NoError(t, l.Put(t.Context(), "cohort/x\x00", "two\x00"))
				value, ok, err := l.Get(t.Context(), "cohort/x\x00")
				require.NoError(t, err)
				assert.True(t, ok)
				assert.Equal(t, "two\x00", value)
			},
			"swaps": func(t *testing.T, l *state.Ledger) {
				for _, step := range []struct {
					old, value string
					ok         bool
				}{
					{"", "", true}, {"a", "b", false}, {"a", "", false}, {"", "a\x00", true}, {"", "b", false}, {"", "", false}, {"b", "c", false},
					{"a\x00", "b", true}, {"a\x00", "", false}, {"b", "", true}, {"b", "", false}, {"", "again", true},
				} {
					for _, s := range []destination.State{l, memory} {
						ok, err := s.Swap(t.Context(), "swap\x00", step.old, step.value)
						require.NoError(t, err)
						assert.Equal(t, step.ok, ok, "%T %q %q", s, step.old, step.value)
					}
				}
				taken := atomic.Int64{}
				var all sync.WaitGroup
				for n := range 20 {
					all.Go(func() {
						if ok, err := l.Swap(t.Context(), "one", "", strconv.Itoa(n)); ok && err == nil {
							taken.Add(1)
						}
					})
				}
				all.Wait()
				assert.EqualValues(t, 1, taken.Load())
			},
		} {
			t.Run(name, func(t *testing.T) { check(t, open(t, location).Ledger(name)) })
		}
	})
}

func enter(identity string, second int) destination.Change {
	return destination.Change{Identity: identity, Member: true, At: at(second)}
}

func exit(identity string, second int) destination.Change {
	return destination.Change{Identity: identity, At: at(second)}
}

// uncertain returns changes without a time, to mark identities.
func uncertain(identities ...string) (changes []destination.Change) {
	for _, identity := range identities {
		changes = append(changes, destination.Change{Identity: identity})
	}
	return changes
}

func write(t *testing.T, l *state.Ledger, changes ...destination.Change) {
	t.Helper()
	require.NoError(t, l.Record(t.Context(), vip, changes))
}

func look(t *testing.T, l *state.Ledger, identities ...string) []destination.Record {
	t.Helper()
	records, err := l.Lookup(t.Context(), vip.ID, identities)
	require.NoError(t, err)
	require.Len(t, records, len(identities))
	return records
}

// Any sequence of calls leaves the same records in SQL as in memory, and the sizes match the rows.
func TestLedgerMatchesMemoryLedger(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, location string) {
		store, random := open(t, location), rand.New(rand.NewPCG(3, 5))
		names := []string{"u0", "u1", "u2", "u3"}
		for n := range 40 {
			sql, memory := store.Ledger(fmt.Sprint(n)), destination.NewMemoryMembers()
			for range 12 {
				changes := make([]destination.Change, 1+random.IntN(5))
				for i := range changes {
					changes[i] = destination.Change{Identity: names[random.IntN(4)], Member: random.IntN(2) == 0, At: at(random.IntN(20))}
				}
				sent := make([]destination.Change, 1+random.IntN(3))
				for i := range sent {
					sent[i] = destination.Change{Identity: names[random.IntN(4)]}
					if random.IntN(5) > 0 {
						sent[i].At = at(random.IntN(20))
					}
				}
				doubts := random.IntN(3) == 0
				for _, m := range []destination.Members{sql, memory} {
					if doubts {
						require.NoError(t, m.MarkUncertain(t.Context(), vip, sent))
					}
					require.NoError(t, m.Record(t.Context(), vip, changes))
				}
				want, err := memory.Lookup(t.Context(), vip.ID, names)
				require.NoError(t, err)
				require.Equal(t, want, look(t, sql, names...))
				sizes, err := memory.Sizes(t.Context())
				require.NoError(t, err)
				got, err := sql.Sizes(t.Context())
				require.NoError(t, err)
				require.Equal(t, sizes, got)
			}
		}
	})
}

// Concurrent writers of one audience lose no changes.
func TestConcurrentWrites(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, location string) {
		var wait sync.WaitGroup
		for p := range 2 { // as two processes
			store := open(t, location)
			for w := range 4 {
				wait.Go(func() {
					for i := range 10 {
						who := fmt.Sprintf("u%d", i)
						err := store.Ledger("i").Record(context.Background(), vip, []destination.Change{
							enter(who, p*10+w), enter(fmt.Sprintf("p%dw%di%d", p, w, i), 1),
						})
						assert.NoError(t, err)
					}
				})
			}
		}
		wait.Wait()
		l := open(t, location).Ledger("i")
		size, _, err := l.Audience(t.Context(), vip.ID)
		require.NoError(t, err)
		assert.Equal(t, 10+2*4*10, size.Members)
		assert.Equal(t, at(13), look(t, l, "u0")[0].At)
	})
}

func TestWritesArePersistent(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, location string) {
		first := open(t, location)
		write(t, first.Ledger("i"), enter("u1", 5))
		require.NoError(t, first.Close())
		assert.True(t, look(t, open(t, location).Ledger("i"), "u1")[0].Member)
		assert.False(t, look(t, open(t, location).Ledger("another"), "u1")[0].Member)
	})
}

func TestInvalidLocations(t *testing.T) {
	_, err := state.Open(t.Context(), "mysql://user:secret@host/db")
	require.ErrorContains(t, err, "directory or a postgres:// URL")
	assert.NotContains(t, err.Error(), "secret")
	_, err = state.Open(t.Context(), "postgres://user:secret@127.0.0.1:1/db")
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "secret")
}

// If the database does not respond, the error of every method that reads or writes is retryable.
func TestUnavailableDatabaseIsRetryable(t *testing.T) {
	store, err := state.Open(t.Context(), t.TempDir())
	require.NoError(t, err)
	scratch, err := state.NewScratch(t.Context())
	require.NoError(t, err)
	defer scratch.Close()
	require.NoError(t, store.Close())
	ctx, l, a, changes := t.Context(), store.Ledger("main"), destination.Audience{ID: "a"}, []destination.Change{{Identity: "u"}}
	visit := func(state.Membership) error { return nil }
	errorOf := func(_ any, err error) error { return err }
	_, _, getErr := l.Get(ctx, "k")
	_, _, audienceErr := l.Audience(ctx, "a")
	_, _, _, findErr := l.Find(ctx, "a", "u")
	_, _, targetErr := l.Target(ctx)
	for method, err := range map[string]error{
		"Annotate": l.Annotate(ctx, a, []destination.Note{{Identity: "u"}}), "Audience": audienceErr, "CheckTarget": l.CheckTarget(ctx, targetAt("one")),
		"Claim": errorOf(l.Claim(ctx, targetAt("one"))), "Compare": l.Compare(ctx, "a", scratch, func(string, bool, state.Membership) error { return nil }),
		"CompareStates": l.CompareStates(ctx, "a", scratch, func(string, bool, state.MemberState) error { return nil }),
		"EachChanged":   l.EachChanged(ctx, "a", at(1), func(string) error { return nil }),
		"Memberships":   errorOf(l.Memberships(ctx, "a", []string{"u"})), "Content": errorOf(l.Content(ctx)), "Decide": errorOf(l.Decide(ctx, a, changes)), "DecideAll": l.DecideAll(ctx, a, at(1)), "Each": l.Each(ctx, "a", "", visit),
		"Find": findErr, "Forget": l.Forget(ctx), "Get": getErr, "Lookup": errorOf(l.Lookup(ctx, "a", []string{"u"})), "MarkUncertain": l.MarkUncertain(ctx, a, changes),
		"Purge": l.Purge(ctx, a, at(1)), "Put": l.Put(ctx, "k", "v"), "Record": l.Record(ctx, a, changes), "Rename": l.Rename(ctx, "other"),
		"Retarget": l.Retarget(ctx, targetAt("one")), "Sizes": errorOf(l.Sizes(ctx)), "Swap": errorOf(l.Swap(ctx, "k", "", "v")), "Target": targetErr,
		"Update":    l.Update(ctx, a, destination.MemberUpdate{Accepted: changes, Uncertain: changes}),
		"Instances": errorOf(store.Instances(ctx)), "MarkAllUncertain": store.MarkAllUncertain(ctx), "Tokens.Get": errorOf(store.Tokens().Get(ctx, "main")),
		"Tokens.Update": store.Tokens().Update(ctx, "main", func(_ context.Context, r oauth.Record) (oauth.Record, error) { return r, nil }),
	} {
		var known *fault.Error
		if assert.ErrorAs(t, err, &known, method) {
			assert.True(t, known.Retry, method)
			assert.Equal(t, fault.CodeState, known.Code, method)
		}
	}
	for i := range reflect.TypeOf(l).NumMethod() {
		assert.Contains(t, "Annotate Audience CheckTarget Claim Compare CompareStates Content Decide DecideAll Each EachChanged Find Forget Get Lookup MarkUncertain Memberships Purge Put Record Rename Retarget Sizes Swap Target Update",
			reflect.TypeOf(l).Method(i).Name, "a new method of the ledger needs a line above")
	}
}

// Only this user can read the ledger, even in a directory that others can read.
func TestFileIsPrivate(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	s, err := state.Open(t.Context(), dir)
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.Ledger("main").Put(t.Context(), "k", "v"))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.NotEmpty(t, entries)
	for _, e := range entries {
		info, err := e.Info()
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, e.Name())
	}
}
