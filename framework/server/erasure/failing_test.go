package erasure_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/erasure"
	"github.com/landfall-dev/landfall/framework/state"
)

// openDatabase opens the file of the state beside its Store.
func (w *world) openDatabase() *sql.DB {
	db, err := sql.Open("sqlite", filepath.Join(w.dir, state.File(""))+"?_pragma=busy_timeout(60000)")
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = db.Close() })
	return db
}

// TestTablesThatCannotBeRead checks for tables of the state that no user is called erased, and none is forgotten, while the table cannot be read.
func TestTablesThatCannotBeRead(t *testing.T) {
	w := newWorld(t)
	db := w.openDatabase()
	exec := func(text string) {
		t.Helper()
		_, err := db.ExecContext(t.Context(), text)
		require.NoError(t, err, text)
	}
	for i, table := range []string{"audiences", "tokens", "erasures", "member_files", "unmerged"} {
		user := fmt.Sprintf("gone-%d", 10+i)
		w.fill(user, "stays-1")
		id := w.request(erasure.User{Identifiers: []string{user}})[0].ID
		exec("ALTER TABLE " + table + " RENAME TO hidden")
		err := erasure.RunOnce(t.Context(), w.config())
		exec("ALTER TABLE hidden RENAME TO " + table)
		if err == nil {
			assert.Equal(t, "failing", w.receipt(id).State(), table)
		}
		assert.NotEqual(t, "done", w.receipt(id).State(), table)
		require.NoError(t, erasure.RunOnce(t.Context(), w.config()), table)
		require.Equal(t, "done", w.receipt(id).State(), "%s: %+v", table, w.receipt(id).Steps)
		assert.NotContains(t, w.events(), user, table)
		assert.Empty(t, filesWith(t, w.dir, user), table)
	}
}

// TestDamagedReceipts checks that an erasure which cannot be read is reported, and never left out of a list as if it did not exist.
func TestDamagedReceipts(t *testing.T) {
	w := newWorld(t)
	w.request(gone)
	id := w.request(erasure.User{Identifiers: []string{"gone-2"}})[0].ID
	_, err := w.openDatabase().ExecContext(t.Context(), "UPDATE erasures SET doc = '[' WHERE id = $1", id)
	require.NoError(t, err)
	_, listed := w.desk().List(t.Context())
	_, mine := w.desk().List(t.Context(), "gone-1")
	_, latest := w.desk().Latest(t.Context(), 10)
	_, found := w.desk().Find(t.Context(), id)
	_, inspected := erasure.Inspect(t.Context(), w.dir, "")
	for _, err := range []error{listed, mine, latest, found, inspected, erasure.RunOnce(t.Context(), w.config())} {
		assert.ErrorContains(t, err, "the erasure "+id+" cannot be read")
	}
	watcher, err := erasure.NewWatcher(t.Context(), w.store, func() string { return key }, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer watcher.Close()
	assert.True(t, watcher.HasEvent(event.MustParse(`{"userId":"gone-1"}`)), "others are erased")
	assert.False(t, watcher.HasEvent(event.MustParse(`{"userId":"gone-2"}`)))
}

// TestKeysThatAreLost checks that an erasure whose identifiers cannot be decrypted is listed with what to do, and tried again, whatever the
// key is now.
func TestKeysThatAreLost(t *testing.T) {
	w := newWorld(t)
	for _, other := range []string{"", "no key", "HB4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA="} {
		w.cfg.StateKey = key
		id := w.request(gone)[0].ID
		w.cfg.StateKey = other
		require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
		r := w.receipt(id)
		assert.Equal(t, "its identifiers cannot be decrypted: restore state.key, or request the erasure again", step(t, r, erasure.StepFind, "").Error)
		require.NotNil(t, r.NextAttempt)
		assert.WithinRange(t, *r.NextAttempt, time.Now().Add(9*time.Minute), time.Now().Add(10*time.Minute))
	}
}

// TestLogsThatFail checks what is done without the log: everything else is erased, and the steps that need the log say why they are not done.
func TestLogsThatFail(t *testing.T) {
	w := newWorld(t)
	w.fill("gone-1", "stays-1")
	id := w.request(gone)[0].ID
	w.queue.Close()
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	r := w.receipt(id)
	for name, done := range map[string]bool{
		erasure.StepFind: false, erasure.StepDeadLetters: false, erasure.StepLog: false, erasure.StepLedger: true, erasure.StepHistory: true, erasure.StepFiles: true,
	} {
		s := step(t, r, name, "")
		assert.Equal(t, done, s.Done, name)
		assert.Equal(t, done, s.Error == "", name)
	}
	assert.Equal(t, map[string]int{"memberships": 1, "history": 1}, step(t, r, erasure.StepLedger, "").Counts)
}

// TestDoubtsOfInstancesThatAreOff checks that a user who may be in an audience, as the answer to an exit was lost, is not called erased
// while the instance cannot send another one: it is turned off, or has no ledger.
func TestDoubtsOfInstancesThatAreOff(t *testing.T) {
	w := newWorld(t)
	doubt := []destination.Change{{Identity: "external_id:gone-1", At: time.Now().Add(-time.Minute)}}
	require.NoError(t, w.store.Ledger("braze-main").MarkUncertain(t.Context(), vip, doubt))
	w.removed["braze-main"] = true
	id := w.request(gone)[0].ID
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	assert.Contains(t, step(t, w.receipt(id), erasure.StepAudiences, "braze-main").Error, "the user is in an audience")
	delete(w.removed, "braze-main")
	c := w.config()
	withoutLedger := c.Instances()
	for i := range withoutLedger {
		withoutLedger[i].Ledger = nil
	}
	c.Instances = func() []instances.Instance { return withoutLedger }
	require.NoError(t, erasure.RunOnce(t.Context(), c))
	assert.Contains(t, step(t, w.receipt(id), erasure.StepAudiences, "braze-main").Error, "the user is in an audience")
	require.NoError(t, erasure.RunOnce(t.Context(), w.config()))
	assert.Equal(t, "done", w.receipt(id).State())
	var names []string
	for _, s := range w.receipt(id).Steps {
		names = append(names, s.Name+" "+s.Instance)
	}
	assert.ElementsMatch(t, []string{
		"find ", "audiences braze-main", "destination braze-users", "destination hook", "ledger ", "letters ", "history ", "log ", "files ",
	}, names, "other instances have no audiences, or run in browsers")
}

// TestLogOfErasures checks what the log of the server says: what is not done and why, and when all is. It names no user.
func TestLogOfErasures(t *testing.T) {
	w := newWorld(t)
	w.fill("gone-1", "stays-1")
	w.fails.Store(true)
	id := w.request(gone)[0].ID
	var out bytes.Buffer
	c := w.config()
	c.Log = slog.New(slog.NewTextHandler(&out, nil))
	require.NoError(t, erasure.RunOnce(t.Context(), c))
	assert.Contains(t, out.String(), `msg="a user is not erased everywhere yet: trying again" erasure=`+id+" step=audiences instance=braze-main error=")
	assert.NotContains(t, out.String(), "a user was erased")
	out.Reset()
	w.fails.Store(false)
	require.NoError(t, erasure.RunOnce(t.Context(), c))
	assert.Contains(t, out.String(), `msg="a user was erased" erasure=`+id)
	assert.NotContains(t, out.String(), "not erased")
	assert.NotContains(t, out.String(), "gone-1")
}
