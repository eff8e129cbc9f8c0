package sqlsource

import (
	"math"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestValuesOfTexts checks the JSON form of values that PostgreSQL and MySQL write as text.
func TestValuesOfTexts(t *testing.T) {
	for _, c := range []struct{ typeName, text, want string }{
		{"int8", "9223372036854775807", `9223372036854775807`}, {"numeric", "1.50", `1.50`}, {"numeric", "NaN", `"NaN"`}, {"float8", "Infinity", `"Infinity"`},
		{"unsigned bigint", "18446744073709551615", `18446744073709551615`}, {"decimal", "-0.05", `-0.05`}, {"year", "2026", `2026`},
		{"text", "12", `"12"`}, {"varchar", "", `""`}, {"bool", "t", `true`}, {"bool", "f", `false`},
		{"json", `{"a": [1]}`, `{"a":[1]}`}, {"jsonb", `"x"`, `"x"`}, {"super", `5`, `5`}, {"json", `{`, `"{"`},
		{"timestamptz", "2026-01-02 03:04:05.5+00", `"2026-01-02T03:04:05.5Z"`}, {"timestamp", "2026-01-02 03:04:05", `"2026-01-02T03:04:05"`},
		{"datetime", "2026-01-02 03:04:05", `"2026-01-02T03:04:05"`}, {"timestamptz", "infinity", `"infinity"`}, {"timestamp", "0044-03-15 12:00:00 BC", `"0044-03-15 12:00:00 BC"`},
		{"date", "2026-01-02", `"2026-01-02"`},
	} {
		v, problem := textValue(c.typeName, c.text)
		assert.Equal(t, c.want, v.JSON(), "%s %s", c.typeName, c.text)
		assert.Empty(t, problem)
	}
	_, problem := textValue("text", "M\xfcller")
	assert.Equal(t, "is not valid text in UTF-8: select it in another encoding", problem)
}

// TestValuesOfDrivers checks the JSON form of values that drivers return as Go values.
func TestValuesOfDrivers(t *testing.T) {
	midnight, noon := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 2, 12, 0, 0, 5, time.UTC)
	n, text, none := int64(7), "x", (*string)(nil)
	for _, c := range []struct {
		typeName string
		value    any
		want     string
	}{
		{"", nil, `null`}, {"", true, `true`}, {"", "x", `"x"`}, {"", int64(math.MinInt64), `-9223372036854775808`}, {"", uint64(math.MaxUint64), `18446744073709551615`},
		{"", 0.5, `0.5`}, {"", math.NaN(), `null`}, {"", math.Inf(-1), `null`}, {"", float32(math.Inf(1)), `null`}, {"", &n, `7`}, {"", &text, `"x"`}, {"", none, `null`},
		{"", *new(big.Int).Lsh(big.NewInt(1), 70), `1180591620717411303424`}, {"", time.Minute, `"1m0s"`},
		{"date", midnight, `"2026-01-02"`}, {"date32", midnight, `"2026-01-02"`}, {"nullable(date)", midnight, `"2026-01-02"`},
		{"datetime", midnight, `"2026-01-02T00:00:00Z"`}, {"date", noon, `"2026-01-02T12:00:00.000000005Z"`},
	} {
		v, problem := goValue(c.typeName, c.value)
		assert.Equal(t, c.want, v.JSON(), "%s %v", c.typeName, c.value)
		assert.Empty(t, problem)
	}
	for want, value := range map[string]any{
		"is not valid text in UTF-8: select it in another encoding": "M\xfcller", "is a blob: select it as text, such as with hex(…)": []byte("x"),
		"has a type without a JSON form: select it as text": []int{1},
	} {
		_, problem := goValue("", value)
		assert.Equal(t, want, problem)
	}
}

// TestColumnsOfTypes checks which types cannot identify users, and which have bytes.
func TestColumnsOfTypes(t *testing.T) {
	for typeName, want := range map[string]struct {
		unfit string
		bytes bool
	}{
		"text": {}, "int8": {}, "numeric": {}, "uuid": {}, "float8": {"its values are not exact", false}, "unsigned double": {"its values are not exact", false},
		"bytea": {"its values are bytes", true}, "blob": {"its values are bytes", true}, "bit": {"CAST it to text", true}, "timestamptz": {"it is a time", false},
		"bool": {"CAST it to text", false}, "geometry": {"CAST it to text", true}, "_text": {"it is an array", false},
	} {
		c := newColumn("c", typeName)
		assert.Equal(t, want.bytes, c.Bytes, typeName)
		assert.Equal(t, want.unfit == "", c.Unfit == "", typeName)
		assert.Contains(t, c.Unfit, want.unfit, typeName)
	}
}

// TestMessagesHideValues checks that what a database quotes, which may be personal data, is not in a message.
func TestMessagesHideValues(t *testing.T) {
	for message, want := range map[string]string{
		`invalid input syntax for type integer: "ana@example.com"`: `invalid input syntax for type integer: …`,
		`Truncated incorrect value: 'ana'`:                         `Truncated incorrect value: …`,
		`Key (email)=(ana@example.com) exists`:                     `Key … exists`,
		`no rows (id=5, name=ana) left`:                            `no rows … left`,
		`relation users does not exist`:                            `relation users does not exist`,
	} {
		assert.Equal(t, want, withoutValues(message))
	}
}
