package sqlsource

import (
	"math/big"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
)

// invalidText is the problem of a text that is not UTF-8.
const invalidText = "is not valid text in UTF-8: select it in another encoding"

// isNumber reports whether the texts of a type of PostgreSQL or MySQL, by its lower-case name, are numbers.
func isNumber(typeName string) bool {
	switch typeName {
	case "int2", "int4", "int8", "oid", "numeric", "float4", "float8",
		"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "year":
		return true
	}
	return false
}

// newColumn returns a column by its name and the lower-case name of its type.
func newColumn(name, typeName string) audiencesync.Column {
	c := audiencesync.Column{Name: name, Type: typeName, Unfit: unfitReason(typeName)}
	switch typeName {
	case "bytea", "varbyte", "binary", "varbinary", "blob", "tinyblob", "mediumblob", "longblob", "bit", "geometry":
		c.Bytes = true
	}
	return c
}

// textValue returns a value that PostgreSQL or MySQL has written as text.
func textValue(typeName, text string) (v event.Value, problem string) {
	if !utf8.ValidString(text) {
		return v, invalidText
	}
	switch name := strings.TrimPrefix(typeName, "unsigned "); {
	case isNumber(name):
		if number, err := event.ParseString(text); err == nil && number.Kind() == event.Number {
			return number, "" // NaN and Infinity stay texts
		}
	case name == "bool":
		return event.NewBool(text == "t"), ""
	case name == "json", name == "jsonb", name == "super":
		if parsed, err := event.ParseString(text); err == nil {
			return parsed, ""
		}
	case name == "timestamptz", name == "timestamp", name == "datetime":
		return event.NewString(isoTime(name, text)), ""
	}
	return event.NewString(text), ""
}

// isoTime returns the text of a time in ISO 8601. A time of a type without a zone gets none. Texts such as infinity stay.
func isoTime(typeName, text string) string {
	day, clock, found := strings.Cut(text, " ")
	if !found || strings.Contains(clock, " ") {
		return text
	}
	if typeName == "timestamptz" {
		clock = strings.TrimSuffix(clock, "+00") + "Z"
	}
	return day + "T" + clock
}

// goValue returns a value that a driver has made of a column's value.
func goValue(typeName string, value any) (v event.Value, problem string) {
	if p := reflect.ValueOf(value); p.Kind() == reflect.Pointer && !p.IsNil() { // a value of a type with NULL
		value = p.Elem().Interface()
	}
	switch x := value.(type) {
	case nil:
		return event.NewNull(), ""
	case bool:
		return event.NewBool(x), ""
	case string:
		if !utf8.ValidString(x) {
			return v, invalidText
		}
		return event.NewString(x), ""
	case time.Time:
		if isDate(typeName) && x.Equal(x.Truncate(24*time.Hour)) {
			return event.NewString(x.UTC().Format(time.DateOnly)), ""
		}
		return event.NewString(x.UTC().Format(time.RFC3339Nano)), ""
	case []byte:
		return v, "is a blob: select it as text, such as with hex(…)"
	case big.Int:
		return numberValue(x.String())
	case interface{ String() string }:
		return stringerValue(value, x.String())
	}
	switch n := reflect.ValueOf(value); {
	case n.CanInt(), n.CanUint(), n.CanFloat():
		v, err := event.From(value)
		if err != nil { // NaN and the infinities
			return event.NewNull(), ""
		}
		return v, ""
	case n.Kind() == reflect.Pointer: // NULL
		return event.NewNull(), ""
	}
	return v, "has a type without a JSON form: select it as text"
}

// isDate reports whether a type of SQLite or ClickHouse is a date without a time.
func isDate(typeName string) bool {
	typeName = strings.TrimSuffix(strings.TrimPrefix(typeName, "nullable("), ")")
	return typeName == "date" || typeName == "date32"
}

// stringerValue returns a value that writes itself as text: a number if it is a decimal.
func stringerValue(value any, text string) (event.Value, string) {
	if strings.HasSuffix(reflect.TypeOf(value).String(), "decimal.Decimal") {
		return numberValue(text)
	}
	return event.NewString(text), ""
}

// numberValue returns a number of its digits.
func numberValue(digits string) (event.Value, string) {
	v, err := event.ParseString(digits)
	if err != nil {
		return event.NewString(digits), ""
	}
	return v, ""
}
