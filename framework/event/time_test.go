package event_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
)

var update = flag.Bool("update", false, "write TIMES.md from the table of this test")

// timeForm is a text or a number and the time it means; a reason begins with "refused:".
type timeForm struct{ from, json, means string }

// timeForms are the supported formats of times. TIMES.md is generated from them.
var timeForms = []struct {
	title, about string
	forms        []timeForm
}{
	{"RFC 3339 and ISO 8601", "T and Z may be lower case, T may be a space, and the decimal point may be a comma. The seconds may be omitted; after T, the minutes and the colons may be omitted too.", []timeForm{
		{"RFC 3339", `"2026-01-02T03:04:05Z"`, "2026-01-02T03:04:05Z"},
		{"with a fraction", `"2026-01-02T03:04:05.123456789Z"`, "2026-01-02T03:04:05.123456789Z"},
		{"digits beyond nanoseconds are dropped", `"2026-01-02T03:04:05.1234567899999Z"`, "2026-01-02T03:04:05.123456789Z"},
		{"with an offset", `"2026-01-02T03:04:05+01:00"`, "2026-01-02T02:04:05Z"},
		{"lower case", `"2026-01-02t03:04:05z"`, "2026-01-02T03:04:05Z"},
		{"offset without colon", `"2026-01-02T03:04:05+0530"`, "2026-01-01T21:34:05Z"},
		{"offset of hours", `"2026-01-02T03:04:05-01"`, "2026-01-02T04:04:05Z"},
		{"Unicode minus sign", `"2026-01-02T03:04:05\u221201:00"`, "2026-01-02T04:04:05Z"},
		{"no zone", `"2026-01-02T03:04:05"`, "2026-01-02T03:04:05Z"},
		{"decimal comma", `"2026-01-02T03:04:05,5Z"`, "2026-01-02T03:04:05.5Z"},
		{"no seconds", `"2026-01-02T03:04Z"`, "2026-01-02T03:04:00Z"},
		{"hour only", `"2026-01-02T03Z"`, "2026-01-02T03:00:00Z"},
		{"basic form", `"20260102T030405Z"`, "2026-01-02T03:04:05Z"},
		{"basic form with milliseconds", `"20260102T030405.123+0100"`, "2026-01-02T02:04:05.123Z"},
		{"date and time without a separator", `"20260102030405"`, "2026-01-02T03:04:05Z"},
		{"date", `"2026-01-02"`, "2026-01-02T00:00:00Z"},
		{"date, short", `"2026-1-2"`, "2026-01-02T00:00:00Z"},
		{"date with a zone (XML Schema)", `"2026-01-02+01:00"`, "2026-01-01T23:00:00Z"},
		{"date of 8 digits", `"19900415"`, "1990-04-15T00:00:00Z"},
		{"month", `"2026-01"`, "2026-01-01T00:00:00Z"},
		{"year", `"1990"`, "1990-01-01T00:00:00Z"},
		{"day of the year", `"2026-032"`, "2026-02-01T00:00:00Z"},
		{"week and weekday", `"2026-W01-5"`, "2026-01-02T00:00:00Z"},
		{"week", `"2026-W02"`, "2026-01-05T00:00:00Z"},
		{"midnight at the end of a day", `"2026-01-02T24:00:00Z"`, "2026-01-03T00:00:00Z"},
		{"leap second", `"2016-12-31T23:59:60Z"`, "2017-01-01T00:00:00Z"},
		{"leap second in another zone", `"2016-12-31T15:59:60.5-08:00"`, "2017-01-01T00:00:00Z"},
		{"the first year", `"0000-01-01T00:00:00Z"`, "0000-01-01T00:00:00Z"},
		{"the last year", `"9999-12-31T23:59:59Z"`, "9999-12-31T23:59:59Z"},
		{"zone in brackets after an offset (Java, RFC 9557)", `"2026-01-02T03:04:05+01:00[Europe/Paris]"`, "2026-01-02T02:04:05Z"},
	}},
	{"Databases and languages", "", []timeForm{
		{"SQL", `"2026-01-02 03:04:05"`, "2026-01-02T03:04:05Z"},
		{"PostgreSQL", `"2026-01-02 03:04:05+00"`, "2026-01-02T03:04:05Z"},
		{"PostgreSQL with microseconds", `"2026-01-02 03:04:05.123456-03:30"`, "2026-01-02T06:34:05.123456Z"},
		{"PostgreSQL before standard time", `"1890-01-02 03:04:05+00:19:32"`, "1890-01-02T02:44:33Z"},
		{"offset of hours behind a space", `"2025-01-02 03:04:05 -01"`, "2025-01-02T04:04:05Z"},
		{"Ruby", `"2026-01-02 03:04:05 +0100"`, "2026-01-02T02:04:05Z"},
		{"Ruby and SQL, in UTC", `"2026-01-02 03:04:05 UTC"`, "2026-01-02T03:04:05Z"},
		{"Go", `"2026-01-02 03:04:05.123456789 +0100 CET"`, "2026-01-02T02:04:05.123456789Z"},
		{"Go with its monotonic clock", `"2026-01-02 03:04:05.1 +0300 +03 m=+0.000012345"`, "2026-01-02T00:04:05.1Z"},
		{"JavaScript's toString", `"Fri Jan 02 2026 03:04:05 GMT+0100 (Central European Standard Time)"`, "2026-01-02T02:04:05Z"},
		{"JavaScript's toUTCString", `"Fri, 02 Jan 2026 03:04:05 GMT"`, "2026-01-02T03:04:05Z"},
		{"JavaScript's toDateString", `"Fri Jan 02 2026"`, "2026-01-02T00:00:00Z"},
		{"JavaScript's toLocaleString", `"1/2/2026, 3:04:05 PM"`, "2026-01-02T15:04:05Z"},
		{"ICU", `"Jan 2, 2026, 3:04:05 AM"`, "2026-01-02T03:04:05Z"},
		{"ICU with its narrow space", `"Jan 2, 2026, 3:04:05\u202fPM"`, "2026-01-02T15:04:05Z"},
		{"ICU, long", `"Friday, January 2, 2026 at 3:04:05 PM GMT+1"`, "2026-01-02T14:04:05Z"},
		{"ANSI C", `"Fri Jan  2 03:04:05 2026"`, "2026-01-02T03:04:05Z"},
		{"Unix date", `"Fri Jan  2 03:04:05 UTC 2026"`, "2026-01-02T03:04:05Z"},
		{"GNU date", `"Fri Jan  2 03:04:05 PM EST 2026"`, "2026-01-02T20:04:05Z"},
		{"Twitter", `"Fri Jan 02 03:04:05 +0100 2026"`, "2026-01-02T02:04:05Z"},
		{"the log of a web server", `"02/Jan/2026:03:04:05 +0100"`, "2026-01-02T02:04:05Z"},
	}},
	{"Email and HTTP", "Zones are those of RFC 2822: UT, UTC, GMT, Z, EST, EDT, CST, CDT, MST, MDT, PST, PDT, and, in dates with the day before the name of the month, single letters, which mean UTC. Offsets are ±hh, ±hhmm, ±hh:mm or ±hh:mm:ss. Other names are refused: write an offset.", []timeForm{
		{"RFC 2822", `"Fri, 02 Jan 2026 03:04:05 +0100"`, "2026-01-02T02:04:05Z"},
		{"with a comment", `"Fri, 2 Jan 2026 03:04:05 -0800 (PST)"`, "2026-01-02T11:04:05Z"},
		{"without weekday and seconds", `"2 Jan 2026 03:04 -0000"`, "2026-01-02T03:04:00Z"},
		{"Eastern standard", `"Fri, 02 Jan 2026 03:04:05 EST"`, "2026-01-02T08:04:05Z"},
		{"Eastern daylight", `"Fri, 02 Jan 2026 03:04:05 EDT"`, "2026-01-02T07:04:05Z"},
		{"Central standard", `"Fri, 02 Jan 2026 03:04:05 CST"`, "2026-01-02T09:04:05Z"},
		{"Central daylight", `"Fri, 02 Jan 2026 03:04:05 CDT"`, "2026-01-02T08:04:05Z"},
		{"Mountain standard", `"Fri, 02 Jan 2026 03:04:05 MST"`, "2026-01-02T10:04:05Z"},
		{"Mountain daylight", `"Fri, 02 Jan 2026 03:04:05 MDT"`, "2026-01-02T09:04:05Z"},
		{"Pacific standard", `"Fri, 02 Jan 2026 03:04:05 PST"`, "2026-01-02T11:04:05Z"},
		{"Pacific daylight", `"Fri, 02 Jan 2026 03:04:05 PDT"`, "2026-01-02T10:04:05Z"},
		{"universal", `"Fri, 02 Jan 2026 03:04:05 UT"`, "2026-01-02T03:04:05Z"},
		{"a military letter", `"Fri, 02 Jan 2026 03:04:05 A"`, "2026-01-02T03:04:05Z"},
		{"year of two digits", `"02 Jan 26 03:04 EST"`, "2026-01-02T08:04:00Z"},
		{"the last century", `"02 Jan 50 03:04 GMT"`, "1950-01-02T03:04:00Z"},
		{"year of three digits", `"02 Jan 126 03:04 GMT"`, "2026-01-02T03:04:00Z"},
		{"RFC 850", `"Friday, 02-Jan-26 03:04:05 GMT"`, "2026-01-02T03:04:05Z"},
		{"cookies", `"Fri, 02-Jan-2026 03:04:05 GMT"`, "2026-01-02T03:04:05Z"},
	}},
	{"Written by hand", "Names of months and weekdays are English, in full or abbreviated to three letters or more. In a numeric date that does not begin with the year, the month comes first.", []timeForm{
		{"month in full", `"January 2, 2026"`, "2026-01-02T00:00:00Z"},
		{"shortened", `"Jan. 2 2026"`, "2026-01-02T00:00:00Z"},
		{"day first", `"2 January 2026"`, "2026-01-02T00:00:00Z"},
		{"with hyphens", `"02-Jan-2026"`, "2026-01-02T00:00:00Z"},
		{"year first", `"2026-Jan-02"`, "2026-01-02T00:00:00Z"},
		{"ordinal", `"January 2nd, 2026 3:04 pm"`, "2026-01-02T15:04:00Z"},
		{"hour only", `"Jan 2, 2026 3 p.m."`, "2026-01-02T15:00:00Z"},
		{"slashes, year first", `"2026/01/02 03:04:05"`, "2026-01-02T03:04:05Z"},
		{"slashes", `"1/2/2026"`, "2026-01-02T00:00:00Z"},
		{"hyphens, month first", `"01-02-2026"`, "2026-01-02T00:00:00Z"},
		{"midnight", `"1/2/2026 12:04 AM"`, "2026-01-02T00:04:00Z"},
		{"noon", `"1/2/2026 12:04 PM"`, "2026-01-02T12:04:00Z"},
		{"space around", `" 2026-01-02 03:04\n"`, "2026-01-02T03:04:00Z"},
	}},
	{"Counts since 1970", "A number, or a numeric text, counts seconds, milliseconds, microseconds or nanoseconds since 1970-01-01T00:00:00Z. The first of these units that gives a time between 1900 and 2100 is used. A text of 4, 8 or 14 digits is a date as above. A text with a fraction, a plus sign or spaces around it needs at least nine digits before the point: a shorter one is a number, not a time.", []timeForm{
		{"seconds", `1767323045`, "2026-01-02T03:04:05Z"},
		{"seconds as text", `"1767323045"`, "2026-01-02T03:04:05Z"},
		{"with a fraction", `1767323045.123`, "2026-01-02T03:04:05.123Z"},
		{"with a fraction, as text", `"1767323045.123456789"`, "2026-01-02T03:04:05.123456789Z"},
		{"milliseconds", `1767323045123`, "2026-01-02T03:04:05.123Z"},
		{"milliseconds before 2001", `631152000000`, "1990-01-01T00:00:00Z"},
		{"milliseconds as text", `"631152000000"`, "1990-01-01T00:00:00Z"},
		{"milliseconds with a fraction", `1767323045123.456`, "2026-01-02T03:04:05.123456Z"},
		{"microseconds", `1767323045123456`, "2026-01-02T03:04:05.123456Z"},
		{"nanoseconds", `1767323045123456789`, "2026-01-02T03:04:05.123456789Z"},
		{"nanoseconds as text", `"1767323045123456789"`, "2026-01-02T03:04:05.123456789Z"},
		{"before 1970", `-631152000`, "1950-01-01T00:00:00Z"},
		{"before 1970, milliseconds", `-631152000000`, "1950-01-01T00:00:00Z"},
		{"before 1970, with a fraction", `-0.5`, "1969-12-31T23:59:59.5Z"},
		{"with an exponent", `1.767323045e9`, "2026-01-02T03:04:05Z"},
		{"the first second", `0`, "1970-01-01T00:00:00Z"},
		{"few digits", `"12"`, "1970-01-01T00:00:12Z"},
		{"a number of four digits", `1990`, "1970-01-01T00:33:10Z"},
		{"the earliest seconds", `-2208988800`, "1900-01-01T00:00:00Z"},
		{"the latest seconds", `4133980799`, "2100-12-31T23:59:59Z"},
	}},
	{"Refused", "A time that cannot be read is refused with the reason. It is never replaced by the current time or dropped.", []timeForm{
		{"unknown zone", `"Fri, 02 Jan 2026 03:04:05 CET"`, `refused: the zone "CET" is not known`},
		{"unknown zone of SQL", `"2026-01-02 03:04:05 Europe/Paris"`, `refused: the zone "Europe/Paris" is not known`},
		{"a letter that is no zone", `"Fri, 02 Jan 2026 03:04:05 J"`, `refused: the zone "J" is not known`},
		{"a letter behind another date", `"2026-01-02T03:04:05A"`, `refused: the zone "A" is not known`},
		{"zone in brackets without an offset", `"2026-01-02T03:04:05[Europe/Paris]"`, "refused: the zone"},
		{"offset out of range", `"2026-01-02T03:04:05+24:00"`, "refused: its offset is out of range"},
		{"no such day", `"2026-02-29"`, "refused: there is no such day"},
		{"no such day of 8 digits", `"19901345"`, "refused: there is no such day"},
		{"no such week", `"2026-W54-1"`, "refused: there is no such week"},
		{"MySQL's zero", `"0000-00-00 00:00:00"`, "refused: there is no such day"},
		{"day before month in digits", `"13/01/2026"`, "refused: there is no such day"},
		{"year of two digits in digits", `"1/2/26"`, "refused: its year should have four digits"},
		{"hour out of range", `"2026-01-02T25:00:00Z"`, "refused: its hour is out of range"},
		{"hour beyond midnight", `"2026-01-02T24:00:01Z"`, "refused: its hour is out of range"},
		{"minute out of range", `"2026-01-02T03:60:00Z"`, "refused: its minute or second is out of range"},
		{"second of 60 at another time", `"2026-01-02T03:04:60Z"`, "refused: a second of 60"},
		{"hour of 13 with PM", `"1/2/2026 13:04 PM"`, "refused: an hour with AM or PM"},
		{"beyond the years", `"9999-12-31T23:59:59-01:00"`, "refused: its year is not between 0000 and 9999"},
		{"before the years", `"0000-01-01T00:00:00+01:00"`, "refused: its year is not between 0000 and 9999"},
		{"something before it", `"junk 2001"`, "refused:"},
		{"something behind it", `"2026-01-02 junk"`, "refused:"},
		{"a short number with a fraction", `"1.5"`, "refused: it is a number, and too short"},
		{"a short number with space around", `" 12 "`, "refused: it is a number, and too short"},
		{"an exponent in text", `"1e3"`, "refused:"},
		{"a number too large", `99999999999999999999`, "refused: no unit"},
		{"two signs", `"--1767323045"`, "refused:"},
		{"the day missing", `"12/"`, "refused:"},
		{"the year missing", `"12-31"`, "refused:"},
		{"a time without a date", `"03:04:05"`, "refused:"},
		{"a word", `"now"`, "refused:"},
		{"empty", `""`, "refused: it is empty"},
		{"a boolean", `true`, "refused: it should be a string or a number but is a boolean"},
		{"nothing", `null`, "refused: it should be a string or a number but is null"},
	}},
}

