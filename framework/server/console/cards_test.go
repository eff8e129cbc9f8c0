package console_test

import (
	"html"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// withMapping is a config whose only subscription maps the field external_id like this.
func withMapping(mapping string) string {
	return strings.Replace(manySubscriptions(1), `external_id: {"@path": $.userId}`, "external_id: "+mapping, 1)
}

// TestEveryDirectiveHasACard checks for each directive of the table that its card shows what the file has, that sending the form changes
// nothing, and that it can be edited as JSON and as a card again.
func TestEveryDirectiveHasACard(t *testing.T) {
	examples := map[string]string{
		"@path": `{"@path":["userId"]}`, "@template": `{"@template":{"@path":"$.a"}}`,
		"@if":        `{"@if":{"then":{"@case":{"operator":"upper","value":{"@path":"$.userId"}}},"exists":{"@path":"$.userId"},"else":5}}`,
		"@case":      `{"@case":{"operator":"lower","value":{"@path":"$.userId"}}}`,
		"@replace":   `{"@replace":{"value":{"@path":"$.userId"},"pattern":"a","replacement":"","global":false}}`,
		"@arrayPath": `{"@arrayPath":["$.products",{"id":{"@path":"$.id"}}]}`,
		"@merge":     `{"@merge":{"objects":[{"@path":"$.a"},{"b":1}],"direction":"right"}}`,
		"@flatten":   `{"@flatten":{"value":{"@path":"$.a"},"separator":"."}}`,
		"@omit":      `{"@omit":{"value":{"@path":"$.a"},"keys":["b","c"]}}`,
		"@scalars":   `{"@scalars":{"value":{"@path":"$.a"}}}`,
		"@json":      `{"@json":{"mode":"encode","value":{"@path":"$.a"}}}`,
		"@transform": `{"@transform":{"apply":{"a":{"@path":"$.b"}},"mapping":{"@path":"$.a"}}}`, "@excludeWhenNull": `{"@excludeWhenNull":{"a":null}}`,
		"@literal": `{"@literal":{"@path":"$.a"}}`, "@liquid": `{"@liquid":"{{ userId }}"}`, "@expr": `{"@expr":"userId"}`,
	}
	p := newPage(t, withMapping(`{"@path": $.userId}`))
	for _, d := range mapping.Directives() {
		text, ok := examples[d.Name]
		require.True(t, ok, "the test needs an example of the new directive %s", d.Name)
		require.NoError(t, os.WriteFile(p.file, []byte(withMapping(text)), 0o600))
		q := formInputs(p.get("setup/edit/main"))
		assert.Equal(t, "card", q.Get("s.0.f.external_id.mode"), d.Name)
		assert.Equal(t, d.Name, q.Get("s.0.f.external_id.directive"))
		q.Set("do", "review")
		assert.Contains(t, p.post("setup/edit", q), "No changes.", d.Name)
		q.Set("do", "check")
		q.Set("s.0.f.external_id.mode", "json")
		q = formInputs(p.post("setup/edit", q))
		assert.JSONEq(t, text, q.Get("s.0.f.external_id.text"), d.Name)
		q.Set("s.0.f.external_id.mode", "card")
		assert.Equal(t, d.Name, formInputs(p.post("setup/edit", q)).Get("s.0.f.external_id.directive"))
	}
}

// cardForm is the form of a page, as a person uses it who has no script.
type cardForm struct {
	t *testing.T
	p *page
	url.Values
}

// press sends the form with a button, and returns the page. The form is that of the page afterwards.
func (f *cardForm) press(do string) string {
	f.Set("do", do)
	body := f.p.post("setup/edit", f.Values)
	if strings.Contains(body, `id="setup"`) {
		f.Values = formInputs(body)
	}
	return body
}

// written returns the lines that the review of the form adds.
func (f *cardForm) written() string {
	f.t.Helper()
	var lines []string
	for _, m := range regexp.MustCompile(`<span class="added">&#43;(.*)`).FindAllStringSubmatch(f.press("review"), -1) {
		lines = append(lines, strings.TrimSpace(html.UnescapeString(m[1])))
	}
	return strings.Join(lines, "\n")
}

// TestCardsAreEdited makes a directive of a path, changes it to another one, nests a third in it, and edits a list, all without a script.
func TestCardsAreEdited(t *testing.T) {
	p := newPage(t, withMapping(`{"@path": $.userId}`))
	f := &cardForm{t, p, formInputs(p.get("setup/edit/main"))}
	const field = "s.0.f.external_id"
	f.Set(field+".mode", "card")
	f.press("check")
	assert.Equal(t, "@path", f.Get(field+".directive"))
	assert.Equal(t, []string{"text", "$.userId"}, []string{f.Get(field + ".0.mode"), f.Get(field + ".0.text")})
	f.Set(field+".directive", "@case")
	f.press("check")
	assert.Equal(t, "lower", f.Get(field+".0"))
	assert.Equal(t, "$.userId", f.Get(field+".1.text"), "a path becomes the argument of another directive")
	f.Set(field+".0", "upper")
	assert.Contains(t, f.written(), "\"@case\":\noperator: upper\nvalue: {\"@path\": $.userId}")

	f.Set(field+".1.mode", "card")
	f.press("check")
	f.Set(field+".1.directive", "@merge")
	f.press("check")
	f.press("item:" + field + ".1.0")
	f.press("item:" + field + ".1.0")
	assert.Equal(t, "3", f.Get(field+".1.0.items"))
	f.Set(field+".1.0.1.text", "second")
	f.Set(field+".1.0.2.mode", "json")
	f.Set(field+".1.0.2.text", `{"third": 3}`)
	body := f.press("unitem:" + field + ".1.0.1")
	assert.Contains(t, body, `name="draft"`, "it can be undone")
	assert.Equal(t, "2", f.Get(field+".1.0.items"))
	assert.Equal(t, `{"third": 3}`, f.Get(field+".1.0.1.text"))
	assert.Contains(t, f.written(), "third: 3")

	f.Set(field+".1.0.1.text", `{"half`)
	body = f.press("check")
	assert.Contains(t, body, "Objects 2: This is not valid JSON")
	assert.Equal(t, `{"half`, f.Get(field+".1.0.1.text"), "what cannot be read is not lost")
	f.Set(field+".mode", "default")
	f.press("check")
	assert.Equal(t, "default", f.Get(field+".mode"))
}

// TestCardsInTheWizard checks that the page of identifiers keeps directives, and shows the inputs of a new one before it saves it.
func TestCardsInTheWizard(t *testing.T) {
	p := newPage(t, withMapping(`{"@case": {"operator": "lower", "value": {"@path": $.userId}}}`))
	before, err := os.ReadFile(p.file)
	require.NoError(t, err)
	q := formInputs(p.get("wizard/at/main/identifiers"))
	assert.Equal(t, "@case", q.Get("s.0.f.external_id.directive"))
	save := func() string { return p.do(http.MethodPost, "wizard/at/main/identifiers", q, nil).Body.String() }
	save()
	text, err := os.ReadFile(p.file)
	require.NoError(t, err)
	assert.Equal(t, string(before), string(text))
	q.Set("s.0.f.external_id.directive", "@merge")
	q = formInputs(save())
	q.Set("do", "item:s.0.f.external_id.0")
	q = formInputs(save())
	assert.Equal(t, "2", q.Get("s.0.f.external_id.0.items"))
	text, err = os.ReadFile(p.file)
	require.NoError(t, err)
	assert.Equal(t, string(before), string(text), "new inputs are shown before anything is saved")
	q.Set("s.0.f.external_id.directive", "@json")
	q = formInputs(save())
	q.Set("s.0.f.external_id.0", "encode")
	assert.Empty(t, save(), "a redirect to the next page")
	text, err = os.ReadFile(p.file)
	require.NoError(t, err)
	assert.Contains(t, string(text), "mode: encode")
}

// TestCardsInThePreview checks that the script gets other inputs when another way to map a field was chosen, and only then, and that a
// problem within a card says where it is.
func TestCardsInThePreview(t *testing.T) {
	p := newPage(t, withMapping(`{"@case": {"operator": "lower", "value": {"@path": $.userId}}}`))
	q := formInputs(p.get("setup/edit/main"))
	const part = `"inputs-s-0-f-external_id":`
	assert.NotContains(t, p.post("setup/preview", q), part)
	q.Set("s.0.f.external_id.1.mode", "card")
	body := p.post("setup/preview", q)
	assert.Contains(t, body, part)
	assert.Contains(t, body, "@if")
	q = formInputs(newPage(t, withMapping(`{"@flatten": {"value": {"@path": $.a}, "separator": {"@path": ""}}}`)).get("setup/edit/main"))
	q.Set("s.0.f.external_id.1.mode", "json")
	q.Set("s.0.f.external_id.1.text", "5")
	assert.Contains(t, html.UnescapeString(p.post("setup/edit", q)), "separator")
}
