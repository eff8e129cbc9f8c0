package parquetfile

import (
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/landfall-dev/landfall/framework/event"
)

// jsonOf returns a value as JSON, or why it has no JSON form.
func (c *column) jsonOf(v parquet.Value) (event.Value, string) {
	if v.IsNull() {
		return event.NewNull(), ""
	}
	return c.json(v)
}

// jsonFor returns how the values of a type are written as JSON; nil if they have no JSON form. text writes them as text, unless it is nil.
func jsonFor(kind parquet.Kind, logical format.LogicalTypeValue, text func(parquet.Value) (string, string)) func(parquet.Value) (event.Value, string) {
	parsed := func(v parquet.Value) (event.Value, string) {
		written, problem := text(v)
		if problem != "" {
			return event.Value{}, problem
		}
		if number, err := event.ParseString(written); err == nil {
			return number, ""
		}
		return event.NewString(written), ""
	}
	switch l := logical.(type) {
	case *format.IntType, *format.DecimalType:
		if text == nil {
			return nil
		}
		return parsed
	case *format.JsonType:
		text = byteText
		return parsed
	case *format.DateType:
		return func(v parquet.Value) (event.Value, string) {
			return timeJSON(time.Unix(int64(v.Int32())*24*60*60, 0), time.DateOnly), ""
		}
	case *format.TimeType:
		return timeOfDayJSON(kind, l)
	case *format.TimestampType:
		return timestampJSON(l)
	case nil, *format.StringType, *format.EnumType, *format.UUIDType, *format.NullType:
		return plainJSON(kind, text, parsed)
	}
	return nil
}

// plainJSON returns how values of a type without a number type are written.
func plainJSON(kind parquet.Kind, text func(parquet.Value) (string, string), parsed func(parquet.Value) (event.Value, string)) func(parquet.Value) (event.Value, string) {
	switch kind {
	case parquet.Boolean:
		return func(v parquet.Value) (event.Value, string) { return event.NewBool(v.Boolean()), "" }
	case parquet.Float:
		return func(v parquet.Value) (event.Value, string) {
			f, err := event.From(v.Float())
			if err != nil { // NaN and the infinities
				f = event.NewNull()
			}
			return f, ""
		}
	case parquet.Double:
		return func(v parquet.Value) (event.Value, string) { return event.NewFloat(v.Double()), "" }
	case parquet.Int32, parquet.Int64:
		return parsed
	}
	if text == nil {
		return nil
	}
	return func(v parquet.Value) (event.Value, string) {
		written, problem := text(v)
		return event.NewString(written), problem
	}
}

// timeJSON returns a time in a layout. A time outside of the years 0 to 9999, such as infinity, has no such form: it is null, as NaN is.
func timeJSON(at time.Time, layout string) event.Value {
	if at = at.UTC(); at.Year() < 0 || at.Year() > 9999 {
		return event.NewNull()
	}
	return event.NewString(at.Format(layout))
}

// timeLayout is the layout of times of day.
const timeLayout = "15:04:05.999999999"

// timeOfDayJSON returns how times of day are written. Those that are not of UTC have no zone.
func timeOfDayJSON(kind parquet.Kind, l *format.TimeType) func(parquet.Value) (event.Value, string) {
	layout := timeLayout
	if l.IsAdjustedToUTC {
		layout += "Z"
	}
	return func(v parquet.Value) (event.Value, string) {
		n := v.Int64()
		if kind == parquet.Int32 {
			n = int64(v.Int32())
		}
		return timeJSON(timeSince1970(n, l.Unit), layout), ""
	}
}

// timestampJSON returns how times are written. Those that are not of UTC have no zone.
func timestampJSON(l *format.TimestampType) func(parquet.Value) (event.Value, string) {
	layout := time.DateOnly + "T" + timeLayout
	if l.IsAdjustedToUTC {
		layout += "Z"
	}
	return func(v parquet.Value) (event.Value, string) {
		return timeJSON(timeSince1970(v.Int64(), l.Unit), layout), ""
	}
}

// timeSince1970 returns the time that is a number of units after the beginning of 1970.
func timeSince1970(n int64, unit format.TimeUnit) time.Time {
	switch unit.Value.(type) {
	case *format.MicroSeconds:
		return time.UnixMicro(n)
	case *format.NanoSeconds:
		return time.Unix(0, n)
	}
	return time.UnixMilli(n)
}