// inZones runs a test in several zones of the machine.
func inZones(t *testing.T, f func(t *testing.T)) {
	before := time.Local
	t.Cleanup(func() { time.Local = before })
	for _, zone := range []*time.Location{
		time.UTC, time.FixedZone("CET", 3600), time.FixedZone("EST", -5*3600), time.FixedZone("CST", 8*3600), time.FixedZone("A", -3600), time.FixedZone("", 20700),
	} {
		time.Local = zone
		t.Run("TZ="+zone.String(), f)
	}
}

func TestReadTimeForms(t *testing.T) {
	inZones(t, func(t *testing.T) {
		for _, group := range timeForms {
			for _, form := range group.forms {
				v, err := event.ParseString(form.json)
				require.NoError(t, err, form.json)
				checkForm(t, form, v)
			}
		}
	})
}

func checkForm(t *testing.T, form timeForm, v event.Value) {
	t.Helper()
	at, err := event.ReadTime(v)
	if v.IsString() {
		parsed, ok := event.ParseTime(v.Str())
		assert.Equal(t, err == nil, ok, form.json)
		assert.Equal(t, at, parsed, form.json)
	}
	if reason, refused := strings.CutPrefix(form.means, "refused:"); refused {
		var mistake *event.TimeError
		require.ErrorAs(t, err, &mistake, form.json)
		assert.Contains(t, err.Error(), strings.TrimSpace(reason), form.json)
		return
	}
	if assert.NoError(t, err, form.json) {
		assert.Equal(t, form.means, at.Format(time.RFC3339Nano), form.json)
	}
}

