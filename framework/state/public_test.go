package state_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/state"
)

// TestNamesOfSandboxes checks the name of each kind of sandbox and the file of its ledger.
func TestNamesOfSandboxes(t *testing.T) {
	for _, c := range []struct {
		inProcess  bool
		address    string
		name, file string
	}{
		{false, "", "", "state.db"},
		{true, "", "sandbox", "state-sandbox.db"},
		{true, "http://Sandbox.Example:8080/x?y", "sandbox-sandbox.example-8080", "state-sandbox-sandbox.example-8080.db"},
		{false, "https://[::1]:1", "sandbox----1--1", "state-sandbox----1--1.db"},
		{false, "AZaz09-._/\\ é", "sandbox-AZaz09-.-----", "state-sandbox-AZaz09-.-----.db"},
	} {
		name := state.SandboxName(c.inProcess, c.address)
		assert.Equal(t, c.name, name)
		assert.Equal(t, c.file, state.File(name))
	}
}

// TestBackupsOverwriteNothing checks backups to a file that exists, to one that cannot be created, and of a store that is closed.
func TestBackupsOverwriteNothing(t *testing.T) {
	s := open(t, t.TempDir())
	write(t, s.Ledger("i"), enter("u1", 1))
	dir := t.TempDir()
	file := filepath.Join(dir, "copy.db")
	require.NoError(t, s.Backup(t.Context(), file))
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	problems, err := state.CheckFile(t.Context(), file)
	require.NoError(t, err)
	assert.Empty(t, problems)
	mine := filepath.Join(dir, "mine")
	require.NoError(t, os.WriteFile(mine, []byte("mine"), 0o600))
	require.ErrorIs(t, s.Backup(t.Context(), mine), os.ErrExist)
	text, err := os.ReadFile(mine)
	require.NoError(t, err)
	assert.Equal(t, "mine", string(text))
	require.Error(t, s.Backup(t.Context(), filepath.Join(dir, "missing", "copy.db")))
	require.NoError(t, s.Close())
	late := filepath.Join(dir, "late.db")
	require.Error(t, s.Backup(t.Context(), late))
	assert.NoFileExists(t, late, "no empty backup is left")
}

// TestCheckFileFindsDamage checks files that are missing, no database, or written by a newer program.
func TestCheckFileFindsDamage(t *testing.T) {
	dir := t.TempDir()
	problems, err := state.CheckFile(t.Context(), filepath.Join(dir, "missing.db"))
	require.NoError(t, err)
	assert.Empty(t, problems)
	garbage := filepath.Join(dir, "garbage.db")
	require.NoError(t, os.WriteFile(garbage, []byte("this is no database, however long it is"), 0o600))
	problems, err = state.CheckFile(t.Context(), garbage)
	assert.True(t, err != nil || len(problems) > 0)
	open(t, dir)
	file := filepath.Join(dir, state.FileName)
	problems, err = state.CheckFile(t.Context(), file)
	require.NoError(t, err)
	assert.Empty(t, problems)
	db, err := sql.Open("sqlite", file)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), `UPDATE migrations SET version = version + 100`)
	require.NoError(t, err)
	problems, err = state.CheckFile(t.Context(), file)
	require.NoError(t, err)
	require.Len(t, problems, 1)
	assert.Contains(t, problems[0], "use a newer program")
}

// TestUnknownAudiencesAndUsers checks what reading an audience or a user that the ledger does not have returns.
func TestUnknownAudiencesAndUsers(t *testing.T) {
	l := open(t, t.TempDir()).Ledger("i")
	write(t, l, enter("u1", 1))
	_, ok, err := l.Audience(t.Context(), "none")
	require.NoError(t, err)
	assert.False(t, ok)
	none := func(state.Membership) error { t.Error("the audience has no members"); return nil }
	require.NoError(t, l.Each(t.Context(), "none", "", none))
	require.NoError(t, l.Each(t.Context(), vip.ID, "u1", none), "after the last one")
	for _, audience := range []string{"none", vip.ID} {
		m, history, ok, err := l.Find(t.Context(), audience, "u9")
		require.NoError(t, err)
		assert.False(t, ok)
		assert.Empty(t, history)
		assert.Equal(t, state.Membership{}, m)
		records, err := l.Lookup(t.Context(), audience, []string{"u9"})
		require.NoError(t, err)
		assert.Equal(t, []destination.Record{{}}, records)
	}
	m, _, ok, err := l.Find(t.Context(), vip.ID, "u1")
	require.NoError(t, err)
	assert.True(t, ok && m.Member)
}

