package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// AudienceSync is a query of users that the server runs on a schedule.
type AudienceSync struct {
	ID          string
	Audience    string // its id; by default that of the sync
	Name        string // of the audience; "" for its name in the ledger
	URL         string // of the database, with secrets
	Query       string
	Schedule    Schedule
	Mode        string   // mirror, add or remove
	Instances   []string // none for all instances with audiences
	MaxRemove   float64  // percentage of the members that may leave in a day
	Key         string   // the only identifier to use; "" for all
	Columns     map[string]string
	Only        string        // the column with the audience of each row; "" if all rows are of the audience
	Properties  Properties    // the other columns that are sent as properties of a change
	Incremental *Incremental  // nil if each run reads the whole result
	Timeout     time.Duration // of the query; 0 for the default
	RunLimit    time.Duration // of a run, including what it sends; 0 for the default
	Enabled     bool
	Pointer     string // its JSON pointer in the file
}

// Properties says which columns of a query are sent as properties of a change.
type Properties struct {
	All   bool
	Names []string // if not All
}

// Incremental says how a sync reads only the rows that have changed.
type Incremental struct {
	Column  string        // says when a row has changed
	Removed string        // is true in rows whose users leave; "" if there is none
	Full    time.Duration // how often a run reads the whole result
	Overlap time.Duration // how long before the newest run a change is read again
}

// Defaults of Incremental.
const (
	defaultFullRun = 24 * time.Hour
	defaultOverlap = 10 * time.Minute
)

// UsesInstance reports whether the sync is about an instance.
func (s *AudienceSync) UsesInstance(id string) bool {
	return len(s.Instances) == 0 || slices.Contains(s.Instances, id)
}

// Schedule says when a sync runs.
type Schedule interface {
	// Next returns the next time to run after the given one.
	Next(after time.Time) time.Time
}

// interval is the schedule of every: multiples of a duration since the year 1, so that all servers agree on them.
type interval time.Duration

// Next implements Schedule.
func (i interval) Next(after time.Time) time.Time {
	return after.UTC().Truncate(time.Duration(i)).Add(time.Duration(i))
}

// defaultMaxRemove is the percentage of the members that may leave in a day by default.
const defaultMaxRemove = 10

func (r *reader) readAudienceSyncs(list event.Value) {
	var ids []string
	for _, in := range r.config.Instances {
		ids = append(ids, in.ID)
	}
	known, audiences := map[string]bool{}, map[[2]string]string{}
	for i, v := range list.Items() {
		place := fmt.Sprintf("/audienceSyncs/%d", i)
		s := r.readAudienceSync(v, place)
		r.checkPathName(s.ID, place+"/id")
		if known[s.ID] {
			r.problems.Add(place+"/id", "is already used: another sync has the id %q", s.ID)
		}
		known[s.ID] = true
		for n, id := range s.Instances {
			if !slices.Contains(ids, id) {
				r.problems.Add(fmt.Sprintf("%s/instances/%d", place, n), "there is no instance %q%s", id, fault.DidYouMean(id, ids))
			}
		}
		for _, id := range ids {
			if !s.UsesInstance(id) {
				continue
			}
			if other, ok := audiences[[2]string{s.Audience, id}]; ok {
				r.problems.Add(place, "works on the same audience of %s as the sync %q: use one query for both", id, other)
				break
			}
			audiences[[2]string{s.Audience, id}] = s.ID
		}
		r.config.AudienceSyncs = append(r.config.AudienceSyncs, s)
	}
}

func (r *reader) readAudienceSync(v event.Value, place string) AudienceSync {
	s := AudienceSync{
		ID: v.Get("id").Str(), Name: v.Get("name").Str(), Mode: cmp.Or(v.Get("mode").Str(), "mirror"), Key: v.Get("key").Str(), MaxRemove: defaultMaxRemove,
		Enabled: isEnabled(v.Get("enabled")), Pointer: place, URL: r.resolveFilled(v.Get("from"), place+"/from", "set the URL of a database"),
	}
	s.Audience = cmp.Or(v.Get("audience").Str(), s.ID)
	if most := v.Get("maxRemove"); most.Kind() == event.Number {
		s.MaxRemove = most.Float()
	}
	for _, id := range v.Get("instances").Items() {
		s.Instances = append(s.Instances, id.Str())
	}
	for name, column := range v.Get("columns").Members() {
		if s.Columns == nil {
			s.Columns = map[string]string{}
		}
		s.Columns[name] = column.Str()
	}
	s.Timeout = r.readDurationAt(v.Get("timeout"), place+"/timeout", time.Second, 24*time.Hour)
	s.Only = v.Get("audienceColumn").Str()
	s.Properties.All = v.Get("properties").Kind() == event.True
	for _, name := range v.Get("properties").Items() {
		s.Properties.Names = append(s.Properties.Names, name.Str())
	}
	s.Incremental = r.readIncremental(v.Get("incremental"), place+"/incremental")
	s.RunLimit = r.readDurationAt(v.Get("runLimit"), place+"/runLimit", time.Second, 7*24*time.Hour)
	if s.Mode == "remove" && s.Incremental != nil && s.Incremental.Removed != "" {
		r.problems.Add(place+"/incremental/removed", "cannot be combined with the mode remove: all users of the result leave")
	}
	s.Query, s.Schedule = r.readQuery(v, place), r.readSchedule(v, place)
	return s
}

