package destination_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
)

// linted is a definition with some fields of its settings and of its action.
func linted(settings, fields string) string {
	return fmt.Sprintf(`
name: Acme
slug: acme
mode: cloud
description: Keeps contacts.
authentication:
  scheme: custom
  fields:
    note: {label: Note, description: A note., type: string}
    %s
actions:
  create:
    title: Create
    description: Creates.
    fields:
      id: {label: ID, description: The id., type: string}
      %s
`, settings, fields)
}

func TestLint(t *testing.T) {
	for _, tc := range []struct {
		name, settings, fields string
		want                   string // pointer and message of the only finding; "" for none
	}{
		{name: "nothing"},
		{name: "default is not among the choices", fields: `a: {label: A, description: A., type: string, choices: [x, y], default: z}`, want: "/actions/create/fields/a/default the default is not a valid value"},
		{name: "default is among open choices", fields: `a: {label: A, description: A., type: string, choices: [x, y], openChoices: true, default: z}`},
		{name: "default of another type", fields: `a: {label: A, description: A., type: integer, default: many}`, want: "/actions/create/fields/a/default the default is not a valid value"},
		{name: "default that is an object", fields: `a: {label: A, description: A., type: string, default: {b: 1}}`, want: "/actions/create/fields/a/default the default is not a valid value"},
		{name: "default that is an empty object", fields: `a: {label: A, description: A., type: string, default: {}}`, want: "/actions/create/fields/a/default the default is not a valid value"},
		{name: "default that is a mapping", fields: `a: {label: A, description: A., type: integer, default: {"@path": $.a}}`},
		{name: "default of a setting", settings: `n: {label: N, description: N., type: number, default: x}`, want: "/authentication/fields/n/default the default"},
		{name: "default of a setting that is a mapping", settings: `n: {label: N, description: N., type: string, default: {"@path": $.n}}`, want: "/authentication/fields/n/default the default is a mapping, but a setting is not mapped"},
		{name: "default of a setting with a mapping inside", settings: `n: {label: N, description: N., type: object, default: {a: [{"@path": $.n}]}}`, want: "/authentication/fields/n/default the default is a mapping"},
		{name: "default of a setting that is an object", settings: `n: {label: N, description: N., type: object, default: {a: [1]}}`},
		{name: "default below the minimum", fields: `a: {label: A, description: A., type: number, minimum: 5, default: 4}`, want: "/actions/create/fields/a/default the default"},
		{name: "minimum above maximum", fields: `a: {label: A, description: A., type: number, minimum: 5, maximum: 4}`, want: "/actions/create/fields/a/minimum the minimum 5 is above the maximum 4"},
		{name: "minimum equals maximum", fields: `a: {label: A, description: A., type: number, minimum: 5, maximum: 5}`},
		{name: "minimum that is no number of a computer", fields: `a: {label: A, description: A., type: number, minimum: 1e999}`, want: "/actions/create/fields/a/minimum is too large for a number: leave it out, or lower it"},
		{name: "dynamic that is a text", fields: `a: {label: A, description: A., type: string, dynamic: "true"}`, want: `/actions/create/fields/a/dynamic should be true or false, without quotes, but is "true"`},
		{name: "dynamic that is true", fields: `a: {label: A, description: A., type: string, dynamic: true}`},
		{name: "minimum above maximum in an object", fields: `a: {label: A, description: A., type: object, properties: {b: {label: B, type: string, minimum: 2, maximum: 1}}}`, want: "/actions/create/fields/a/properties/b/minimum the minimum"},
		{name: "depends on itself", fields: `a: {label: A, description: A., type: string, depends_on: {conditions: [{fieldKey: a, operator: is_not}]}}`, want: "/actions/create/fields/a/depends_on depends on itself (a → a)"},
		{name: "two that depend on each other", fields: `a: {label: A, description: A., type: string, depends_on: {conditions: [{fieldKey: b, operator: is, value: x}]}}
      b: {label: B, description: B., type: string, depends_on: {conditions: [{fieldKey: a, operator: is_not}]}}`, want: "depends on itself (a → b → a)"},
		{name: "one or the other", fields: `a: {label: A, description: A., type: string, depends_on: {conditions: [{fieldKey: b, operator: is}]}}
      b: {label: B, description: B., type: string, depends_on: {conditions: [{fieldKey: a, operator: is_not, value: x}]}}`},
		{name: "three that depend on each other", fields: `a: {label: A, description: A., type: string, depends_on: {conditions: [{fieldKey: b, operator: is, value: x}]}}
      b: {label: B, description: B., type: string, depends_on: {conditions: [{fieldKey: c, operator: is, value: [x, y]}]}}
      c: {label: C, description: C., type: string, depends_on: {conditions: [{fieldKey: b, operator: is, value: x}]}}`, want: "depends on itself (b → c → b)"},
		{name: "two that may be empty", fields: `a: {label: A, description: A., type: string, depends_on: {conditions: [{fieldKey: b, operator: is, value: [x, ""]}]}}
      b: {label: B, description: B., type: string, depends_on: {conditions: [{fieldKey: a, operator: is, value: x}]}}`},
		{name: "one of two conditions", fields: `a: {label: A, description: A., type: string, depends_on: {match: any, conditions: [{fieldKey: a, operator: is, value: x}, {fieldKey: id, operator: is, value: x}]}}`},
		{name: "the only one of any conditions", fields: `a: {label: A, description: A., type: string, depends_on: {match: any, conditions: [{fieldKey: a, operator: is, value: x}]}}`, want: "depends on itself (a → a)"},
		{name: "a secret that is text", settings: `authToken: {label: T, description: T., type: string}`, want: "/authentication/fields/authToken/type looks like a secret"},
		{name: "a flag with the name of a secret", settings: `use_secret: {label: S, description: S., type: boolean}`},
		{name: "a key that needs quotes", fields: `"a b": {label: A, description: A., type: string}`, want: "/actions/create/fields/a b the key of a field"},
		{name: "batch size above the default bound", fields: `batch_size: {label: B, description: B., type: integer, default: 100000}`, want: "/actions/create/fields/batch_size/default the default is 100000, but a batch holds at most 1000 payloads: lower it, or set a maximum of up to 10000"},
		{name: "batch size at the default bound", fields: `batch_size: {label: B, description: B., type: integer, default: 1000}`},
		{name: "batch size raised by its maximum", fields: `batch_size: {label: B, description: B., type: integer, default: 5000, maximum: 5000}`},
		{name: "batch size above its maximum", fields: `batch_size: {label: B, description: B., type: integer, default: 5001, maximum: 5000}`, want: "/actions/create/fields/batch_size/default"},
		{name: "maximum of the batch size above the bound", fields: `batch_size: {label: B, description: B., type: integer, maximum: 10001}`, want: "/actions/create/fields/batch_size/maximum the maximum is 10001, but a batch holds at most 10000 payloads"},
		{name: "a misspelled key of a choice", fields: `a: {label: A, description: A., type: string, choices: [{lable: X, value: x}]}`, want: `/actions/create/fields/a/choices/0/lable is not a known key (did you mean "label"?)`},
		{name: "no choices", fields: `a: {label: A, description: A., type: string, choices: []}`, want: "/actions/create/fields/a/choices has no choices, so that every value is accepted"},
		{name: "no choices of a setting", settings: `n: {label: N, description: N., type: string, choices: []}`, want: "/authentication/fields/n/choices has no choices"},
		{name: "no suggested choices", fields: `a: {label: A, description: A., type: string, choices: [], openChoices: true}`, want: "/actions/create/fields/a/choices has no choices"},
		{name: "a choice of another type", fields: `a: {label: A, description: A., type: integer, choices: [1, two]}`, want: "/actions/create/fields/a/choices/1 is not a valid value of the field"},
		{name: "a choice below the minimum", fields: `a: {label: A, description: A., type: integer, minimum: 5, choices: [{label: Four, value: 4}, 5]}`, want: "/actions/create/fields/a/choices/0 is not a valid value of the field"},
		{name: "a choice of a list of another type", fields: `a: {label: A, description: A., type: integer, multiple: true, choices: [1, two]}`, want: "/actions/create/fields/a/choices/1 is not a valid value of the field"},
		{name: "choices of a list", fields: `a: {label: A, description: A., type: string, multiple: true, choices: [x, y], default: [x]}`},
		{name: "a choice that is listed twice", fields: `a: {label: A, description: A., type: string, choices: [x, {label: X, value: x}]}`, want: `/actions/create/fields/a/choices/1 is listed twice: "x"`},
		{name: "a default that is a path as text", fields: `a: {label: A, description: A., type: string, default: $.event}`, want: `/actions/create/fields/a/default the default is the text "$.event": write {"@path": $.event}`},
		{name: "a default with an unknown property", fields: `a: {label: A, description: A., type: object, properties: {b: {label: B, type: string}}, default: {bb: {"@path": $.b}}}`, want: `/actions/create/fields/a/default/bb is not a property of a, so that it is dropped`},
		{name: "a default of a list with an unknown property", fields: `a: {label: A, description: A., type: object, multiple: true, properties: {b: {label: B, type: string}}, default: {"@arrayPath": [$.l, {c: 1}]}}`, want: `/actions/create/fields/a/default/@arrayPath/1/c is not a property of a`},
		{name: "a default with further properties", fields: `a: {label: A, description: A., type: object, additionalProperties: true, properties: {b: {label: B, type: string}}, default: {bb: 1}}`},
		{name: "a condition with a value that is no choice", fields: `a: {label: A, description: A., type: string, choices: [x, y]}
      b: {label: B, description: B., type: string, depends_on: {conditions: [{fieldKey: a, operator: is, value: z}]}}`, want: `/actions/create/fields/b/depends_on/conditions/0/value is not a choice of a: "z"`},
		{name: "a requirement with a value that is no choice", fields: `a: {label: A, description: A., type: string, choices: [x, y]}
      b: {label: B, description: B., type: string, required: {conditions: [{fieldKey: a, operator: is, value: [x, z]}]}}`, want: `/actions/create/fields/b/required/conditions/0/value is not a choice of a: "z"`},
		{name: "a choice without a value", settings: `a: {label: A, description: A., type: string, choices: [{label: X}]}`, want: `/authentication/fields/a/choices/0 should have the key "value"`},
		{name: "choices", fields: `a: {label: A, description: A., type: string, choices: [x, {label: X, value: y}, {value: 0}]}`},
		{name: "a condition on no field", fields: `a: {label: A, description: A., type: string, depends_on: {conditions: [{fieldKey: idd, operator: is, value: x}]}}`, want: `/actions/create/fields/a/depends_on/conditions/0/fieldKey there is no field "idd" (did you mean "id"?)`},
		{name: "conditions on fields", fields: `a: {label: A, description: A., type: object, properties: {b: {label: B, type: string, depends_on: {conditions: [{fieldKey: id, operator: is, value: x}, {fieldKey: c, operator: is, value: x}, {type: syncMode, operator: is, value: add}, {fieldKey: __segment_internal_sync_mode, operator: is, value: add}]}}, c: {label: C, type: string}}}`},
		{name: "a maximum below zero", fields: `a: {label: A, description: A., type: number, maximum: -5}`},
		{name: "a condition on the sync mode", fields: `a: {label: A, description: A., type: string, depends_on: {conditions: [{type: syncMode, operator: is, value: add}]}}`},
		{name: "a condition on the sync mode by a name", fields: `a: {label: A, description: A., type: string, depends_on: {conditions: [{type: syncMode, fieldKey: mode, operator: is, value: add}]}}`},
		{name: "a label twice", fields: `a: {label: ID, description: A., type: string}`, want: "/actions/create/fields/a/label has the same label as id"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, err := destination.ParseDefinition("destination.yaml", []byte(linted(tc.settings, tc.fields)))
			require.NoError(t, err)
			var found []string
			for _, f := range d.Lint(destination.LintOptions{}) {
				assert.False(t, f.Advice, f)
				found = append(found, f.Pointer+" "+f.Message)
				line, column := d.Document.Position(f.Pointer)
				assert.Positive(t, line*column, f.Pointer)
			}
			if tc.want == "" {
				assert.Empty(t, found)
				return
			}
			require.Len(t, found, 1)
			assert.Contains(t, found[0], tc.want)
		})
	}
}

