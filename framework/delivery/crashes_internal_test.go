package delivery

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

const suspectDefinition = `
name: Acme
slug: acme
mode: cloud
authentication: {scheme: none}
actions:
  send:
    title: Send
    fields: {id: {label: ID, type: string, default: {"@path": $.userId}}}
`

type anything struct{}

func (*anything) Decode(event.Value) {}

func crashPlan(t *testing.T) *runtime.Plan {
	p := destination.Plugin{
		Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(suspectDefinition)}},
		Actions: map[string]destination.Action{"send": destination.Handle(destination.Handler[anything, anything]{
			PerformBatch: func(context.Context, destination.BatchCall[anything, anything]) (*destination.MultiStatus, error) {
				return nil, nil
			},
		})},
	}
	d, err := p.Load()
	require.NoError(t, err)
	plan, err := runtime.New(p, d, config.InstanceOf(event.MustParse(`{"id":"main","subscriptions":[{"action":"send","subscribe":"type = \"track\""}]}`)), runtime.Host{})
	require.NoError(t, err)
	return plan
}

// runWith delivers the events of a queue until stop, which gets the counts, returns true.
func runWith(t *testing.T, dir string, mapping func(event.Event), stop func(*Queue, map[string]int64) bool) {
	q, err := Open(t.Context(), Config{Dir: dir, Partitions: 1})
	require.NoError(t, err)
	defer q.Close()
	r, err := NewRunner(t.Context(), q, Settings{Linger: time.Second, beforeMapping: mapping})
	require.NoError(t, err)
	require.NoError(t, r.SetInstances(t.Context(), []Instance{{Plan: crashPlan(t)}}))
	require.Eventually(t, func() bool { return stop(q, r.Status()[0].Counts) }, time.Minute, 10*time.Millisecond)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	r.Stop(ctx)
}

func appendUsers(t *testing.T, dir string, users ...string) {
	runWith(t, dir, nil, func(*Queue, map[string]int64) bool { return true }) // so that the instance starts before the events
	q, err := Open(t.Context(), Config{Dir: dir, Partitions: 1})
	require.NoError(t, err)
	defer q.Close()
	for _, user := range users {
		raw := fmt.Sprintf(`{"type":"track","messageId":%q,"userId":%q}`, user, user)
		require.NoError(t, q.Append(t.Context(), []NewEvent{{Source: "web", Key: "u:" + user, Raw: []byte(raw)}}))
	}
}

// TestHelperProcess delivers the events of a queue. It exits, as if out of memory, at the events of the user "killer", or after a
// time whatever the event. It does nothing unless a test has started it as a process.
func TestHelperProcess(t *testing.T) {
	dir, after := os.Getenv("LANDFALL_SUSPECT_DIR"), os.Getenv("LANDFALL_SUSPECT_AFTER")
	if dir == "" {
		t.Skip("it is part of other tests")
	}
	kill := func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) }
	if d, err := time.ParseDuration(after); err == nil {
		time.AfterFunc(d, kill)
	}
	runWith(t, dir, func(e event.Event) {
		if e.Value().Get("userId").Str() == "killer" && after == "" {
			kill()
			select {}
		}
	}, func(_ *Queue, c map[string]int64) bool { return c["delivered"]+c["dead"] >= 21 })
}

// startHelper runs a helper process and reports whether it ended without being killed.
func startHelper(t *testing.T, dir, after string) bool {
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHelperProcess$")
	c.Env = append(os.Environ(), "LANDFALL_SUSPECT_DIR="+dir, "LANDFALL_SUSPECT_AFTER="+after)
	return c.Run() == nil
}

func crashedUsers() []string {
	var users []string
	for n := range 10 {
		users = append(users, fmt.Sprintf("before%d", n))
	}
	users = append(users, "killer")
	for n := range 10 {
		users = append(users, fmt.Sprintf("after%d", n))
	}
	return users
}

