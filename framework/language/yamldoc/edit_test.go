package yamldoc_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
)

const edited = `# what runs here
sources:
  - id: web # the shop
    writeKey: ${WRITE_KEY}

destinations:
  # the main one
  - id: main
    destination: braze-cohorts
    settings:
      endpoint: https://rest.iad-01.braze.com   # US
      client_secret: "${SECRET}" # from the vault
    subscriptions:
      # entries and exits
      - name: VIP
        action: syncAudiences
        subscribe: event = "A"
        mapping: {key: vip, at: {"@path": $.userId}}
      # and traits
      - name: Traits
        action: syncAudiences

# the end
listen: 127.0.0.1:1
`

func TestEditKeepsUnchangedParts(t *testing.T) {
	for _, c := range []struct {
		name     string
		change   func(string) string // of the value as JSON
		from, to string              // of the text
	}{
		{"a scalar keeps its comment", replacing(`rest.iad-01`, `rest.fra-01`), "rest.iad-01", "rest.fra-01"},
		{"a quoted scalar", replacing(`"${SECRET}"`, `"${OTHER}"`), `"${SECRET}" #`, `${OTHER} #`},
		{"a flow value", replacing(`"key":"vip"`, `"key":"gold"`), `        mapping: {key: vip, at: {"@path": $.userId}}`, "        mapping:\n          key: gold\n          at: {\"@path\": $.userId}"},
		{"a new key", replacing(`"action":"syncAudiences"}]`, `"action":"syncAudiences","enabled":false}]`), "Traits\n        action: syncAudiences\n", "Traits\n        action: syncAudiences\n        enabled: false\n"},
		{"a key that goes", replacing(`,"client_secret":"${SECRET}"`, ``), "      client_secret: \"${SECRET}\" # from the vault\n", ""},
		{"an item that goes", replacing(`,{"name":"Traits","action":"syncAudiences"}`, ``), "      - name: Traits\n        action: syncAudiences\n", ""},
		{"a new item", replacing(`"syncAudiences"}]`, `"syncAudiences"},{"name":"New","action":"x"}]`), "Traits\n        action: syncAudiences\n", "Traits\n        action: syncAudiences\n      - name: New\n        action: x\n"},
		{"a top-level key", replacing(`127.0.0.1:1`, `127.0.0.1:2`), "listen: 127.0.0.1:1", "listen: 127.0.0.1:2"},
		{"nothing", replacing("x", "x"), "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc, err := yamldoc.Parse("f", []byte(edited))
			require.NoError(t, err)
			to := event.MustParse(c.change(doc.Value().JSON()))
			text, err := yamldoc.Edit("f", []byte(edited), to)
			require.NoError(t, err)
			assert.Equal(t, strings.Replace(edited, c.from, c.to, 1), string(text))
		})
	}
}

func replacing(from, to string) func(string) string {
	return func(json string) string { return strings.Replace(json, from, to, 1) }
}

// TestEditRespectsAliases checks that a change does not affect an alias: the value that contains both is replaced.
func TestEditRespectsAliases(t *testing.T) {
	text := "a:\n  x: &m\n    k: 1\n  z: *m\n# stays\nb: 2\n"
	out, err := yamldoc.Edit("f", []byte(text), event.MustParse(`{"a":{"x":{"k":5},"z":{"k":1}},"b":2}`))
	require.NoError(t, err)
	assert.Equal(t, "a:\n  x: {k: 5}\n  z: {k: 1}\n# stays\nb: 2\n", string(out))
}

func TestEditOfAnEmptyText(t *testing.T) {
	out, err := yamldoc.Edit("f", nil, event.MustParse(`{"sources":[{"id":"web"}],"n":1.50,"s":"${X}","t":"yes","q":"event = \"A\""}`))
	require.NoError(t, err)
	doc, err := yamldoc.Parse("f", out)
	require.NoError(t, err)
	assert.Equal(t, `{"sources":[{"id":"web"}],"n":1.50,"s":"${X}","t":"yes","q":"event = \"A\""}`, doc.Value().JSON())
}

func FuzzEdit(f *testing.F) {
	f.Add(edited, `{"sources":[],"destinations":[{"id":"x"}]}`)
	f.Add("a: [1, 2]\nb:\n- c\n- d\n", `{"a":[1],"b":["d","e"]}`)
	f.Add("- a\n-\n  b: 1\n", `["a",{"b":2},"# no comment",": "]`)
	f.Add("k: |\n  # text\n  more\nl: 'it''s' # c\n", `{"k":"other\n","l":"x"}`)
	f.Add("a: &x {b: 1}\nc: *x\n", `{"a":{"b":2},"c":{"b":1}}`)
	f.Add(`{"a": 1}`, `{"a":2}`)
	f.Add("# c\ra: 1\rb: [2]\n\rc: x", `{"a":2,"b":[3],"c":"x"}`)
	f.Fuzz(func(t *testing.T, text, to string) {
		v, err := event.ParseString(to)
		if err != nil || !strings.HasPrefix(v.JSON(), "{") && !strings.HasPrefix(v.JSON(), "[") {
			return
		}
		if _, err := yamldoc.Parse("f", []byte(v.JSON())); err != nil {
			return // such as a key that is written twice
		}
		out, err := yamldoc.Edit("f", []byte(text), v)
		if err != nil {
			return
		}
		doc, err := yamldoc.Parse("f", out)
		if err != nil {
			t.Fatalf("%q became %q: %v", text, out, err)
		}
		if doc.Value().JSON() != v.JSON() {
			t.Fatalf("%q became %q, which says %s and not %s", text, out, doc.Value().JSON(), v.JSON())
		}
	})
}