// TestLintAsksForDescriptions checks that each part of a definition which users see has a description, which is a sentence.
func TestLintAsksForDescriptions(t *testing.T) {
	for change, want := range map[[2]string]string{
		{"description: Keeps contacts.", "description: Keeps contacts"}:                  "/description the description should end with a full stop",
		{"description: Keeps contacts.\n", ""}:                                           "/description the destination has no description",
		{"description: A note.", "description: A note"}:                                  "/authentication/fields/note the description should end with a full stop",
		{"description: Creates.", "description: ''"}:                                     "/actions/create/description",
		{"{label: ID, description: The id., type: string}", "{label: ID, type: string}"}: "/actions/create/fields/id the field has no description",
	} {
		text := strings.Replace(linted("", ""), change[0], change[1], 1)
		require.NotEqual(t, linted("", ""), text)
		d, err := destination.ParseDefinition("destination.yaml", []byte(text))
		require.NoError(t, err)
		findings := d.Lint(destination.LintOptions{})
		if assert.Len(t, findings, 1, change[1]) {
			assert.Contains(t, findings[0].Pointer+" "+findings[0].Message, want)
		}
	}
}

// TestLintOfNames checks the keys and titles of actions, and the fields that presets map.
func TestLintOfNames(t *testing.T) {
	const other = "  other:\n    title: %s\n    description: Other.\n    fields: {}\n"
	for text, want := range map[string][]string{
		fmt.Sprintf(other, "Other"):  nil,
		fmt.Sprintf(other, "Create"): {`/actions/other/title has the same title as create: "Create"`},
		strings.Replace(fmt.Sprintf(other, "Other"), "other:", "Other-One:", 1):                                                    {"/actions/Other-One the key of an action should be like createContact"},
		`presets: [{name: P, type: automatic, action: create, subscribe: type = "track", mapping: {id: x, __internal: y}}]` + "\n": nil,
		`presets: [{name: P, type: automatic, action: create, subscribe: type = "track", mapping: {id: x, ids: y}}]` + "\n": {
			`/presets/0/mapping/ids maps ids, which is not a field of create (did you mean "id"?)`},
	} {
		d, err := destination.ParseDefinition("destination.yaml", []byte(linted("", "")+text))
		require.NoError(t, err, text)
		var found []string
		for _, f := range d.Lint(destination.LintOptions{}) {
			found = append(found, f.Pointer+" "+f.Message)
		}
		assert.Equal(t, want, found)
	}
}

