package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/server/erasure"
	"github.com/landfall-dev/landfall/framework/state"
)

// TestDoctorFindsReadOnlyDirectories checks that a directory which its owner cannot write is a problem, and that a read-only file, such as
// a key, is none.
func TestDoctorFindsReadOnlyDirectories(t *testing.T) {
	for mode, want := range map[os.FileMode]string{0o500: "is a directory that its owner cannot write (mode 0500)", 0o700: ""} {
		dir := t.TempDir()
		key := filepath.Join(dir, "landfall.key")
		require.NoError(t, os.WriteFile(key, nil, 0o400))
		require.NoError(t, os.Chmod(dir, mode))
		for path, want := range map[string]string{dir: want, key: ""} {
			info, err := os.Lstat(path)
			require.NoError(t, err)
			assert.Equal(t, want, (&doctorCommand{}).accessProblem(path, dir, info), path)
		}
		require.NoError(t, os.Chmod(dir, 0o700))
	}
}

// TestDoctorShowsFailingErasures checks that landfall doctor shows which erasures fail at what, and that those which fail for long are problems.
func TestDoctorShowsFailingErasures(t *testing.T) {
	dir := t.TempDir()
	check := func() []finding {
		c := &doctorCommand{}
		c.checkErasures(t.Context(), nil, dir)
		return c.findings
	}
	assert.Equal(t, []finding{{Check: "erasures", Status: isOK, What: "0 erasures pending, none has failed"}}, check())
	store, err := state.Open(t.Context(), dir)
	require.NoError(t, err)
	defer func() { assert.NoError(t, store.Close()) }()
	add := func(id string, age time.Duration, steps ...erasure.Step) {
		at := time.Now().Add(-age)
		doc, err := json.Marshal(erasure.Receipt{ID: id, RequestedAt: at, Attempts: 3, Steps: steps})
		require.NoError(t, err)
		added, err := store.AddErasures(t.Context(), []state.Erasure{{ID: id, At: at, Doc: string(doc)}}, 100)
		require.NoError(t, err)
		require.True(t, added)
	}
	add("waits", time.Minute)
	assert.Equal(t, "1 erasure pending, none has failed", check()[0].What)
	add("old", 48*time.Hour, erasure.Step{Name: erasure.StepLog, Done: true}, erasure.Step{Name: erasure.StepDestination, Instance: "braze-main", Error: "HTTP 503"})
	add("new", time.Hour, erasure.Step{Name: erasure.StepLog, Error: "a backup is being made"})
	found := check()
	require.Len(t, found, 2)
	assert.Equal(t, isProblem, found[0].Status)
	assert.Contains(t, found[0].What, "has failed 3 times at "+erasure.StepDestination+" of braze-main: HTTP 503")
	assert.Contains(t, found[0].Next, "landfall erase show old")
	assert.Equal(t, isWarning, found[1].Status)
	assert.Contains(t, found[1].What, "a backup is being made")
	for i := range 10 {
		add(fmt.Sprint("more-", i), time.Hour, erasure.Step{Name: erasure.StepLog, Error: "no"})
	}
	found = check()
	require.Len(t, found, maxShownErasures+1)
	assert.Equal(t, "12 erasures fail", found[maxShownErasures].What)
}
