package sqlsource

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// A query that does not read is rejected by its first word; what the check cannot read is left to the database.
func TestQueriesAreChecked(t *testing.T) {
	for query, problem := range map[string]string{
		"SELECT 1": "", " (( select 1))": "", "\ufeffWith x AS (SELECT 1) SELECT * FROM x": "", "VALUES(1)": "", "TABLE users;": "",
		"-- a\n# b\n/* c */ SELECT 1": "", "1": "", "$1": "", `"select"`: "",
		"": "the query is empty", " ;\n; ": "the query is empty", "-- SELECT 1": "the query is empty", "/* SELECT 1": "the query is empty",
		"insert into users values (1)": "the query begins with INSERT: it should only read",
		"SELECTED":                     "the query begins with SELECTED",
		"/* SELECT */ DELETE FROM u":   "the query begins with DELETE",
	} {
		err := checkQuery(query)
		if problem == "" {
			assert.NoError(t, err, query)
		} else {
			assert.ErrorContains(t, err, problem, query)
		}
	}
}

// Types whose values are exact texts or integers identify users, also inside Nullable and LowCardinality.
func TestTypesOfClickHouseThatIdentifyUsers(t *testing.T) {
	for _, name := range []string{"string", "fixedstring(16)", "uuid", "enum8('a' = 1)", "decimal(10, 2)", "int64", "uint256"} {
		for _, whole := range []string{name, "nullable(" + name + ")", "lowcardinality(" + name + ")", "lowcardinality(nullable(" + name + "))"} {
			assert.Empty(t, clickhouseUnfit(whole), whole)
		}
	}
	for _, name := range []string{"float64", "nullable(float32)", "array(string)", "nullable(datetime)", "date", "map(string, string)", "nullable(nothing)"} {
		assert.NotEmpty(t, clickhouseUnfit(name), name)
	}
}

func TestValuesOfSnowflake(t *testing.T) {
	for text, want := range map[string]bool{"true": true, "1": true, "false": false, "0": false} {
		v, problem := snowflakeType{name: "boolean"}.value(text)
		assert.Empty(t, problem, text)
		got, ok := v.Bool()
		assert.True(t, ok, text)
		assert.Equal(t, want, got, text)
	}
	for text, c := range map[string]struct {
		scale int64
		json  string
	}{"5": {0, "5"}, "5.00": {2, "5.00"}, "-7": {0, "-7"}} {
		v, problem := snowflakeType{name: "fixed", scale: c.scale}.value(text)
		assert.Empty(t, problem, text)
		assert.Equal(t, c.json, v.JSON(), text)
	}
	_, problem := snowflakeType{name: "fixed", scale: 2}.value("500")
	assert.Equal(t, unreadable, problem, "it may be 500 or 5.00")
}