func TestLintSaysThatARequestAsksForTooLargeBatches(t *testing.T) {
	for size, want := range map[string]string{
		"1000": "", "1001": "/actions/create/request/batch/size the size is 1001, but a batch holds at most 1000 payloads",
	} {
		text := linted("", "") + "    request: {url: https://a.example, batch: {size: " + size + "}, body: {\"@path\": $.items}}\n"
		d, err := destination.ParseDefinition("destination.yaml", []byte(text))
		require.NoError(t, err)
		var found string
		for _, f := range d.Lint(destination.LintOptions{}) {
			found += f.Pointer + " " + f.Message
		}
		assert.Equal(t, want == "", found == "", found)
		assert.Contains(t, found, want)
	}
}

func TestLintOptions(t *testing.T) {
	d, err := destination.ParseDefinition("destination.yaml", []byte(linted("", "")))
	require.NoError(t, err)
	for _, tc := range []struct {
		options destination.LintOptions
		want    string
	}{
		{destination.LintOptions{Directory: "/somewhere/acme"}, ""},
		{destination.LintOptions{Directory: "/somewhere/acme-two"}, `the slug is "acme", but the directory is called "acme-two"`},
		{destination.LintOptions{Performs: func(string) bool { return false }}, "nothing performs the action"},
		{destination.LintOptions{Performs: func(action string) bool { return action == "create" }}, ""},
	} {
		findings := d.Lint(tc.options)
		if tc.want == "" {
			assert.Empty(t, findings)
			continue
		}
		require.Len(t, findings, 1)
		assert.Contains(t, findings[0].Message, tc.want)
	}
}

