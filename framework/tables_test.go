package framework_test

//go:generate go test -run TestTables -update .

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/language/mapping"
	"github.com/landfall-dev/landfall/framework/language/reference"
	"github.com/landfall-dev/landfall/internal/author/scaffold"
)

var update = flag.Bool("update", false, "write the documentation and the schemas that follow from the tables of the languages")

// checkFile compares a file with what it should contain, or writes it.
func checkFile(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	switch {
	case string(got) == want:
	case *update:
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
	default:
		t.Errorf("%s does not follow from the tables of the languages: run go generate ./framework", path)
	}
}

// checkSection compares the part of a page between the markers of a table with text, or writes it.
func checkSection(t *testing.T, path, name, text string) {
	t.Helper()
	page, err := os.ReadFile(path)
	require.NoError(t, err)
	begin, end := "<!-- "+name+": go generate ./framework writes this table. -->\n", "<!-- end of "+name+" -->"
	before, rest, found := strings.Cut(string(page), begin)
	_, after, ended := strings.Cut(rest, end)
	require.True(t, found && ended, "%s has no markers for %s", path, name)
	checkFile(t, path, before+begin+text+end+after)
}

// checkSchema compares a part of a JSON Schema with the value that it should have, or writes it.
func checkSchema(t *testing.T, path, pointer string, want event.Value) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	document := event.MustParse(string(text))
	require.True(t, document.At(pointer).Exists(), "%s has no %s", path, pointer)
	var b bytes.Buffer
	require.NoError(t, json.Indent(&b, []byte(replaceAt(document, event.PointerSteps(pointer), want).JSON()), "", "  "))
	checkFile(t, path, b.String()+"\n")
}

// replaceAt returns v with the value at a path replaced.
func replaceAt(v event.Value, steps []string, with event.Value) event.Value {
	if len(steps) == 0 {
		return with
	}
	var members []event.Member
	for key, m := range v.Members() {
		if key == steps[0] {
			m = replaceAt(m, steps[1:], with)
		}
		members = append(members, event.Member{Key: key, Value: m})
	}
	return event.NewObject(members)
}

// markdownTable returns a table. A | in a cell is escaped.
func markdownTable(header []string, rows [][]string) string {
	var b strings.Builder
	for i, row := range append([][]string{header}, rows...) {
		for _, cell := range row {
			b.WriteString("| " + strings.ReplaceAll(cell, "|", `\|`) + " ")
		}
		b.WriteString("|\n")
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(header)) + "|\n")
		}
	}
	return b.String()
}

func codeSpan(text string) string {
	if strings.Contains(text, "`") {
		return "`` " + text + " ``"
	}
	return "`" + text + "`"
}

func codeSpans(texts []string) string {
	spans := make([]string, len(texts))
	for i, text := range texts {
		spans[i] = codeSpan(text)
	}
	return strings.Join(spans, " ")
}

// usageOf returns how an entry is written.
func usageOf(e reference.Entry) string {
	if e.Usage == "" {
		return e.Name
	}
	return e.Usage
}

// usageRows returns a row for each entry: how it is written, and what it is.
func usageRows(list []reference.Entry) [][]string {
	var rows [][]string
	for _, e := range list {
		rows = append(rows, []string{codeSpan(usageOf(e)), e.Summary})
	}
	return rows
}

func namesOf(list []reference.Entry) []string {
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = e.Name
	}
	return names
}

// checkEntries fails for entries without a summary, or with the name of another.
func checkEntries(t *testing.T, list []reference.Entry) {
	t.Helper()
	seen := map[string]bool{}
	for _, e := range list {
		assert.NotEmpty(t, e.Summary, e.Name)
		assert.False(t, seen[e.Name], "%s is listed twice", e.Name)
		seen[e.Name] = true
	}
}

const (
	mappingPage   = "language/mapping/README.md"
	mappingSchema = "../schemas/mapping.schema.json"
)

// TestTablesDirectives checks that each directive has a summary, a schema, an example, an explanation and a description.
func TestTablesDirectives(t *testing.T) {
	list := mapping.Directives()
	checkEntries(t, list)
	checkSection(t, mappingPage, "directives", markdownTable([]string{"directive", "result"}, usageRows(list)))
	var properties []event.Member
	for _, d := range list {
		schema := event.MustParse(d.Schema)
		description := d.Summary
		if d.Name == "@liquid" {
			description = fmt.Sprintf("A Liquid template. Tags: %s. Filters: %s.", strings.Join(namesOf(mapping.LiquidTags()), ", "), strings.Join(namesOf(mapping.LiquidFilters()), ", "))
		}
		var members []event.Member
		for key, m := range schema.Members() {
			members = append(members, event.Member{Key: key, Value: m})
		}
		members = append(members, event.Member{Key: "description", Value: event.NewString(description)})
		properties = append(properties, event.Member{Key: d.Name, Value: event.NewObject(members)})
	}
	text, err := os.ReadFile(mappingSchema)
	require.NoError(t, err)
	for key, m := range event.MustParse(string(text)).Get("properties").Members() {
		if !strings.HasPrefix(key, "@") {
			properties = append(properties, event.Member{Key: key, Value: m})
		}
	}
	checkSchema(t, mappingSchema, "/properties", event.NewObject(properties))
	checkDirectiveExamples(t, list)
}