// TestErrorsWhileReadingMembers checks that the error of a callback ends the reading and is returned as it is, wherever it comes.
func TestErrorsWhileReadingMembers(t *testing.T) {
	l := open(t, t.TempDir()).Ledger("i")
	write(t, l, enter("b", 1), enter("d", 1), exit("f", 1))
	stop := errors.New("enough")
	for _, at := range []string{"b", "d", "f"} {
		seen := ""
		require.ErrorIs(t, l.Each(t.Context(), vip.ID, "", func(m state.Membership) error {
			if seen += m.Identity; m.Identity == at {
				return stop
			}
			return nil
		}), stop)
		assert.Equal(t, at, seen[len(seen)-1:])
	}
	s, err := state.NewScratch(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Add(t.Context(), []string{"a", "c", "d", "g", "h"}))
	for _, at := range []string{"a", "b", "c", "d", "f", "g", "h"} {
		seen := ""
		require.ErrorIs(t, l.Compare(t.Context(), vip.ID, s, func(identity string, _ bool, _ state.Membership) error {
			if seen += identity; identity == at {
				return stop
			}
			return nil
		}), stop, at)
		assert.Equal(t, "abcdfgh"[:len(seen)], seen, at)
		assert.Equal(t, at, seen[len(seen)-1:])
	}
	for _, audience := range []string{"none", vip.ID} {
		var seen string
		require.NoError(t, l.Compare(t.Context(), audience, s, func(identity string, listed bool, m state.Membership) error {
			seen += fmt.Sprintf("%s%t%t ", identity, listed, m.Known)
			return nil
		}))
		assert.Equal(t, map[string]string{"none": "atruefalse ctruefalse dtruefalse gtruefalse htruefalse ", vip.ID: "atruefalse bfalsetrue ctruefalse dtruetrue ffalsetrue gtruefalse htruefalse "}[audience], seen)
	}
	require.NoError(t, s.Close())
	require.Error(t, l.Compare(t.Context(), vip.ID, s, func(string, bool, state.Membership) error { return nil }), "a set that is closed is not an empty one")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, l.Each(ended, vip.ID, "", func(state.Membership) error { return nil }))
}

// TestManyMembersAreReadInPages checks reading and comparing more members than fit into one page.
func TestManyMembersAreReadInPages(t *testing.T) {
	l := open(t, t.TempDir()).Ledger("i")
	const count = 2500
	var changes []destination.Change
	var identities []string
	for i := range count {
		identities = append(identities, fmt.Sprintf("u%05d", i))
		changes = append(changes, enter(identities[i], 1))
	}
	write(t, l, changes...)
	next := 0
	require.NoError(t, l.Each(t.Context(), vip.ID, "", func(m state.Membership) error {
		require.Equal(t, identities[next], m.Identity)
		next++
		return nil
	}))
	assert.Equal(t, count, next)
	s, err := state.NewScratch(t.Context())
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.Add(t.Context(), identities[:2200]))
	both, only := 0, 0
	require.NoError(t, l.Compare(t.Context(), vip.ID, s, func(_ string, listed bool, m state.Membership) error {
		require.True(t, m.Known)
		if listed {
			both++
		} else {
			only++
		}
		return nil
	}))
	assert.Equal(t, []int{2200, 300}, []int{both, only})
}

// TestScratchWithoutADirectory checks that a set which cannot be created is an error.
func TestScratchWithoutADirectory(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
	_, err := state.NewScratch(t.Context())
	assert.ErrorContains(t, err, "creating a scratch file")
}

// TestRenameToALedgerWithOnlyAToken checks that a login of the new id does not stand in the way, and is kept.
func TestRenameToALedgerWithOnlyAToken(t *testing.T) {
	s := open(t, t.TempDir())
	old := s.Ledger("old")
	_, err := old.Claim(t.Context(), targetAt("one"))
	require.NoError(t, err)
	write(t, old, enter("u1", 1))
	renamed := s.Ledger("new")
	_, err = renamed.Claim(t.Context(), targetAt("two"))
	require.NoError(t, err)
	require.NoError(t, old.Rename(t.Context(), "new"), "a mark without data decides nothing")
	assert.True(t, look(t, renamed, "u1")[0].Member)
	target, ok, err := renamed.Target(t.Context())
	require.NoError(t, err)
	assert.True(t, ok)
	assert.Equal(t, targetAt("one"), target)
	write(t, old, enter("u2", 1))
	_, err = old.Claim(t.Context(), targetAt("three"))
	require.NoError(t, err)
	require.Error(t, old.Rename(t.Context(), "new"), "data of two remotes is not merged")
	assert.True(t, look(t, old, "u2")[0].Member)
}
