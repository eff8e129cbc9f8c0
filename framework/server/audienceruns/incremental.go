package audienceruns

import (
	"fmt"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/files/sqlsource"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// progress is what successful runs of an incremental sync have read.
type progress struct {
	Until  time.Time `json:"until"`  // the database's clock before the snapshot of the newest run
	Full   time.Time `json:"full"`   // when the newest run of the whole result began
	Source string    `json:"source"` // identifies the database, the query and the columns
}

// reading is what a run reads.
type reading struct {
	changes *sqlsource.Changes // nil if the sync is not incremental
	full    bool               // the whole result
	clock   time.Time          // the database's clock before the snapshot; set when the query has begun
	source  string

	notBefore time.Time // a result of another job whose query began before it is too old
}

// readingOf returns what the next run of a sync reads: the rows that have changed since the newest successful run, or the whole result if that is due, if
// nothing is known of earlier runs, or if the query has changed.
func readingOf(sync *config.AudienceSync, d *document, now time.Time) *reading {
	i := sync.Incremental
	r := &reading{changes: changesOf(sync), full: true, notBefore: time.Now()}
	if i == nil {
		return r
	}
	r.source = sourceOf(sync)
	if d.Read == nil || d.Read.Source != r.source || now.Sub(d.Read.Full) >= i.Full || now.Before(d.Read.Full) {
		return r
	}
	r.full, r.changes.Since = false, d.Read.Until.Add(-i.Overlap).Truncate(time.Second) // columns may have whole seconds
	return r
}

// sourceOf identifies the users that a sync reads: with another source, rows that were read before can be of other users, or not be in the audience yet.
func sourceOf(sync *config.AudienceSync) string {
	options := sqlsource.Options{URL: sync.URL, Query: sync.Query}
	return fmt.Sprintf("%s %q", options.ID(), []string{
		sync.Incremental.Column, sync.Incremental.Removed, sync.Mode, sync.Audience, sync.Key, sync.Only, fmt.Sprintf("%q", sync.Columns),
	})
}

// changesOf returns the column of an incremental sync, to read all rows; nil if it is not incremental.
func changesOf(sync *config.AudienceSync) *sqlsource.Changes {
	if sync.Incremental == nil {
		return nil
	}
	return &sqlsource.Changes{Column: sync.Incremental.Column}
}

// mode returns how the rows change the audience: a part of the result says nothing about users who are not in it.
func (r *reading) mode(sync *config.AudienceSync) audiencesync.Mode {
	if !r.full && sync.Mode == string(audiencesync.Mirror) {
		return audiencesync.Add
	}
	return audiencesync.Mode(sync.Mode)
}

// advance records that a run was successful. If the clock of the database was set back, rows may have been missed, and the next run reads all.
// If no row was readable, the next run reads the same rows again.
func (r *reading) advance(d *document, began time.Time, report *audiencesync.Report) {
	if r.changes == nil || !r.full && d.Read != nil && r.clock.Before(d.Read.Until) {
		d.Read = nil
		return
	}
	if r.hasReadNothing(report) {
		return
	}
	next := progress{Until: r.clock, Full: began, Source: r.source}
	if !r.full && d.Read != nil {
		next.Full = d.Read.Full
	}
	d.Read = &next
}

// hasReadNothing reports whether an incremental run found only rows that cannot be read.
func (r *reading) hasReadNothing(report *audiencesync.Report) bool {
	return !r.full && report.Rows > 0 && report.Unusable == report.Rows
}

// warnings warns of an incremental run without a readable row, and of a whole result that has several rows of a user: an incremental run sees only
// those of them that have changed, so that one of them would take a user out whom another one keeps.
func (r *reading) warnings(sync *config.AudienceSync, report *audiencesync.Report) []string {
	if r.hasReadNothing(report) {
		return []string{fmt.Sprintf("no row that has changed can be read (%s): correct the query or the %s; the next run reads %s again",
			fault.Count(report.Unusable, "row"), fault.Plural(report.Unusable, "row", "rows"), fault.Plural(report.Unusable, "it", "them"))}
	}
	if sync.Incremental == nil || sync.Incremental.Removed == "" || !r.full || report.Duplicates == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s: a run that reads only what has changed does not see the others, and a row with %s takes the user out. Group the query by user",
		fault.Plural(report.Duplicates, "a row repeats a user", "rows repeat users"), sync.Incremental.Removed)}
}