// An event that crashes the process each time it is mapped becomes a dead letter after a few starts, and the others are
// delivered. The same holds for its replay.
func TestCrashingEventBecomesDeadLetter(t *testing.T) {
	dir := t.TempDir()
	appendUsers(t, dir, crashedUsers()...)
	starts := 1
	for ; !startHelper(t, dir, ""); starts++ {
		require.Less(t, starts, 8)
	}
	assert.Equal(t, 1+maxCrashes, starts, "it is set aside once the process has died of it twice")
	var letters []*DeadLetter
	runWith(t, dir, nil, func(q *Queue, c map[string]int64) bool {
		letters = nil
		require.NoError(t, q.DeadLetters(t.Context(), DeadLetterFilter{}, func(l *DeadLetter) error { letters = append(letters, l); return nil }))
		return c["delivered"] == 20 && c["dead"] == 1 && len(letters) == 1
	})
	assert.Equal(t, "u:killer", letters[0].Key)
	assert.Contains(t, letters[0].Reason, "crashed the process")
}

// Events that were being read when the process was killed, several times in a row, are all delivered. On a busy machine a kill may hit an event that is
// being mapped. No further kill follows then, which might hit the same event.
func TestKilledProcessMakesNoDeadLetter(t *testing.T) {
	dir := t.TempDir()
	appendUsers(t, dir, crashedUsers()...)
	for n := range 12 {
		startHelper(t, dir, fmt.Sprintf("%dms", 5+n*23%300))
		notes, err := newMappingNotes(dir)
		require.NoError(t, err)
		if notes.hasCrashes.Load() {
			break
		}
	}
	runWith(t, dir, nil, func(_ *Queue, c map[string]int64) bool { return c["delivered"] == 21 })
}

// Only the event that is being mapped when a process ends counts as its crash, by log and position.
func TestMappingNotes(t *testing.T) {
	dir := t.TempDir()
	open := func() *mappingNotes {
		n, err := newMappingNotes(dir)
		require.NoError(t, err)
		return n
	}
	n := open()
	dying, done := n.acquireSlot("main", 1), n.acquireSlot("main", 2)
	assert.False(t, done.beginMapping(7, 5, 0, false))
	done.endMapping()
	assert.False(t, dying.beginMapping(7, 5, 3, false))
	n = open() // the process has ended
	s := n.acquireSlot("main", 1)
	assert.False(t, s.beginMapping(7, 5, 3, false), "once may be an accident")
	n = open()
	s = n.acquireSlot("main", 1)
	assert.False(t, s.beginMapping(7, 5, 2, false), "another event of the page")
	assert.False(t, s.beginMapping(8, 5, 3, false), "another log")
	assert.False(t, s.beginMapping(7, 5, 3, true), "its letter")
	s.endMapping()
	assert.False(t, n.acquireSlot("main", 2).beginMapping(7, 5, 0, false))
	assert.False(t, n.acquireSlot("other", 1).beginMapping(7, 5, 3, false))
	again := open().acquireSlot("main", 1)
	assert.True(t, again.beginMapping(7, 5, 3, false), "a start in between that maps other events does not clear it")
	assert.False(t, again.beginMapping(7, 5, 3, false), "it is tried again after it was set aside")
	again.endMapping()
	again.releaseSlot()
	assert.False(t, open().acquireSlot("main", 1).beginMapping(7, 5, 3, false))

	require.NoError(t, os.WriteFile(filepath.Join(dir, crashesFile), []byte("no JSON"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, mappingFile), []byte("short"), 0o600))
	assert.Empty(t, open().crashes)
	var none *mappingNotes
	assert.False(t, none.acquireSlot("main", 1).beginMapping(7, 5, 3, false))
}

// Partitions beyond the number of slots have no notes.
func TestMappingNotesRunOut(t *testing.T) {
	n, err := newMappingNotes(t.TempDir())
	require.NoError(t, err)
	first := n.acquireSlot("main", 0)
	for i := range mappingSlots {
		n.acquireSlot("main", i+1)
	}
	without := n.acquireSlot("main", -1)
	assert.Nil(t, without.note)
	assert.False(t, without.beginMapping(1, 1, 1, false))
	without.endMapping()
	without.releaseSlot()
	first.releaseSlot()
	assert.NotNil(t, n.acquireSlot("main", -1).note)
}