// checkDirectiveExamples fails for directives without an example in the reference, and for those that an explanation of their
// example or a description does not tell apart from others.
func checkDirectiveExamples(t *testing.T, list []reference.Entry) {
	page, err := os.ReadFile(mappingPage)
	require.NoError(t, err)
	explained, described := map[string]string{}, map[string]string{}
	for _, block := range fence.FindAllStringSubmatch(string(page), -1) {
		for line := range strings.Lines(block[2]) {
			text, _, ok := strings.Cut(line, " => ")
			if !ok {
				continue
			}
			m := mapping.MustCompile(text)
			for _, trace := range m.Trace(event.MustParse(`{"userId": "u1", "properties": {"tags": []}}`)) {
				name, _, _ := strings.Cut(trace.From, " ")
				explained[name] = trace.From
			}
			for name := range m.Value().Get("v").Members() {
				described[name] = mapping.Describe(m.Value().Get("v"))
			}
		}
	}
	explained["@literal"] = explained["literal"]
	for _, d := range list {
		assert.NotEmpty(t, explained[d.Name], "%s has no example in %s, or its explanation does not begin with its name", d.Name, mappingPage)
		assert.NotEmpty(t, described[d.Name], d.Name)
		assert.NotContains(t, described[d.Name], d.Name, "the description is JSON")
	}
}

// TestTablesLiquid checks that each tag and filter of Liquid has a summary, and each filter an example, whose result is documented.
func TestTablesLiquid(t *testing.T) {
	tags, filters := mapping.LiquidTags(), mapping.LiquidFilters()
	checkEntries(t, tags)
	checkEntries(t, filters)
	noTags, noFilters := mapping.DisabledLiquid()
	checkSection(t, mappingPage, "liquid-tags", markdownTable([]string{"tag", "output"}, usageRows(tags))+"\nDisabled: "+codeSpans(noTags)+"\n")
	e := event.MustParse(`{"products": [{"sku": "p1"}, {"sku": "p2"}]}`)
	var rows [][]string
	for _, f := range filters {
		source := event.NewObject([]event.Member{{Key: "v", Value: event.NewObject([]event.Member{{Key: "@liquid", Value: event.NewString(f.Example)}})}})
		m, err := mapping.Compile(source)
		require.NoError(t, err, f.Example)
		require.Empty(t, m.Warnings(), f.Example)
		out, err := m.Resolve(e)
		require.NoError(t, err, f.Example)
		require.NotEmpty(t, out.Get("v").Str(), f.Example)
		require.Contains(t, f.Example, "| "+f.Name)
		rows = append(rows, []string{codeSpan(f.Usage), f.Summary, codeSpan(f.Example) + " → " + codeSpan(out.Get("v").Str())})
	}
	checkSection(t, mappingPage, "liquid-filters", markdownTable([]string{"filter", "result", "example"}, rows)+"\nDisabled: "+codeSpans(noFilters)+"\n")
}

// TestTablesExprFunctions checks that each function of @expr has a summary and an example, whose result is documented.
func TestTablesExprFunctions(t *testing.T) {
	list := mapping.ExprFunctions()
	checkEntries(t, list)
	var rows [][]string
	for _, f := range list {
		source := event.NewObject([]event.Member{{Key: "v", Value: event.NewObject([]event.Member{{Key: "@expr", Value: event.NewString(f.Example)}})}})
		m, err := mapping.Compile(source)
		require.NoError(t, err, f.Example)
		out, err := m.Resolve(event.MustParse(`{}`))
		require.NoError(t, err, f.Example)
		require.Contains(t, f.Example, f.Name+"(")
		rows = append(rows, []string{codeSpan(f.Usage), f.Summary, codeSpan(f.Example) + " → " + codeSpan(out.Get("v").JSON())})
	}
	checkSection(t, mappingPage, "expr-functions", markdownTable([]string{"function", "result", "example"}, rows))
}