// readIncremental reads how a sync reads only the rows that have changed; nil if it does not.
func (r *reader) readIncremental(v event.Value, place string) *Incremental {
	if !v.Exists() {
		return nil
	}
	i := &Incremental{Column: v.Get("column").Str(), Removed: v.Get("removed").Str(), Overlap: defaultOverlap}
	i.Full = cmp.Or(r.readDurationAt(v.Get("full"), place+"/full", time.Minute, 31*24*time.Hour), defaultFullRun)
	if v.Get("overlap").Exists() {
		i.Overlap = r.readDurationAt(v.Get("overlap"), place+"/overlap", 0, 31*24*time.Hour)
	}
	if i.Column != "" && i.Column == i.Removed {
		r.problems.Add(place+"/removed", "cannot be the column that says when a row has changed")
	}
	return i
}

// readQuery returns the query of a sync, which may be in a file.
func (r *reader) readQuery(v event.Value, place string) string {
	query, file := v.Get("query").Str(), v.Get("queryFile").Str()
	switch {
	case query != "" && file != "":
		r.problems.Add(place+"/queryFile", "cannot be combined with query")
	case query == "" && file == "":
		r.problems.Add(place, "should have a query or a queryFile")
	case file != "" && r.env.Base.Kind() != event.Absent && !r.isKnownFile(file):
		r.problems.Add(place+"/queryFile", "names a file of the server, which can be added or changed only in the config file itself: use query here")
	case file != "":
		return r.readQueryFile(file, place+"/queryFile")
	}
	return query
}

// isKnownFile reports whether the config file in effect has a sync with this queryFile.
func (r *reader) isKnownFile(file string) bool {
	for _, v := range r.env.Base.Get("audienceSyncs").Items() {
		if v.Get("queryFile").Str() == file {
			return true
		}
	}
	return false
}

func (r *reader) readQueryFile(file, place string) string {
	content, ok := r.readFile(file, place)
	if !ok {
		return ""
	}
	text, _ := r.decodeText(content, place)
	return text
}

// zonePrefix is the prefix of a cron schedule with a time zone.
const zonePrefix = "CRON_TZ="

// readCron returns the schedule of five fields of cron, which may follow CRON_TZ=ZONE.
func (r *reader) readCron(spec, place string) Schedule {
	zone, fields := "UTC", spec
	if rest, ok := strings.CutPrefix(spec, zonePrefix); ok {
		zone, fields, _ = strings.Cut(rest, " ")
	}
	if _, err := time.LoadLocation(zone); err != nil || zone == "" {
		r.problems.Add(place, "has an unknown time zone: write it as CRON_TZ=Europe/Berlin")
		return nil
	}
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	if !strings.Contains(fields, "=") { // the parser panics on a zone without fields
		if schedule, err := parser.Parse(zonePrefix + zone + " " + fields); err == nil && !schedule.Next(time.Now()).IsZero() {
			return schedule
		}
	}
	r.problems.Add(place, "is not a schedule: it should have five fields, minute, hour, day of the month, month and day of the week, such as 30 6 * * 1-5")
	return nil
}

// readSchedule returns when a sync runs.
func (r *reader) readSchedule(v event.Value, place string) Schedule {
	every, spec := v.Get("every"), v.Get("cron").Str()
	switch {
	case every.Str() != "" && spec != "":
		r.problems.Add(place+"/cron", "cannot be combined with every")
	case every.Str() != "":
		return interval(r.readDurationAt(every, place+"/every", time.Minute, 31*24*time.Hour))
	case spec != "":
		return r.readCron(spec, place+"/cron")
	default:
		r.problems.Add(place, "should say when it runs: every, such as 1h, or cron, such as 30 6 * * 1-5")
	}
	return nil
}
