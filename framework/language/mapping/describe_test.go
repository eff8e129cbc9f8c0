package mapping_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// TestDescribe checks the words for a mapping, which READMEs and the console show.
func TestDescribe(t *testing.T) {
	for text, want := range map[string]string{
		`null`: "nothing", `5`: "5", `true`: "true", `"x"`: "“x”", `""`: "an empty text", `"{{a}}!"`: "`{{a}}!`", `{}`: "an empty object",
		`["x", {"@path": "$.a"}]`:          "“x”, `a`",
		`{"a": 1, "b": {"@path": "$.c"}}`:  "a: 1; b: `c`",
		`{"@path": "$.a.b"}`:               "`a.b`",
		`{"@path": "$"}`:                   "the whole event",
		`{"@path": ""}`:                    "the whole event",
		`{"@path": {"@path": "$.which"}}`:  "the value at `which`",
		`{"@template": "{{a}} and {{b}}"}`: "`{{a}} and {{b}}`",
		`{"@expr": "a + 1"}`:               "`a + 1`",
		`{"@if": {"exists": {"@path": "$.a"}, "then": {"@path": "$.a"}, "else": {"@path": "$.b"}}}`: "`a`, otherwise `b`",
		`{"@if": {"exists": {"@path": "$.a"}, "then": {"@path": "$.a"}}}`:                           "`a`",
		`{"@if": {"exists": {"@path": "$.a"}, "then": 1}}`:                                          "1 if `a` exists",
		`{"@if": {"exists": {"@path": "$.a"}, "then": 1, "else": 2}}`:                               "1 if `a` exists, otherwise 2",
		`{"@if": {"exists": {"@path": "$.a"}, "else": 2}}`:                                          "2, unless `a` exists",
		`{"@if": {"blank": {"@path": "$.a"}, "then": 1}}`:                                           "1 if `a` is not empty",
		`{"@case": {"operator": "upper", "value": {"@path": "$.a"}}}`:                               "`a` in upper case",
		`{"@replace": {"pattern": "-", "value": {"@path": "$.a"}}}`:                                 "`a` with “-” replaced by an empty text",
		`{"@replace": {"pattern": "-", "replacement": "+", "value": {"@path": "$.a"}}}`:             "`a` with “-” replaced by “+”",
		`{"@merge": {"direction": "left", "objects": [{"@path": "$.a"}, {"b": 1}]}}`:                "`a` together with b: 1",
		`{"@flatten": {"separator": ".", "value": {"@path": "$.a"}}}`:                               "`a`, flattened with “.”",
		`{"@omit": {"value": {"@path": "$.a"}, "keys": ["b", "c"]}}`:                                "`a` without `b`, `c`",
		`{"@scalars": {"value": {"@path": "$.a"}}}`:                                                 "`a`, with lists and objects as text",
		`{"@json": {"mode": "encode", "value": {"@path": "$.a"}}}`:                                  "`a` as JSON",
		`{"@json": {"mode": "decode", "value": {"@path": "$.a"}}}`:                                  "`a`, read as JSON",
		`{"@transform": {"apply": {"a": 1}, "mapping": {"@path": "$.a"}}}`:                          "`a`, of (a: 1)",
		`{"@excludeWhenNull": {"@path": "$.a"}}`:                                                    "`a`, unless that is null",
		`{"@arrayPath": ["$.items"]}`:                                                               "`items`",
		`{"@arrayPath": ["$.items", {"id": {"@path": "$.sku"}}]}`:                                   "for each of `items`: id: `sku`",
		`{"@arrayPath": [{"@path": "$.items"}, {"id": 1}]}`:                                         "for each of `items`: id: 1",
		`{"@none": 1}`: "`{\"@none\":1}`",
	} {
		assert.Equal(t, want, mapping.Describe(event.MustParse(text)), text)
	}
	assert.Empty(t, mapping.Describe(event.Value{}))
}