// TestTablesFunctions checks that each function of FQL has a summary, an example, a description in words and an explanation.
func TestTablesFunctions(t *testing.T) {
	list := fql.Functions()
	checkEntries(t, list)
	described := map[string]string{}
	var rows [][]string
	for _, f := range list {
		rows = append(rows, []string{codeSpan(f.Usage), f.Summary, codeSpan(f.Example)})
		q, err := fql.Compile(f.Example)
		require.NoError(t, err, f.Example)
		require.Contains(t, f.Example, f.Name+"(")
		words := q.Describe()
		assert.NotContains(t, words, "(", "the description is the query")
		assert.Empty(t, described[words], "%s is described like %s", f.Name, described[words])
		described[words] = f.Name
		assert.Contains(t, q.Explain(event.MustParse(`{"event": "x"}`)).String(), f.Name+"(")
	}
	checkSection(t, "language/fql/README.md", "functions", markdownTable([]string{"function", "returns", "example"}, rows))
	functions := " Functions: " + strings.Join(namesOf(list), ", ") + "."
	for _, c := range []struct{ file, pointer, text string }{
		{"config", "/$defs/subscription/properties/subscribe/description", "The FQL query that selects events; by default the action's."},
		{"destination", "/$defs/preset/properties/subscribe/description", "Its FQL query."},
		{"destination", "/$defs/action/properties/defaultSubscription/description", "The FQL query of a subscription without one."},
		{"fixture", "/properties/subscribe/description", "An FQL query."},
	} {
		checkSchema(t, "../schemas/"+c.file+".schema.json", c.pointer, event.NewString(c.text+functions))
	}
}

const destinationSchema = "../schemas/destination.schema.json"

func namesValue(list []reference.Entry) event.Value {
	var names []event.Value
	for _, e := range list {
		names = append(names, event.NewString(e.Name))
	}
	return event.NewArray(names)
}

// TestTablesTypes checks that each type and format of fields is documented, offered by editors, generated as a Go type, and explained
// by the error of an invalid value.
func TestTablesTypes(t *testing.T) {
	types, formats := fieldschema.Types(), fieldschema.Formats()
	checkEntries(t, types)
	checkEntries(t, formats)
	checkSection(t, "language/fieldschema/README.md", "types", markdownTable([]string{"type", "value"}, usageRows(types)))
	checkSection(t, "language/fieldschema/README.md", "formats", markdownTable([]string{"format", "value"}, usageRows(formats)))
	checkSchema(t, destinationSchema, "/$defs/field/properties/type/enum", namesValue(types))
	checkSchema(t, destinationSchema, "/$defs/field/properties/format", event.NewObject([]event.Member{
		{Key: "type", Value: event.NewString("string")}, {Key: "description", Value: event.NewString("The format of a text.")}, {Key: "enum", Value: namesValue(formats)},
	}))
	generated, err := os.ReadFile("../internal/author/generate/testdata/every-kind.yaml")
	require.NoError(t, err)
	for _, e := range types {
		assert.Contains(t, string(generated), "type: "+e.Name, "no Go type is generated for it in a test")
		assert.ErrorContains(t, processField(t, `"type": "`+e.Name+`"`, `[[1], [2]]`), "V should be a")
	}
	for _, e := range formats {
		field := `"type": "string", "format": "` + e.Name + `"`
		assert.NoError(t, processField(t, field, `"`+e.Example+`"`), e.Name)
		if err := processField(t, field, `"%zz is none"`); e.Example != "" {
			assert.ErrorContains(t, err, "should be "+e.Summary)
		}
	}
}

// processField processes a payload with one field.
func processField(t *testing.T, field, value string) error {
	t.Helper()
	fields, err := fieldschema.ParseFields(event.MustParse(`{"v": {"label": "V", ` + field + `}}`))
	require.NoError(t, err)
	schema, err := fieldschema.Compile(fields)
	require.NoError(t, err)
	_, err = schema.Process(event.MustParse(`{"v": ` + value + `}`))
	return err
}

// TestTablesSchemes checks that each authentication scheme is documented and offered by editors, and that a new destination can only
// have known schemes.
func TestTablesSchemes(t *testing.T) {
	list := destination.Schemes()
	checkEntries(t, list)
	checkSection(t, "destination/README.md", "schemes", markdownTable([]string{"scheme", "credentials"}, usageRows(list)))
	var words []string
	for _, e := range list {
		words = append(words, e.Name+" ("+strings.ReplaceAll(e.Summary, "`", "")+")")
		assert.Equal(t, e.Summary, destination.Scheme(e.Name).Summary())
	}
	checkSchema(t, destinationSchema, "/$defs/authentication/properties/scheme/enum", namesValue(list))
	checkSchema(t, destinationSchema, "/$defs/authentication/properties/scheme/description",
		event.NewString("How requests are authenticated: "+strings.Join(words, ", ")+"."))
	assert.Subset(t, namesOf(list), scaffold.Schemes())
}
