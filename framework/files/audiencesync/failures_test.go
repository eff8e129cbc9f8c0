package audiencesync_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/files/stream"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// TestShareOfRemovals checks the largest share of members that a mirror may remove, at its edge.
func TestShareOfRemovals(t *testing.T) {
	for _, c := range []struct {
		keep    int // of 10 members
		share   float64
		allowed bool
	}{{8, 0.2, true}, {7, 0.2, false}, {10, 0, true}, {9, 0, false}, {0, 1, true}, {1, 0.9, true}, {0, 0.99, false}} {
		sent := 0
		k := syncer(t, func() error { sent++; return nil })
		_, err := k.Sync(t.Context(), vip, users(t, k, 0, 10), audiencesync.Mirror, 1)
		require.NoError(t, err)
		sent = 0
		text := "external_id\nother\n"
		for i := range c.keep {
			text += fmt.Sprintf("u%05d\n", i)
		}
		rows, err := audiencesync.NewRows(strings.NewReader(text), k.Audiences.Identifiers, nil)
		require.NoError(t, err)
		report, err := k.Sync(t.Context(), vip, rows, audiencesync.Mirror, c.share)
		assert.Equal(t, 10-c.keep, report.Exits, "%+v", c)
		size, _, sizeErr := k.Ledger.Audience(t.Context(), vip.ID)
		require.NoError(t, sizeErr)
		if c.allowed {
			require.NoError(t, err, "%+v", c)
			assert.Equal(t, c.keep+1, size.Members)
			continue
		}
		assert.Equal(t, &audiencesync.TooManyRemovalsError{Exits: 10 - c.keep, Members: 10, Share: c.share}, err)
		assert.ErrorContains(t, err, fmt.Sprintf("%d of 10 members would be removed, more than %g %%: nothing was sent", 10-c.keep, 100*c.share))
		assert.Equal(t, 10, size.Members)
		assert.Zero(t, sent)
	}
}

// TestDryRunsOfEveryCommand checks that a dry run counts what a command would send, and neither sends nor records anything.
func TestDryRunsOfEveryCommand(t *testing.T) {
	sent := 0
	k := syncer(t, func() error { sent++; return nil })
	_, err := k.Sync(t.Context(), vip, users(t, k, 0, 5), audiencesync.Mirror, 1)
	require.NoError(t, err)
	before, err := k.Memberships(t.Context(), "u00001")
	require.NoError(t, err)
	sent, k.DryRun = 0, true
	for name, c := range map[string]struct {
		run           func() (audiencesync.Report, error)
		enters, exits int
	}{
		"mirror": {func() (audiencesync.Report, error) {
			return k.Sync(t.Context(), vip, users(t, k, 3, 4), audiencesync.Mirror, 1)
		}, 2, 3},
		"add": {func() (audiencesync.Report, error) {
			return k.Sync(t.Context(), vip, users(t, k, 3, 4), audiencesync.Add, 1)
		}, 2, 0},
		"remove": {func() (audiencesync.Report, error) {
			return k.Sync(t.Context(), vip, users(t, k, 3, 4), audiencesync.Remove, 1)
		}, 0, 2},
		"resync":           {func() (audiencesync.Report, error) { return k.Resync(t.Context(), vip, nil, false) }, 5, 0},
		"resync of a file": {func() (audiencesync.Report, error) { return k.Resync(t.Context(), vip, users(t, k, 0, 2), false) }, 3, 0},
		"purge":            {func() (audiencesync.Report, error) { return k.Purge(t.Context(), vip) }, 0, 5},
	} {
		report, err := c.run()
		require.NoError(t, err, name)
		assert.Equal(t, []any{c.enters, c.exits, 5, true, 0}, []any{report.Enters, report.Exits, report.Members, report.DryRun, report.Delivered}, name)
	}
	assert.Zero(t, sent)
	after, err := k.Memberships(t.Context(), "u00001")
	require.NoError(t, err)
	assert.Equal(t, before, after)
}

// TestDiffNamesUsers checks which users a comparison finds, and that an error of the caller ends it.
func TestDiffNamesUsers(t *testing.T) {
	sent := 0
	k := syncer(t, func() error { sent++; return nil })
	_, err := k.Sync(t.Context(), vip, users(t, k, 0, 3), audiencesync.Mirror, 1)
	require.NoError(t, err)
	_, err = k.Sync(t.Context(), vip, users(t, k, 9, 1), audiencesync.Add, 1)
	require.NoError(t, err)
	_, err = k.Sync(t.Context(), vip, users(t, k, 9, 1), audiencesync.Remove, 1) // who has left is in neither list
	require.NoError(t, err)
	sent = 0
	found := map[string]string{}
	report, err := k.Diff(t.Context(), vip.ID, users(t, k, 2, 3), func(kind, identity string) error { found[identity] = kind; return nil })
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"external_id:u00000": "missing", "external_id:u00001": "missing", "external_id:u00003": "extra", "external_id:u00004": "extra"}, found)
	assert.Equal(t, []any{1, 3, 3, "vip"}, []any{report.Unchanged, report.Members, report.Rows, report.Name})
	assert.Zero(t, sent)
	stop := errors.New("enough")
	for _, which := range []string{"missing", "extra"} {
		_, err = k.Diff(t.Context(), vip.ID, users(t, k, 2, 3), func(kind, _ string) error {
			if kind == which {
				return stop
			}
			return nil
		})
		assert.ErrorIs(t, err, stop, which)
	}
	var none *audiencesync.NoUsersError
	_, err = k.Diff(t.Context(), vip.ID, fileOf(t, k, `""`), func(string, string) error { return nil })
	assert.ErrorAs(t, err, &none)
}