// TestTraceNamesEachDirective checks what an explanation says about a value, for each directive.
func TestTraceNamesEachDirective(t *testing.T) {
	v := event.MustParse(`{"a":"x","o":{"k":1},"empty":"","l":[{"k":1}]}`)
	for text, want := range map[string]string{
		`{"@path":["o","k"]}`: "@path o.k",
		`{"@if":{"blank":{"@path":"$.a"},"then":1,"else":2}}`:                         "@if blank @path $.a: then literal 1",
		`{"@if":{"blank":{"@path":"$.empty"},"then":1,"else":2}}`:                     "@if blank @path $.empty: else literal 2",
		`{"@if":{"exists":{"@path":"$.a"},"then":1,"else":2}}`:                        "@if exists @path $.a: then literal 1",
		`{"@if":{"exists":{"@path":"$.none"},"then":1}}`:                              "@if exists @path $.none: no else",
		`{"@case":{"operator":"upper","value":{"@path":"$.a"}}}`:                      "@case of @path $.a",
		`{"@omit":{"value":{"@path":"$.o"},"keys":["k","z"]}}`:                        "@omit 2 keys of @path $.o",
		`{"@merge":{"direction":"left","objects":[{"@path":"$.o"},{"@path":"$.o"}]}}`: "@merge of 2 objects",
		`{"@flatten":{"separator":".","value":{"@path":"$.o"}}}`:                      "@flatten of @path $.o",
		`{"@scalars":{"value":{"@path":"$.o"}}}`:                                      "@scalars of @path $.o",
		`{"@json":{"mode":"encode","value":{"@path":"$.o"}}}`:                         "@json of @path $.o",
		`{"@excludeWhenNull":{"@path":"$.o"}}`:                                        "@excludeWhenNull of @path $.o",
		`{"@liquid":"{{ a }}"}`:                                                       `@liquid "{{ a }}"`,
		`{"@expr":"a"}`:                                                               `@expr "a"`,
	} {
		traces := mapping.MustCompile(`{"v":` + text + `}`).Trace(v)
		if assert.Len(t, traces, 1, text) {
			assert.NoError(t, traces[0].Err, text)
			assert.Equal(t, want, traces[0].From, text)
		}
	}
	whole := mapping.MustCompile(`{"@path":"$.o"}`).Trace(v)
	if assert.Len(t, whole, 1) {
		assert.Equal(t, "", whole[0].Key)
		assert.Equal(t, `{"k":1}`, whole[0].Value.JSON())
	}
}

// TestConvertTemplates checks which texts of a file are templates: all with {{, except in directives.
func TestConvertTemplates(t *testing.T) {
	for text, want := range map[string]string{
		`"plain"`: `"plain"`, `5`: `5`, `null`: `null`,
		`"{{a}}!"`:                              `{"@template":"{{a}}!"}`,
		`["x", "{{a}}"]`:                        `["x",{"@template":"{{a}}"}]`,
		`{"u": {"host": "{{a}}"}, "v": "x"}`:    `{"u":{"host":{"@template":"{{a}}"}},"v":"x"}`,
		`{"@liquid": "{{a}}"}`:                  `{"@liquid":"{{a}}"}`,
		`{"v": {"@literal": {"a": "{{a}}"}}}`:   `{"v":{"@literal":{"a":"{{a}}"}}}`,
		`{"v": [{"@literal": "{{a}}"}, "{{b"]}`: `{"v":[{"@literal":"{{a}}"},{"@template":"{{b"}]}`,
	} {
		assert.Equal(t, want, mapping.ConvertTemplates(event.MustParse(text)).JSON(), text)
	}
}

func TestSplitTemplate(t *testing.T) {
	parts := mapping.SplitTemplate("to {{a.b}} and {{{c}}}.")
	if assert.Len(t, parts, 3) {
		assert.Equal(t, "to ", parts[0].Text)
		assert.Equal(t, "a.b", parts[0].Path.String())
		assert.Equal(t, " and ", parts[1].Text)
		assert.Equal(t, "c", parts[1].Path.String())
		assert.Equal(t, ".", parts[2].Text)
		assert.Equal(t, []bool{false, false, true}, []bool{parts[0].Last, parts[1].Last, parts[2].Last})
	}
	assert.Equal(t, []mapping.TemplatePart{{Text: "plain", Last: true}}, mapping.SplitTemplate("plain"))
}
