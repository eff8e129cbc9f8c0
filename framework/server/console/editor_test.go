package console_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// formInputs returns the parameters that a browser would send for the form of a page.
func formInputs(body string) url.Values {
	q := url.Values{}
	attribute := func(tag, name string) string {
		if m := regexp.MustCompile(`\s` + name + `="([^"]*)"`).FindStringSubmatch(tag); m != nil {
			return html.UnescapeString(m[1])
		}
		return ""
	}
	body = body[max(strings.Index(body, `id="setup"`), strings.Index(body, `id="fields"`)):]
	for _, m := range regexp.MustCompile(`(?s)<input [^>]*>|<textarea ([^>]*)>(.*?)</textarea>|<select ([^>]*)>(.*?)</select>`).FindAllStringSubmatch(body, -1) {
		name, kind := attribute(m[0], "name"), attribute(m[0], "type")
		switch {
		case m[1] != "":
			q.Add(name, html.UnescapeString(m[2]))
		case m[3] != "":
			options := regexp.MustCompile(`<option(?: value="([^"]*)")?( selected)?>([^<]*)<`).FindAllStringSubmatch(m[4], -1)
			chosen := ""
			for i, o := range options {
				if i == 0 || o[2] != "" {
					if chosen = o[1]; !strings.Contains(o[0], "value=") {
						chosen = o[3]
					}
				}
			}
			q.Add(name, html.UnescapeString(chosen))
		case kind == "checkbox" && !strings.Contains(m[0], " checked"):
		default:
			q.Add(name, attribute(m[0], "value"))
		}
	}
	return q
}

// manySubscriptions is a config with n subscriptions, each with a mapping and a comment.
func manySubscriptions(n int) string {
	var b strings.Builder
	b.WriteString("sources: [{id: web, writeKey: \"${WRITE_KEY}\"}]\ndestinations:\n  - id: main\n    destination: braze-cohorts\n    settings: {client_secret: \"${SECRET}\", partner_api_key: \"${PARTNER}\"}\n    subscriptions:\n")
	for i := range n {
		fmt.Fprintf(&b, "      # number %d\n      - name: Audience %d\n        action: syncAudiences\n        subscribe: context.personas.computation_key = \"a%d\" and (event = \"Audience Entered\" or event = \"Audience Exited\")\n        mapping: {personas_audience_key: a%d, external_id: {\"@path\": $.userId}}\n", i, i, i, i)
	}
	return b.String()
}

// TestEditorShowsOneSubscription checks that a form with 50 subscriptions is small, that each of them can be opened, and that those that
// are closed keep what they are in the file.
func TestEditorShowsOneSubscription(t *testing.T) {
	p := newPage(t, manySubscriptions(50))
	body := p.get("setup/edit/main")
	assert.Less(t, len(body), 150<<10)
	assert.Contains(t, body, `aria-label="Subscription Audience 0"`)
	assert.NotContains(t, body, `aria-label="Subscription Audience 7"`)
	q := formInputs(body)
	q.Set("do", "review")
	assert.Contains(t, p.post("setup/edit", q), "No changes.")

	q.Set("s.0.name", "Changed")
	q.Set("do", "open:7")
	body = p.post("setup/edit", q)
	assert.Less(t, len(body), 150<<10)
	assert.Contains(t, body, `aria-label="Subscription Audience 7"`)
	assert.Contains(t, body, `data-ask="changed"`)
	q = formInputs(body)
	q.Set("s.7.f.external_id.text", "$.traits.id")
	q.Set("do", "open:0")
	q = formInputs(p.post("setup/edit", q))
	q.Set("do", "review")
	review := html.UnescapeString(p.post("setup/edit", q))
	added := regexp.MustCompile(`<span class="added">(.*)`).FindAllStringSubmatch(review, -1)
	var lines []string
	for _, m := range added {
		lines = append(lines, strings.TrimSpace(strings.TrimPrefix(m[1], "+")))
	}
	assert.Equal(t, []string{"- name: Changed", "mapping:", "personas_audience_key: a7", `external_id: {"@path": $.traits.id}`}, lines)
}

