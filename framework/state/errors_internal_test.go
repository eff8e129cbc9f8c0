package state

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
)

// filledLedger returns the ledger main with two members of the audience a and one value.
func filledLedger(t *testing.T) *Ledger {
	t.Helper()
	store, err := Open(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	l := store.Ledger("main")
	changes := []destination.Change{{Identity: "u1", Member: true, At: time.Unix(100, 0)}, {Identity: "u2", Member: true, At: time.Unix(100, 0)}}
	require.NoError(t, l.Record(t.Context(), destination.Audience{ID: "a"}, changes))
	require.NoError(t, l.Put(t.Context(), "k", "v"))
	return l
}

// operations are all calls that read or write a ledger.
func operations(ctx context.Context, l *Ledger, file string) map[string]func() error {
	a := destination.Audience{ID: "a"}
	each := func(Membership) error { return nil }
	return map[string]func() error{
		"lookup":    func() error { _, err := l.Lookup(ctx, "a", []string{"u1"}); return err },
		"get":       func() error { _, _, err := l.Get(ctx, "k"); return err },
		"put":       func() error { return l.Put(ctx, "k", "v") },
		"swap":      func() error { _, err := l.Swap(ctx, "k", "v", "v"); return err },
		"sizes":     func() error { _, err := l.Sizes(ctx); return err },
		"audience":  func() error { _, _, err := l.Audience(ctx, "a"); return err },
		"each":      func() error { return l.Each(ctx, "a", "", each) },
		"find":      func() error { _, _, _, err := l.Find(ctx, "a", "u1"); return err },
		"target":    func() error { _, _, err := l.Target(ctx); return err },
		"claim":     func() error { _, err := l.Claim(ctx, Target{}); return err },
		"content":   func() error { _, err := l.Content(ctx); return err },
		"instances": func() error { _, err := l.store.Instances(ctx); return err },
		"forget":    func() error { return l.Forget(ctx) },
		"rename":    func() error { return l.Rename(ctx, "other") },
		"record":    func() error { return l.Record(ctx, a, []destination.Change{{Identity: "u1", At: time.Unix(200, 0)}}) },
		"uncertain": func() error { return l.MarkUncertain(ctx, a, []destination.Change{{Identity: "u1"}}) },
		"purge":     func() error { return l.Purge(ctx, a, time.Unix(300, 0)) },
		"decide": func() error {
			_, err := l.Decide(ctx, a, []destination.Change{{Identity: "u1", Member: true, At: time.Unix(400, 0)}})
			return err
		},
		"mark all": func() error { return l.store.MarkAllUncertain(ctx) },
		"backup":   func() error { return l.store.Backup(ctx, file) },
		"ping":     func() error { return l.store.Ping(ctx) },
	}
}

func TestClosedStateIsAnError(t *testing.T) {
	l := filledLedger(t)
	file := filepath.Join(t.TempDir(), "copy")
	for name, do := range operations(t.Context(), l, file) {
		if name != "forget" && name != "rename" && name != "backup" && name != "claim" {
			assert.NoError(t, do(), name)
		}
	}
	require.NoError(t, fillStore(t.Context(), l.store))
	for name, do := range storeOperations(l.store) {
		assert.NoError(t, do(t.Context()), name)
	}
	require.NoError(t, l.store.Close())
	for name, do := range operations(t.Context(), l, file) {
		assert.Error(t, do(), name)
	}
	for name, do := range storeOperations(l.store) {
		assert.Error(t, do(t.Context()), name)
	}
}

// If one table cannot be read or written, the calls that need it fail and change nothing.
func TestUnusableTableIsAnError(t *testing.T) {
	for table, failing := range map[string][]string{
		"members":   {"lookup", "each", "find", "forget", "record", "decide"},
		"doubts":    {"lookup", "each", "find", "forget", "record", "uncertain", "decide"},
		"unmerged":  {"lookup", "each", "find", "forget", "record", "uncertain", "decide", "mark all"},
		"history":   {"find", "forget"},
		"audiences": {"lookup", "sizes", "audience", "each", "find", "content", "instances", "forget", "rename", "record", "uncertain", "purge", "decide"},
		"state":     {"get", "put", "swap", "target", "claim", "content", "instances", "forget", "rename"},
		"tokens":    {"content", "instances", "forget", "rename"},
	} {
		l := filledLedger(t)
		before := dump(t, l)
		_, err := l.store.db.ExecContext(t.Context(), "ALTER TABLE "+table+" RENAME TO unusable")
		require.NoError(t, err)
		all := operations(t.Context(), l, "")
		for _, name := range failing {
			assert.Error(t, all[name](), "%s without %s", name, table)
		}
		_, err = l.store.db.ExecContext(t.Context(), "ALTER TABLE unusable RENAME TO "+table)
		require.NoError(t, err)
		assert.Equal(t, before, dump(t, l), "after failures without %s", table)
	}
}

// dump returns the members and values of a ledger.
func dump(t *testing.T, l *Ledger) string {
	t.Helper()
	content, err := l.Content(t.Context())
	require.NoError(t, err)
	text := content.String()
	require.NoError(t, l.Each(t.Context(), "a", "", func(m Membership) error { text += fmt.Sprintf("\n%+v", m); return nil }))
	return text
}

func TestContentIsDescribed(t *testing.T) {
	assert.Equal(t, "2 members in 1 audience, 3 other values", Content{Audiences: 1, Members: 2, Values: 3}.String())
	assert.Equal(t, "0 members in 0 audiences, 0 other values, an OAuth token", Content{Token: true}.String())
	assert.False(t, Content{Token: true}.Empty())
	assert.True(t, Content{}.Empty())
}

func TestScratchComparesWithTheLedger(t *testing.T) {
	l := filledLedger(t)
	s, err := NewScratch(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Add(t.Context(), []string{"u2", "u0", "u3", "u2", ""}))
	require.NoError(t, s.Add(t.Context(), []string{"u3", "u4"}))
	found := map[string][2]bool{}
	require.NoError(t, l.Compare(t.Context(), "a", s, func(identity string, listed bool, m Membership) error {
		found[identity] = [2]bool{listed, m.Identity != ""}
		return nil
	}))
	assert.Equal(t, map[string][2]bool{"": {true, false}, "u0": {true, false}, "u1": {false, true}, "u2": {true, true}, "u3": {true, false}, "u4": {true, false}}, found)
	assert.Equal(t, 2, s.Duplicates())
	stop := errors.New("stop")
	for _, at := range slices.Sorted(maps.Keys(found)) {
		seen := 0
		err := l.Compare(t.Context(), "a", s, func(identity string, _ bool, _ Membership) error {
			if seen++; identity == at {
				return stop
			}
			return nil
		})
		require.ErrorIs(t, err, stop, at)
		assert.LessOrEqual(t, seen, len(found))
	}
	require.NoError(t, s.Close())
	require.ErrorContains(t, s.Add(t.Context(), []string{"u9"}), "writing the scratch file")
	require.ErrorContains(t, l.Compare(t.Context(), "a", s, func(string, bool, Membership) error { return nil }), "reading the scratch file")
}