// TestReadTimePrintedByGo checks that a time printed with the name of a zone is read back as the same instant.
func TestReadTimePrintedByGo(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("XYZ", -12600))
	for _, layout := range []string{time.RFC3339, time.RFC1123Z, time.RFC822Z, time.RubyDate, "Mon Jan 2 2006 15:04:05 GMT-0700", "2006-01-02 15:04:05Z07:00"} {
		got, ok := event.ParseTime(at.Format(layout))
		assert.True(t, ok && got.Equal(at.Truncate(time.Minute).Add(time.Duration(got.Second())*time.Second)), at.Format(layout))
	}
	now := time.Now()
	got, ok := event.ParseTime(now.String())
	assert.True(t, ok && got.Equal(now), now.String())
}

func TestReadTimeErrorsQuoteShortText(t *testing.T) {
	_, err := event.ReadTime(event.NewString(strings.Repeat("é", 5000)))
	require.Error(t, err)
	assert.Less(t, len(err.Error()), 200)
}

// TestTimesPage checks that TIMES.md matches the table; -update writes it.
func TestTimesPage(t *testing.T) {
	page := timesPage()
	if *update {
		require.NoError(t, os.WriteFile("TIMES.md", []byte(page), 0o644))
	}
	got, err := os.ReadFile("TIMES.md")
	require.NoError(t, err)
	assert.Equal(t, page, string(got), "run go test ./framework/event -run TestTimesPage -update")
}