// TestUnknownKeysOfFields holds that a misspelled key of a field is a mistake with its place and the key that was meant.
func TestUnknownKeysOfFields(t *testing.T) {
	for _, tc := range []struct{ field, place, meant string }{
		{`{label: A, type: string, requird: true}`, "/a/requird", "required"},
		{`{label: A, type: string, defualt: x}`, "/a/defualt", "default"},
		{`{label: A, type: object, properties: {b: {label: B, type: string, chioces: [x]}}}`, "/a/properties/b/chioces", "choices"},
		{`{label: A, type: string, required: {match: all, condition: []}}`, "/a/required", "conditions"},
		{`{label: A, type: string, depends_on: {conditions: [{fieldkey: id, operator: is}]}}`, "/a/depends_on/conditions/0/fieldkey", "fieldKey"},
	} {
		for _, text := range []string{linted("", "a: "+tc.field), linted("a: "+tc.field, "")} {
			_, err := destination.ParseDefinition("acme.yaml", []byte(text))
			problems := fault.ProblemsOf(err)
			require.NotEmpty(t, problems, tc.field)
			assert.Contains(t, problems.Error(), tc.place)
			assert.Contains(t, problems.Error(), fmt.Sprintf("%q", tc.meant))
			assert.Positive(t, problems[0].Line)
		}
	}
}

