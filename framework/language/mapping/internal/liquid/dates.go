package liquid

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
)

// dateFilters returns the filters that print dates, in UTC by default. A value that is not a date is returned unchanged.
func dateFilters() []filterEntry {
	return []filterEntry{
		{"date", "[format, [zone]]", "a date in an strftime format and a time zone, such as `Asia/Tokyo`; UTC by default", `"2026-01-02" | date: "%d.%m.%Y"`, dateFilter},
		{"date_to_long_string", "[ordinal, [US]]", "a date with the whole name of the month", `"2026-01-02" | date_to_long_string`, dateToStringFilter("%B")},
		{"date_to_rfc822", "", "a date as e-mail writes it", `"2026-01-02" | date_to_rfc822`, fixedDateFilter("%a, %d %b %Y %H:%M:%S %z")},
		{"date_to_string", "[ordinal, [US]]", "a date with the short name of the month", `"2026-01-02" | date_to_string: "ordinal"`, dateToStringFilter("%b")},
		{"date_to_xmlschema", "", "a date as ISO 8601 writes it", `"2026-01-02" | date_to_xmlschema`, fixedDateFilter("%Y-%m-%dT%H:%M:%S%:z")},
	}
}

// dateFilter prints a date in an strftime format.
func dateFilter(v event.Value, a args) (event.Value, error) {
	t, ok := parseDate(v)
	if !ok {
		return v, nil
	}
	if a.hasArg(1) {
		zone, err := parseZone(a.at(1))
		if err != nil {
			return event.Value{}, err
		}
		t = t.In(zone)
	}
	format := "%A, %B %-e, %Y at %-l:%M %P %z"
	if a.at(0).Exists() {
		format = printText(a.at(0))
	}
	s, err := formatStrftime(t, format)
	return event.NewString(s), err
}

func fixedDateFilter(format string) filter {
	return func(v event.Value, _ args) (event.Value, error) {
		return dateFilter(v, args{list: []event.Value{event.NewString(format)}})
	}
}

// dateToStringFilter returns a filter that prints 02 Jan 2026. The argument "ordinal" gives 2nd Jan 2026, and a second argument
// "US" gives Jan 2nd, 2026.
func dateToStringFilter(month string) filter {
	return func(v event.Value, a args) (event.Value, error) {
		format := "%d " + month + " %Y"
		if a.textArg(0, "") == "ordinal" {
			format = "%-d%q " + month + " %Y"
			if a.textArg(1, "") == "US" {
				format = month + " %-d%q, %Y"
			}
		}
		return fixedDateFilter(format)(v, args{})
	}
}

// parseDate parses a date like event.ReadTime, and the words now and today.
func parseDate(v event.Value) (time.Time, bool) {
	if s := v.Str(); s == "now" || s == "today" {
		return time.Now().UTC(), true
	}
	t, err := event.ReadTime(v)
	return t, err == nil
}

// parseZone returns a time zone by its name, such as Asia/Tokyo, or by the number of minutes it is behind UTC.
func parseZone(v event.Value) (*time.Location, error) {
	if v.Kind() == event.Number {
		minutesBehind := int(min(max(v.Float(), -24*60), 24*60))
		sign, minutesAhead := '+', -minutesBehind
		if minutesAhead < 0 {
			sign, minutesAhead = '-', minutesBehind
		}
		return time.FixedZone(fmt.Sprintf("%c%02d%02d", sign, minutesAhead/60, minutesAhead%60), -minutesBehind*60), nil
	}
	name := printText(v)
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		return nil, errors.New(`does not know the time zone: it should be a name such as "Europe/Berlin"`)
	}
	return zone, nil
}

// conversion matches a conversion of a format: flags, a width and a letter.
var conversion = regexp.MustCompile(`(?s)%([-_0^#:]+)?(\d+)?[EO]?(.)`)

// formatStrftime prints a time in a format. Unknown conversions are kept.
func formatStrftime(t time.Time, format string) (string, error) {
	var b strings.Builder
	from := 0
	for _, at := range conversion.FindAllStringSubmatchIndex(format, -1) {
		b.WriteString(format[from:at[0]])
		from = at[1]
		part := func(i int) string {
			if at[i] < 0 {
				return ""
			}
			return format[at[i]:at[i+1]]
		}
		printed, ok, err := printDate(t, part(2), part(4), part(6))
		if err != nil || b.Len()+len(printed) > MaxText {
			return "", errTooLong
		}
		if !ok {
			printed = format[at[0]:at[1]]
		}
		b.WriteString(printed)
	}
	b.WriteString(format[from:])
	return b.String(), nil
}