// TestEditorKeepsWhatCannotBeRead checks that a subscription with a mistake stays open until it is corrected.
func TestEditorKeepsWhatCannotBeRead(t *testing.T) {
	p := newPage(t, manySubscriptions(2))
	q := formInputs(p.get("setup/edit/main"))
	q.Set("s.0.f.external_id.mode", "json")
	q.Set("s.0.f.external_id.text", `{"half`)
	q.Set("do", "open:1")
	body := p.post("setup/edit", q)
	assert.Contains(t, body, `aria-label="Subscription Audience 0"`)
	assert.Contains(t, html.UnescapeString(body), `{"half`)
	assert.Contains(t, body, "This is not valid JSON")
}

// TestEditorShowsFiltersAsRows goes from FQL to rows, changes them, and goes back.
func TestEditorShowsFiltersAsRows(t *testing.T) {
	p := newPage(t, manySubscriptions(1))
	q := formInputs(p.get("setup/edit/main"))
	before := q.Get("s.0.subscribe")
	press := func(do string) string {
		q.Set("do", do)
		body := p.post("setup/edit", q)
		q = formInputs(body)
		return body
	}
	press("rows:0")
	assert.Equal(t, []string{"rows", "3", "context.personas.computation_key", "=", "a0", "or"},
		[]string{q.Get("s.0.filter"), q.Get("s.0.rows"), q.Get("s.0.row.0.left"), q.Get("s.0.row.0.operator"), q.Get("s.0.row.0.right"), q.Get("s.0.row.2.join")})
	body := press("row:0")
	assert.Equal(t, "4", q.Get("s.0.rows"))
	assert.Contains(t, body, `aria-label="Field of condition 4"`)
	assert.NotContains(t, body, "Edit as rows")
	q.Set("s.0.row.3.left", "properties.n")
	q.Set("s.0.row.3.operator", ">=")
	q.Set("s.0.row.3.right", "5")
	press("unrow:0.2")
	press("fql:0")
	assert.Equal(t, `context.personas.computation_key = "a0" and event = "Audience Entered" and properties.n >= 5`, q.Get("s.0.subscribe"))
	q.Set("s.0.subscribe", `event = "A" or (event = "B" and userId != null)`)
	assert.Contains(t, press("rows:0"), "nested and cannot be shown as rows")
	assert.Equal(t, `event = "A" or (event = "B" and userId != null)`, q.Get("s.0.subscribe"))
	q.Set("s.0.subscribe", before)
	press("rows:0")
	q.Set("do", "review")
	assert.Contains(t, p.post("setup/edit", q), "No changes.", "rows without changes keep the text of the file")
}

// TestEditorUndoesButtons checks that Undo restores the form as it was before a button.
func TestEditorUndoesButtons(t *testing.T) {
	p := newPage(t, manySubscriptions(3))
	q := formInputs(p.get("setup/edit/main"))
	q.Set("s.0.name", "Typed")
	q.Set("do", "remove:1")
	body := p.post("setup/edit", q)
	assert.Equal(t, "2", formInputs(body).Get("subs"))
	undo := regexp.MustCompile(`name="draft" value="([^"]+)">Undo`).FindStringSubmatch(body)
	require.NotNil(t, undo)
	q = formInputs(body)
	q.Set("draft", undo[1])
	q = formInputs(p.post("setup/edit", q))
	assert.Equal(t, []string{"3", "Typed", "Audience 1"}, []string{q.Get("subs"), q.Get("s.0.name"), q.Get("s.1.name")})
}

// TestSampleAsATree checks the paths of the values of a sample.
func TestSampleAsATree(t *testing.T) {
	p := newPage(t, written)
	body := p.post("setup/edit", form(map[string]string{"do": "check", "sample": `{"type":"track","properties":{"first name":"x","items":[{"id":"<u>"}]},"a\"]":1}`}))
	for _, path := range []string{`$.type`, `$.properties["first name"]`, `$.properties.items[0].id`, `$['a"]']`} {
		assert.Contains(t, html.UnescapeString(body), `data-use="`+path+`"`)
	}
	assert.NotContains(t, body, "<u>")
	assert.Equal(t, http.StatusOK, p.do(http.MethodPost, "setup/edit", form(map[string]string{"do": "check", "sample": `{"half`}), nil).Code)
}