// TestDestinationsOfThisRepositoryPassLint is the suite's definition checks for the files that `landfall validate` reads.
func TestDestinationsOfThisRepositoryPassLint(t *testing.T) {
	files, err := filepath.Glob("../../destinations/*/" + destination.DefinitionFile)
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		d, err := destination.ParseDefinition(file, text)
		require.NoError(t, err, strings.TrimSpace(file))
		assert.Empty(t, d.Lint(destination.LintOptions{Directory: filepath.Dir(file)}), file)
	}
}

func TestLintChecksTheSettingsOfAudiences(t *testing.T) {
	for field, want := range map[string]string{
		`{label: A, type: string, default: {"@pth": $.x}}`: "/audienceFields/a/default the default is a mapping, but a setting is not mapped: it should be a value",
		`{label: A, type: boolean, default: nope}`:         "/audienceFields/a/default the default is not a valid value of the field",
		`{label: A, type: number, minimum: 2, maximum: 1}`: "/audienceFields/a/minimum",
		`{label: A, type: boolean, default: true}`:         "",
	} {
		d, err := destination.ParseDefinition("destination.yaml", []byte(linted("", "")+"audienceConfig: {mode: {type: realtime}}\naudienceFields:\n  a: "+field+"\n"))
		require.NoError(t, err)
		findings := d.Lint(destination.LintOptions{})
		if want == "" {
			assert.Empty(t, findings, field)
		} else if assert.Len(t, findings, 1, field) {
			assert.Contains(t, findings[0].Pointer+" "+findings[0].Message, want)
		}
	}
}
