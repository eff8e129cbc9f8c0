package scaffold

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

// TestNamesOfHandlers checks how the handler of an action is called, and that no name is one that Go or the package has.
func TestNamesOfHandlers(t *testing.T) {
	for key, want := range map[string]string{"sendNote": "sendNote", "URL": "url", "URLCheck": "urlCheck", "X": "x", "track_event": "trackEvent", "range": "rangeAction", "len": "lenAction", "init": "initAction", "taken": "takenAction"} {
		assert.Equal(t, want, handlerName(key, []string{"taken"}), key)
	}
	for action, method := range map[string]string{
		"createContact": "Post", "deleteContact": "Delete", "removeUser": "Delete", "drop": "Delete", "eraseUser": "Delete", "forgetUser": "Delete", "updateUser": "Patch", "patchUser": "Patch", "editUser": "Patch",
		"changeUser": "Patch", "putOrder": "Put", "replaceOrder": "Put", "setName": "Put", "settle": "Post", "": "Post",
	} {
		assert.Equal(t, method, methodOf(action), action)
	}
	for key, want := range map[string]string{"createContact": "Create Contact", "acme crm": "Acme Crm", "x": "X", "": "", "sendURL": "Send U R L"} {
		assert.Equal(t, want, titleWords(key), key)
	}
	for text, want := range map[string]string{"Acme": "Acme", "Acme CRM, v2": "Acme CRM, v2", "A: b": `"A: b"`, "9": `"9"`, `a"b`: `"a\"b"`} {
		assert.Equal(t, want, quoteText(text), text)
	}
	for _, n := range []New{{Slug: strings.Repeat("x", 65)}, {Slug: "x", Name: strings.Repeat("x", 65)}} {
		assert.Error(t, n.withDefaults().checkSlug())
	}
	for _, n := range []New{{Slug: strings.Repeat("x", 64)}, {Slug: "x", Name: strings.Repeat("x", 64)}} {
		assert.NoError(t, n.withDefaults().checkSlug())
	}
	assert.Error(t, New{Action: strings.Repeat("x", 65)}.checkAction(nil))
	assert.NoError(t, New{Action: strings.Repeat("x", 64)}.checkAction(nil))
	assert.Error(t, New{Action: "init"}.checkAction(nil), "init has no parameters in Go")
	assert.Error(t, New{Action: "taken"}.checkAction([]string{"taken"}))
	assert.NoError(t, New{Action: "taken", Declared: true}.checkAction([]string{"taken"}), "it has no handler")
}

// TestSampleValues checks that a made-up value is valid for each kind of field, at its bounds as well.
func TestSampleValues(t *testing.T) {
	long := strings.Repeat("x", 9999-len("sample a"))
	for text, want := range map[string]string{
		`{"type":"string"}`: `"sample a"`, `{"type":"string","choices":["x","y"]}`: `"x"`, `{"type":"number"}`: `1`, `{"type":"number","minimum":5}`: `5`, `{"type":"integer","maximum":0}`: `0`,
		`{"type":"integer","maximum":1}`: `1`, `{"type":"boolean"}`: `true`, `{"type":"datetime"}`: `"2026-01-02T03:04:05Z"`, `{"type":"object"}`: `{"key":"value"}`,
		`{"type":"string","multiple":true}`: `["sample a"]`, `{"type":"string","minimum":10}`: `"sample axx"`, `{"type":"string","maximum":4}`: `"samp"`, `{"type":"string","maximum":8}`: `"sample a"`,
		`{"type":"string","minimum":9999}`: `"sample a` + long + `"`, `{"type":"string","format":"email"}`: "",
		`{"type":"object","properties":{"b":{"label":"B","type":"string"}}}`:                                                   `{"b":"sample b"}`,
		`{"type":"object","properties":{"b":{"label":"B","type":"string"},"c":{"label":"C","type":"number","required":true}}}`: `{"c":1}`,
	} {
		fields, err := fieldschema.ParseFields(event.MustParse(`{"a":` + text + `}`))
		require.NoError(t, err, text)
		for _, required := range []bool{false, true} {
			fields[0].Required.Always = required
			sample, err := sampleOf(fields, nil)
			require.NoError(t, err, text)
			if got := sample.Get("a").JSON(); want != "" {
				assert.Equal(t, want, got, text)
			}
		}
	}
	fields, err := fieldschema.ParseFields(event.MustParse(`{"a":{"type":"string"},"b":{"type":"string","required":true},"batch_size":{"type":"number"},"c":{"type":"string","required":true,"default":"x"}}`))
	require.NoError(t, err)
	sample, err := sampleOf(fields, nil)
	require.NoError(t, err)
	assert.Equal(t, `{"b":"sample b","c":"sample c"}`, sample.JSON(), "the required ones")
	sample, err = sampleOf(fields, func(f fieldschema.Field) bool { return f.Default.Exists() })
	require.NoError(t, err)
	assert.Equal(t, `{"b":"sample b"}`, sample.JSON())
	sample, err = sampleOf(fields[:1], func(fieldschema.Field) bool { return false })
	require.NoError(t, err)
	assert.Equal(t, `{}`, sample.JSON(), "nothing is required")
	sample, err = sampleOf(fieldschema.Fields{fields[2], fields[0]}, nil)
	require.NoError(t, err)
	assert.Equal(t, `{"a":"sample a"}`, sample.JSON(), "the first one that is not for the runtime")
	tooLong, err := fieldschema.ParseFields(event.MustParse(`{"a":{"type":"string","required":true,"minimum":10000}}`))
	require.NoError(t, err)
	_, err = sampleOf(tooLong, nil)
	assert.Error(t, err, "a text of this length is not made up")
}

// TestActionsSendTheMethodOfTheirName checks that the handler and the case of an action of a given definition use the method that its name says.
func TestActionsSendTheMethodOfTheirName(t *testing.T) {
	d, err := destination.ParseDefinition("f", []byte("name: A\nslug: a\nmode: cloud\nauthentication: {scheme: none}\nactions:\n  createThing: {title: C, fields: {}}\n  deleteThing: {title: D, fields: {}}\n  updateThing: {title: U, fields: {}}\n"))
	require.NoError(t, err)
	v := &pluginView{view: view{New: New{Slug: "a"}, Package: "a"}, definition: d}
	v.fillActions()
	for i, want := range []string{"Post", "Delete", "Patch"} {
		a := v.Actions[i]
		assert.Equal(t, want, a.Method, a.Key)
		assert.Equal(t, strings.ToUpper(want), v.caseOf(a, event.Value{}, event.NewObject(nil)).Get("expect").Get("requests").Index(0).Get("method").Str())
		files := map[string][]byte{}
		require.NoError(t, v.addHandlers(files))
		assert.Contains(t, string(files[strings.ToLower(a.Handler)+".go"]), "http.Method"+want+",", a.Key)
	}
}