func timesPage() string {
	var b strings.Builder
	b.WriteString("# How times are read\n\n" +
		"One parser reads all times: in events from HTTP and files, in mapped fields, in Liquid's `date`, and in destinations. " +
		"A text means the same time everywhere, regardless of the machine's time zone. A time without a zone is in UTC.\n\n" +
		"This page is generated from the table that tests the parser (`go test ./framework/event -run TestTimesPage -update`).\n")
	for _, group := range timeForms {
		fmt.Fprintf(&b, "\n## %s\n\n", group.title)
		if group.about != "" {
			b.WriteString(group.about + "\n\n")
		}
		b.WriteString("| form | in JSON | means |\n|---|---|---|\n")
		for _, form := range group.forms {
			means := strings.TrimSpace(strings.TrimPrefix(form.means, "refused:"))
			if means == "" {
				means = "refused"
			}
			fmt.Fprintf(&b, "| %s | `%s` | %s |\n", form.from, form.json, means)
		}
	}
	return b.String()
}

// FuzzParseTime checks that every parsed time is in UTC, has a year of four digits, does not depend on the machine's zone, and is the
// same after printing and parsing it again.
func FuzzParseTime(f *testing.F) {
	for _, group := range timeForms {
		for _, form := range group.forms {
			v, err := event.ParseString(form.json)
			require.NoError(f, err)
			f.Add(v.Text())
		}
	}
	elsewhere := time.FixedZone("EST", 7*3600)
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := event.ParseTime(s)
		before := time.Local
		time.Local = elsewhere
		again, okThere := event.ParseTime(s)
		time.Local = before
		if ok != okThere || !got.Equal(again) {
			t.Fatalf("%q depends on the machine's zone: %v, %v", s, got, again)
		}
		if !ok {
			return
		}
		if got.Location() != time.UTC || got.Year() < 0 || got.Year() > 9999 {
			t.Fatalf("%q: %v", s, got)
		}
		if back, ok := event.ParseTime(got.Format(time.RFC3339Nano)); !ok || !back.Equal(got) {
			t.Fatalf("%q: %v is read back as %v", s, got, back)
		}
	})
}