// TestAFailedBatchIsNotProgress checks that a resync with failures starts from the same user again.
func TestAFailedBatchIsNotProgress(t *testing.T) {
	down, requests := false, 0
	k := syncer(t, func() error {
		requests++
		if down {
			return errors.New("down")
		}
		return nil
	})
	k.Retry = stream.Retry{Attempts: 1}
	_, err := k.Sync(t.Context(), vip, users(t, k, 0, 1500), audiencesync.Mirror, 1)
	require.NoError(t, err)
	var failures []audiencesync.Failure
	var progress []int
	k.OnFailure = func(f audiencesync.Failure) { failures = append(failures, f) }
	k.OnProgress = func(done int) { progress = append(progress, done) }
	down = true
	report, err := k.Resync(t.Context(), vip, nil, false)
	require.NoError(t, err)
	assert.Equal(t, []int{1500, 1500, 0}, []int{report.Enters, report.Failed, report.Delivered})
	assert.Equal(t, []int{1000, 1500}, progress)
	require.Len(t, failures, 1500)
	assert.Equal(t, audiencesync.Failure{Identity: "external_id:u00000", Member: true, Outcome: runtime.Retry, Reason: failures[0].Reason}, failures[0])
	assert.Contains(t, failures[0].Reason, "down")
	down = false
	report, err = k.Resync(t.Context(), vip, nil, false)
	require.NoError(t, err)
	assert.Equal(t, 1500, report.Delivered)
}

// TestRefusedChangesAreReported checks changes that are refused before anything is sent: the remote needs a name of the audience.
func TestRefusedChangesAreReported(t *testing.T) {
	k := syncer(t, func() error { t.Error("sent"); return nil })
	var failures []audiencesync.Failure
	k.OnFailure = func(f audiencesync.Failure) { failures = append(failures, f) }
	report, err := k.Sync(t.Context(), destination.Audience{ID: "aud_9"}, users(t, k, 0, 2), audiencesync.Add, 1)
	require.NoError(t, err)
	assert.Equal(t, []int{2, 2, 0}, []int{report.Enters, report.Refused, report.Delivered})
	require.Len(t, failures, 2)
	assert.Equal(t, []any{"external_id:u00000", runtime.Refused}, []any{failures[0].Identity, failures[0].Outcome})
	assert.Contains(t, failures[0].Reason, "is required but missing")
}

// TestAClosedLedgerIsAnError checks that no command calls it a success if the ledger cannot be read, at its start or while it reads the
// file.
func TestAClosedLedgerIsAnError(t *testing.T) {
	for name, run := range map[string]func(k *audiencesync.Syncer, rows *audiencesync.Rows) error{
		"sync": func(k *audiencesync.Syncer, rows *audiencesync.Rows) error {
			_, err := k.Sync(t.Context(), vip, rows, audiencesync.Mirror, 1)
			return err
		},
		"dry run": func(k *audiencesync.Syncer, rows *audiencesync.Rows) error {
			k.DryRun = true
			_, err := k.Sync(t.Context(), vip, rows, audiencesync.Mirror, 1)
			return err
		},
		"diff": func(k *audiencesync.Syncer, rows *audiencesync.Rows) error {
			_, err := k.Diff(t.Context(), vip.ID, rows, nil)
			return err
		},
		"resync of a file": func(k *audiencesync.Syncer, rows *audiencesync.Rows) error {
			_, err := k.Resync(t.Context(), vip, rows, false)
			return err
		},
		"resync": func(k *audiencesync.Syncer, _ *audiencesync.Rows) error {
			_, err := k.Resync(t.Context(), vip, nil, false)
			return err
		},
		"purge": func(k *audiencesync.Syncer, _ *audiencesync.Rows) error {
			_, err := k.Purge(t.Context(), vip)
			return err
		},
		"find": func(k *audiencesync.Syncer, _ *audiencesync.Rows) error {
			_, err := k.Find(t.Context(), "vip")
			return err
		},
		"users": func(k *audiencesync.Syncer, _ *audiencesync.Rows) error {
			_, err := k.Memberships(t.Context(), "u1")
			return err
		},
	} {
		for _, late := range []bool{false, true} {
			k, closeStore := closableSyncer(t)
			_, err := k.Sync(t.Context(), vip, users(t, k, 0, 3), audiencesync.Mirror, 1)
			require.NoError(t, err)
			reader := io.MultiReader(strings.NewReader("external_id\nu1\n"), &closing{then: func() {
				if late {
					closeStore()
				}
			}})
			rows, err := audiencesync.NewRows(reader, k.Audiences.Identifiers, nil)
			require.NoError(t, err)
			takesNoFile := name == "resync" || name == "purge" || name == "find" || name == "users"
			if !late || takesNoFile {
				closeStore()
			}
			assert.Error(t, run(k, rows), "%s, late: %t", name, late)
		}
	}
}

