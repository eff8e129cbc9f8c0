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
			return event.NewString(time.Unix(int64(v.Int32())*24*60*60, 0).UTC().Format(time.DateOnly)), ""
		}
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

// timestampJSON returns how times are written. Those that are not of UTC have no zone.
func timestampJSON(l *format.TimestampType) func(parquet.Value) (event.Value, string) {
	layout := "2006-01-02T15:04:05.999999999"
	if l.IsAdjustedToUTC {
		layout += "Z"
	}
	return func(v parquet.Value) (event.Value, string) {
		at := time.UnixMilli(v.Int64())
		switch l.Unit.Value.(type) {
		case *format.MicroSeconds:
			at = time.UnixMicro(v.Int64())
		case *format.NanoSeconds:
			at = time.Unix(0, v.Int64())
		}
		return event.NewString(at.UTC().Format(layout)), ""
	}
}
