package mapping_test

import (
	"cmp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

func TestReferencedPaths(t *testing.T) {
	for _, tc := range []struct {
		directive, text string
		want            string // paths, joined by dots and spaces; $ is the whole input
	}{
		{"@expr", `settings.region`, "settings.region"},
		{"@expr", `settings["region"] + settings.zone`, "settings.region settings.zone"},
		{"@expr", `settings?.region ?? "us"`, "settings.region"},
		{"@expr", `get(settings, "region")`, "settings.region"},
		{"@expr", `settings[payload.key]`, "payload.key settings"},
		{"@expr", `payload.name.first`, "payload.name.first"},
		{"@expr", `let s = settings; s.region`, "settings"},
		{"@expr", `map(payload.items, .id + settings.prefix)`, "payload.items settings.prefix"},
		{"@expr", `filter(payload.items, # > 1)`, "payload.items"},
		{"@expr", `$env.settings.region`, "settings.region"},
		{"@expr", `$env`, "$"},
		{"@expr", `{"region": settings.region}`, "settings.region"},
		{"@expr", `"settings.region"`, ""},
		{"@expr", `payload.a ? settings.b : payload.c`, "payload.a payload.c settings.b"},
		{"@expr", `len(payload.tags) > 0 && not (payload.x in ["settings"])`, "payload.tags payload.x"},
		{"@expr", `settings.`, ""},
		{"@liquid", `{{ settings.region }}`, "settings.region"},
		{"@liquid", `{{ settings["region"] | append: settings.zone }}`, "settings.region settings.zone"},
		{"@liquid", `{{ settings[payload.key] }}`, "payload.key settings"},
		{"@liquid", `{% if settings.on and payload.a == "x" %}{{ payload.b }}{% elsif payload.c %}y{% endif %}`, "payload.a payload.b payload.c settings.on"},
		{"@liquid", `{% assign settngs = payload.a %}{{ settngs.b }}`, "payload.a"},
		{"@liquid", `{% capture x %}{{ payload.a }}{% endcapture %}{{ x }}`, "payload.a"},
		{"@liquid", `{% increment n %}{{ n }}`, ""},
		{"@liquid", `{% cycle payload.a: payload.b, "c" %}`, "payload.a payload.b"},
		{"@liquid", `settings.region {% raw %}{{ settings.zone }}{% endraw %}{% comment %}{{ settings.x }}{% endcomment %}`, ""},
		{"@liquid", `{{ "now" | date: settings.format }}`, "settings.format"},
		{"@liquid", `{{ settings.`, ""},
		{"@path", `$.settings.region`, "$.settings.region"},
		{"@template", `{{settings.a}} and {{{payload.b}}}`, "settings.a payload.b"},
	} {
		var paths []string
		list, ok := mapping.References(tc.directive, event.NewString(tc.text))
		assert.True(t, ok, tc.directive)
		for _, r := range list {
			paths = append(paths, cmp.Or(r.Path.String(), "$"))
		}
		assert.Equal(t, tc.want, strings.Join(paths, " "), tc.text)
	}
}

func TestWarnings(t *testing.T) {
	for text, want := range map[string]string{
		`{"a": {"@liquid": "{{ payload.name | sha265 }}"}}`:                     `/a/@liquid unknown filter "sha265", which has no effect (did you mean "sha256"?)`,
		`{"a": {"@if": {"exists": 1, "then": {"@liquid": "{{ x | upcas }}"}}}}`: `/a/@if/then/@liquid unknown filter "upcas", which has no effect (did you mean "upcase"?)`,
		`{"a": {"@liquid": "{% if x | nope %}y{% endif %}"}}`:                   `/a/@liquid unknown filter "nope", which has no effect`,
		`{"a": {"@liquid": "{% assign y = x | nope %}"}}`:                       `/a/@liquid unknown filter "nope", which has no effect`,
		`{"a": {"@liquid": "{{ x | upcase | default: 'y' }}"}}`:                 "",
		`{"a": "{{ x | nope }}"}`:                                               "",
		`{"a": {"@if": {"exists": {"@path": "$.a"}, "then": 1, "els": 2}}}`:     `/a/@if/els @if has no key "els", so it has no effect (did you mean "else"?)`,
		`{"a": {"@if": {"exists": {"@path": "$.a"}}}}`:                          `/a/@if has neither "then" nor "else", so its result is always absent`,
		`{"a": {"@if": {"exists": 1, "blank": 1, "then": 1}}}`:                  `/a/@if/blank has no effect beside "exists"`,
		`{"a": {"@case": {"operator": "lower", "valeu": "X"}}}`: `/a/@case/valeu @case has no key "valeu", so it has no effect (did you mean "value"?)` + "\n" +
			`/a/@case has no "value", so its result is always absent`,
		`{"a": {"@replace": {"value": "X", "pattern": "X", "ignoreCase": true}}}`:                                                   `/a/@replace/ignoreCase @replace has no key "ignoreCase", so it has no effect (did you mean "ignorecase"?)`,
		`{"a": {"@replace": {"value": "X", "pattern": "X", "replacement2": "y"}}}`:                                                  `/a/@replace/replacement2 has no effect without "pattern2"`,
		`{"a": {"@merge": {"objects": [], "direction": "left", "deep": true}}}`:                                                     `/a/@merge/deep @merge has no key "deep", so it has no effect`,
		`{"a": {"@flatten": {"value": {}, "separator": ".", "omitarrays": true}}}`:                                                  `/a/@flatten/omitarrays @flatten has no key "omitarrays", so it has no effect (did you mean "omitArrays"?)`,
		`{"a": {"@omit": {"value": {}, "keys": [], "key": 1}}}`:                                                                     `/a/@omit/key @omit has no key "key", so it has no effect (did you mean "keys"?)`,
		`{"a": {"@scalars": {"value": {}, "seperator": ","}}}`:                                                                      `/a/@scalars/seperator @scalars has no key "seperator", so it has no effect (did you mean "separator"?)`,
		`{"a": {"@json": {"value": {}, "mode": "encode", "indent": 2}}}`:                                                            `/a/@json/indent @json has no key "indent", so it has no effect`,
		`{"a": {"@transform": {"apply": {}, "mapping": {}, "a/b": 2}}}`:                                                             `/a/@transform/a~1b @transform has no key "a/b", so it has no effect`,
		`{"a": {"@arrayPath": ["$.x", "$.y"]}}`:                                                                                     `/a/@arrayPath/1 has no effect: the mapping of the items should be an object but it is a string`,
		`{"a": {"@arrayPath": ["$.x", {}, {"b": 1}]}}`:                                                                              `/a/@arrayPath/2 has no effect: @arrayPath has a path and a mapping of the items`,
		`{"__segment_internal_directive": {"@transform": {"apply": {}}}, "a": {"@if": {"exists": 1, "then": 1, "x": 1}}}`:           `/a/@if/x @if has no key "x", so it has no effect`,
		`{"a": {"@path": "$.l[*].x"}}`:                                                                                              `/a/@path has [*] in the path "$.l[*].x", which no value matches: write [0] for an item, or @arrayPath to map each item`,
		`{"a": {"@arrayPath": ["$.l[-1]", {}]}}`:                                                                                    `/a/@arrayPath/0 has [-1] in the path "$.l[-1]", which no value matches: write [0] for an item, or @arrayPath to map each item`,
		`{"a": {"@template": "{{l[?(@.x)].y}}"}}`:                                                                                   `/a/@template has [?(@.x)] in the path "l[?(@.x)].y", which no value matches: write [0] for an item, or @arrayPath to map each item`,
		`{"a": {"@path": "$.l[0].x"}, "b": {"@path": "$['a b'].c"}, "c": {"@template": "{{a}} [*]"}, "d": {"@path": "$.a['[*]']"}}`: "",
		`{"a": {"@literal": {"els": 1}}, "b": {"@excludeWhenNull": {"els": 1}}}`:                                                    "",
		`{"__segment_internal_directive": {"@transform": {"apply": {}, "mappin": {}}}}`:                                             `/__segment_internal_directive/@transform/mappin @transform has no key "mappin", so it has no effect (did you mean "mapping"?)`,
	} {
		m, err := mapping.Compile(event.MustParse(text))
		require.NoError(t, err, text)
		if want == "" {
			assert.Empty(t, m.Warnings(), text)
			continue
		}
		assert.EqualError(t, m.Warnings().Err(), want, text)
	}
}

// TestReferencesOfOtherArguments checks the references of directives whose argument is not text.
func TestReferencesOfOtherArguments(t *testing.T) {
	for _, tc := range []struct {
		directive, argument, want string
		ok, dynamic               bool
	}{
		{"@path", `["settings", "a.b"]`, " settings.a.b", true, true},
		{"@path", `{"@literal": "settings.a"}`, "", true, true},
		{"@arrayPath", `["$.payload.items", {"x": {"@path": "$.y"}}]`, "/0 $.payload.items", true, true},
		{"@arrayPath", `[{"@path": "$.payload.items"}]`, "", true, true},
		{"@template", `{"@literal": "x"}`, "", true, true},
		{"@template", `"no path"`, "", true, false},
		{"@liquid", `"{% increment n %}"`, "", true, true},
		{"@if", `{"exists": {"@path": "$.x"}}`, "", false, false},
		{"@nope", `"$.x"`, "", false, false},
	} {
		list, ok := mapping.References(tc.directive, event.MustParse(tc.argument))
		got := ""
		for _, r := range list {
			got += r.Pointer + " " + r.Path.String()
		}
		assert.Equal(t, tc.want, got, tc.argument)
		assert.Equal(t, tc.ok, ok, tc.argument)
		assert.Equal(t, tc.dynamic, mapping.ReadsEvent(tc.directive, event.MustParse(tc.argument)), tc.argument)
	}
}

// TestMistakesOfMappingsThatCompile checks that a path or a template that cannot mean what it says is found at any depth.
func TestMistakesOfMappingsThatCompile(t *testing.T) {
	for text, want := range map[string]string{
		`{"a": {"@path": "$.items[0].id"}, "b": {"@template": "{{a}} {{{b}}}"}, "c": "$.x[0"}`: "",
		`{"a": {"@template": "{{}} and {{ }}"}}`:                                               "",
		`{"a": {"@path": "$.items[0.id"}}`:                                                     `/a/@path has an unpaired [ in the path`,
		`{"a": [{"@if": {"exists": {"@path": "$.x]"}, "then": 1}}]}`:                           `/a/0/@if/exists/@path has an unpaired ] in the path`,
		`{"a": {"@arrayPath": ["$.x[", {"b": {"@path": "$.y"}}]}}`:                             `/a/@arrayPath/0 has an unpaired [ in the path`,
		`{"a": {"@arrayPath": ["$.x", {"b": {"@path": "$.y["}}]}}`:                             `/a/@arrayPath/1/b/@path has an unpaired [ in the path`,
		`{"a": {"@template": "{{x}} and {{y"}}`:                                                `/a/@template has {{ without a closing }}, so it stays as text: "{{y"`,
		`{"a": {"@template": "{{y"}}`:                                                          `/a/@template has {{ without a closing }}, so it stays as text: "{{y"`,
		`{"a": {"@template": "{{x[}}"}}`:                                                       `/a/@template has an unpaired [ in the path`,
		`{"a": {"@template": "{{{x]}}}"}}`:                                                     `/a/@template has an unpaired ] in the path`,
	} {
		found := mapping.Mistakes(event.MustParse(text))
		if want == "" {
			assert.Empty(t, found, text)
			continue
		}
		if assert.Len(t, found, 1, text) {
			assert.True(t, strings.HasPrefix(found[0].String(), want), found[0].String())
		}
	}
}

func TestDirectivesAreListedWithTheirSchemas(t *testing.T) {
	list := mapping.Directives()
	assert.Greater(t, len(list), 10)
	for _, d := range list {
		assert.True(t, strings.HasPrefix(d.Name, "@"), d.Name)
		assert.NotEmpty(t, d.Summary, d.Name)
		_, err := event.ParseString(d.Schema)
		assert.NoError(t, err, d.Name)
	}
}