// printDate prints one conversion. ok is false if the letter is unknown.
func printDate(t time.Time, flags, width, letter string) (printed string, ok bool, err error) {
	minWidth := 0
	if width != "" {
		if minWidth, err = strconv.Atoi(width); err != nil || minWidth > MaxText {
			return "", false, errTooLong
		}
	}
	if letter == "N" {
		if minWidth == 0 {
			minWidth = 9
		}
		printed = fmt.Sprintf("%03d", t.UnixMilli()%1000)[:min(minWidth, 3)]
		return printed + strings.Repeat("0", minWidth-len(printed)), true, nil
	}
	if printed, ok = dateLetter(t, letter, strings.Contains(flags, ":")); !ok {
		return "", false, nil
	}
	switch {
	case strings.Contains(flags, "^"):
		printed = strings.ToUpper(printed)
	case strings.Contains(flags, "#"):
		printed = swapCase(printed)
	}
	if minWidth == 0 {
		minWidth = dateWidths[letter]
	}
	pad := "0"
	if strings.Contains(flags, "_") || strings.Contains("aAbBceklpP", letter) && !strings.Contains(flags, "0") {
		pad = " "
	}
	if strings.Contains(flags, "-") {
		minWidth = 0
	}
	return strings.Repeat(pad, max(minWidth-len([]rune(printed)), 0)) + printed, true, nil
}

// swapCase converts a text to upper case, or to lower case if it is already in upper case.
func swapCase(s string) string {
	if upper := strings.ToUpper(s); upper != s {
		return upper
	}
	return strings.ToLower(s)
}

var dateWidths = map[string]int{
	"C": 2, "d": 2, "e": 2, "H": 2, "I": 2, "j": 3, "k": 2, "l": 2, "L": 3, "m": 2, "M": 2, "S": 2, "U": 2, "W": 2, "y": 2, "Y": 4,
}

// dateLetter returns what a letter stands for, without padding.
func dateLetter(t time.Time, letter string, colon bool) (string, bool) {
	if layout, ok := dateLayouts[letter]; ok {
		return t.Format(layout), true
	}
	switch letter {
	case "z":
		if colon {
			return t.Format("-07:00"), true
		}
		return t.Format("-0700"), true
	case "Z":
		return t.Location().String(), true
	case "q":
		return ordinalSuffix(t.Day()), true
	case "n", "t", "%":
		return map[string]string{"n": "\n", "t": "\t", "%": "%"}[letter], true
	}
	n, ok := dateNumber(t, letter)
	return strconv.FormatInt(n, 10), ok
}

var dateLayouts = map[string]string{
	"a": "Mon", "A": "Monday", "b": "Jan", "B": "January", "h": "Jan", "p": "PM", "P": "pm", "I": "3", "l": "3",
	"c": "1/2/2006, 3:04:05 PM", "x": "1/2/2006", "X": "3:04:05 PM",
}

func dateNumber(t time.Time, letter string) (int64, bool) {
	n := 0
	switch letter {
	case "C":
		n = t.Year() / 100
	case "d", "e":
		n = t.Day()
	case "H", "k":
		n = t.Hour()
	case "j":
		n = t.YearDay()
	case "L":
		n = t.Nanosecond() / int(time.Millisecond)
	case "m":
		n = int(t.Month())
	case "M":
		n = t.Minute()
	case "s":
		return t.Unix(), true
	case "S":
		n = t.Second()
	case "u":
		n = (int(t.Weekday())+6)%7 + 1
	case "U":
		n = (t.YearDay() + 6 - int(t.Weekday())) / 7
	case "w":
		n = int(t.Weekday())
	case "W":
		n = (t.YearDay() + 6 - (int(t.Weekday())+6)%7) / 7
	case "y":
		n = t.Year() % 100
	case "Y":
		n = t.Year()
	default:
		return 0, false
	}
	return int64(n), true
}

func ordinalSuffix(day int) string {
	switch {
	case day%10 == 1 && day != 11:
		return "st"
	case day%10 == 2 && day != 12:
		return "nd"
	case day%10 == 3 && day != 13:
		return "rd"
	}
	return "th"
}