// closing is the end of a file, which calls a function first.
type closing struct{ then func() }

func (c *closing) Read([]byte) (int, error) {
	c.then()
	return 0, io.EOF
}

// TestLimitsOfRows checks the greatest number of lines of a quoted field, and how many ignored columns a warning lists.
func TestLimitsOfRows(t *testing.T) {
	field := func(lines int) string {
		return "external_id,note\nu1,\"a" + strings.Repeat("\nb", lines) + "\"\nu2,c\n"
	}
	ids, bad, _, err := readRows(t, field(1000), audiencesync.Options{})
	require.NoError(t, err)
	assert.Equal(t, "u1 u2", strings.Join(ids, " "))
	assert.Empty(t, bad)
	_, bad, _, err = readRows(t, field(1001), audiencesync.Options{})
	require.NoError(t, err)
	assert.Contains(t, bad[0], "line 2: the quote (\") that column 2 begins with is not closed: the field has more than 1000 lines")
	var columns []string
	for i := range 30 {
		columns = append(columns, fmt.Sprintf("c%d", i))
	}
	_, _, warnings, err := readRows(t, "external_id,at,member,"+strings.Join(columns, ",")+"\nu1"+strings.Repeat(",", 32)+"\n", audiencesync.Options{})
	require.NoError(t, err)
	assert.Equal(t, []string{"columns are ignored, only external_id, device_id name users: c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, …"}, warnings, "columns of an export need no warning")
}

// TestValuesThatASpreadsheetDamaged checks which values a warning counts.
func TestValuesThatASpreadsheetDamaged(t *testing.T) {
	for value, damaged := range map[string]bool{
		"1.23457E+15": true, "1,23457E+15": true, "1E+15": true, "1E15": true, "-1.5E+7": true, "#N/A": true, "#NAME?": true, "#REF!": true, "#VALUE!": true, "#DIV/0!": true, "#NULL!": true, "#NUM!": true,
		"1.23457e+15": false, "12345": false, "E15": false, "1.5": false, "A1E15": false, "1E-15": false, "#other": false, "12E+15": false,
	} {
		ids, bad, warnings, err := readRows(t, "external_id|x\n"+value+"|\n", audiencesync.Options{})
		require.NoError(t, err)
		assert.Empty(t, bad)
		assert.Equal(t, []string{value}, ids)
		assert.Equal(t, damaged, len(warnings) == 2, "%s: %v", value, warnings)
	}
}

// TestErrorsOfRowsHaveTheirLine checks that the error of a file without users wraps that of its first row.
func TestErrorsOfRowsHaveTheirLine(t *testing.T) {
	k := syncer(t, func() error { return nil })
	_, err := k.Sync(t.Context(), vip, fileOf(t, k, `""`), audiencesync.Mirror, 1)
	var none *audiencesync.NoUsersError
	require.ErrorAs(t, err, &none)
	var row *audiencesync.RowError
	require.ErrorAs(t, err, &row)
	assert.Equal(t, 2, row.Line)
}

// TestFieldsOfManyLinesAreBounded checks the size of a quoted field with line breaks: each of its lines may be long, but not all together.
func TestFieldsOfManyLinesAreBounded(t *testing.T) {
	line := strings.Repeat("x", textfile.MaxLine/3)
	for lines, fits := range map[int]bool{2: true, 4: false} {
		ids, bad, _, err := readRows(t, "external_id,note\nu1,\""+strings.Repeat(line+"\n", lines)+"\"\nu2,c\n", audiencesync.Options{})
		require.NoError(t, err)
		assert.Contains(t, ids, "u2")
		assert.Equal(t, fits, len(bad) == 0)
		if !fits {
			assert.Contains(t, bad[0], "the field is longer than 1 MB")
		}
	}
}

// TestFilesThatCannotBeRead checks that an error of reading is not taken for the end of the file, wherever it comes.
func TestFilesThatCannotBeRead(t *testing.T) {
	gone := errors.New("the disk is gone")
	for _, begins := range []string{"", "sep=;\n", "external_id\n", "external_id\nu1\n", "{\"external_id\":\"u1\"}\n"} {
		rows, err := audiencesync.NewRows(io.MultiReader(strings.NewReader(begins), iotest.ErrReader(gone)), twoIdentifiers, nil)
		for err == nil {
			err = rows.Next()
		}
		assert.ErrorIs(t, err, gone, begins)
	}
}
