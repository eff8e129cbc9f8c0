package schemas

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/event"
)

// schemaWords are the keywords of the schemas that check nothing by themselves.
var schemaWords = []string{
	"$schema", "$id", "$ref", "$defs", "$comment", "definitions", "title", "description", "default", "examples", "markdownDescription",
	"properties", "patternProperties", "items", "allOf", "if", "then", "else", "deprecated", "deprecationMessage", "enumDescriptions", "defaultSnippets",
}

// explainedWords are the keywords for which addProblem has a case of its own.
var explainedWords = []string{"type", "enum", "const", "required", "anyOf", "additionalProperties", "pattern", "uniqueItems", "format", "not"}

// TestEveryKeywordHasPlainWords checks that each keyword that a schema uses is explained.
func TestEveryKeywordHasPlainWords(t *testing.T) {
	for _, kind := range Kinds() {
		walkSchema(event.MustParse(string(Text(kind))), func(keyword string) {
			_, isNumber := numberBounds[keyword]
			_, isSize := sizeBounds[keyword]
			assert.True(t, isNumber || isSize || slices.Contains(schemaWords, keyword) || slices.Contains(explainedWords, keyword), "%s has %s", kind, keyword)
		})
	}
}

// TestEveryPatternHasPlainWords checks that messages describe each pattern of a schema.
func TestEveryPatternHasPlainWords(t *testing.T) {
	patterns := 0
	var walk func(v event.Value)
	walk = func(v event.Value) {
		if p := v.Get("pattern"); p.IsString() && v.Get("type").Str() == "string" {
			assert.Contains(t, patternWords, p.Str())
			patterns++
		}
		for _, m := range v.Members() {
			walk(m)
		}
		for _, item := range v.Items() {
			walk(item)
		}
	}
	for _, kind := range Kinds() {
		walk(event.MustParse(string(Text(kind))))
	}
	assert.Greater(t, patterns, 5)
}

// walkSchema calls visit for the keywords of a schema and of all schemas in it.
func walkSchema(v event.Value, visit func(keyword string)) {
	for key, m := range v.Members() {
		visit(key)
		switch key {
		case "properties", "patternProperties", "definitions", "$defs":
			for _, inner := range m.Members() {
				walkSchema(inner, visit)
			}
		case "items", "additionalProperties", "if", "then", "else", "not":
			walkSchema(m, visit)
		case "allOf", "anyOf", "oneOf":
			for _, inner := range m.Items() {
				walkSchema(inner, visit)
			}
		}
	}
}

func TestBoundText(t *testing.T) {
	for _, c := range []struct{ keyword, want, got, text string }{
		{"minimum", "1", "0", "should be at least 1 but is 0"},
		{"maximum", "60", "61", "should be at most 60 but is 61"},
		{"exclusiveMinimum", "0", "0", "should be more than 0 but is 0"},
		{"exclusiveMaximum", "10", "10", "should be less than 10 but is 10"},
		{"multipleOf", "5", "7", "should be a multiple of 5 but is 7"},
		{"minLength", "1", `""`, "should not be empty"},
		{"minLength", "3", `"ab"`, "should have at least 3 characters"},
		{"maxLength", "10", `"abcdefghijk"`, "should have at most 10 characters"},
		{"minItems", "2", "[1]", "should have at least 2 items"},
		{"maxItems", "1", "[1,2]", "should have at most one item"},
		{"minProperties", "1", "{}", "should not be empty"},
		{"maxProperties", "2", "{}", "should have at most 2 keys"},
		{"uniqueItems", "true", "[1,1]", "should not have the same entry twice"},
		{"format", `"uri"`, `"x"`, `should be in the format uri but is "x"`},
		{"not", "{}", "1", "is not allowed here"},
	} {
		assert.Equal(t, c.text, boundText(c.keyword, event.MustParse(c.want), event.MustParse(c.got)), c.keyword)
	}
}
