package sqlsource

import (
	"strconv"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
)

// column returns a column of this type.
func (t snowflakeType) column(name string) audiencesync.Column {
	c := audiencesync.Column{Name: name, Type: t.name}
	switch t.name {
	case "text":
	case "fixed":
		if t.scale > 0 {
			c.Unfit = "its values have decimals; select an integer or TO_VARCHAR(…)"
		}
	case "real":
		c.Unfit = "its values are not exact; select a NUMBER or VARCHAR column"
	case "binary":
		c.Unfit, c.Bytes = "its values are bytes; select them as text, such as with HEX_ENCODE(…)", true
	case "date", "time", "timestamp_ntz", "timestamp_ltz", "timestamp_tz":
		c.Unfit = "it is a time; select TO_VARCHAR(…) if it does identify users"
	default:
		c.Unfit = "select TO_VARCHAR(…), or a part of it"
	}
	return c
}

// unreadable is the problem of a value that is not as the API is documented.
const unreadable = "cannot be read as its type: select it with TO_VARCHAR(…)"

// value returns a value of this type, which the API writes as text: days or seconds since 1970 for times, and those of a zone with an offset.
func (t snowflakeType) value(text string) (event.Value, string) {
	switch t.name {
	case "fixed":
		if t.scale > 0 && !strings.Contains(text, ".") { // whether its decimals were left out is not known
			return event.Value{}, unreadable
		}
		return numberValue(text)
	case "real", "decfloat":
		return numberValue(text)
	case "boolean":
		return event.NewBool(text == "true" || text == "1"), ""
	case "variant", "object", "array":
		return textValue("json", text)
	case "date":
		days, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return event.Value{}, unreadable
		}
		return event.NewString(time.Unix(0, 0).UTC().AddDate(0, 0, int(days)).Format(time.DateOnly)), ""
	case "time":
		return timeValue(text, "15:04:05.999999999")
	case "timestamp_ntz":
		return timeValue(text, "2006-01-02T15:04:05.999999999")
	case "timestamp_ltz":
		return timeValue(text, time.RFC3339Nano)
	case "timestamp_tz":
		moment, _, _ := strings.Cut(text, " ") // the rest is the offset of a zone
		return timeValue(moment, time.RFC3339Nano)
	}
	return textValue("text", text)
}

// timeValue returns a time that is given as seconds since 1970 with decimals.
func timeValue(text, layout string) (event.Value, string) {
	digits, negative := strings.CutPrefix(text, "-")
	at, err := parseEpoch(digits)
	if err != nil {
		return event.Value{}, unreadable
	}
	if negative {
		at = time.Unix(-at.Unix(), -int64(at.Nanosecond())).UTC()
	}
	return event.NewString(at.Format(layout)), ""
}
