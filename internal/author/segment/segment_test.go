package segment_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
	"github.com/landfall-dev/landfall/internal/author/segment"
)

var update = flag.Bool("update", false, "write testdata again")

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return text
}

// golden compares a result and its notes with a golden file.
func golden(t *testing.T, name string, r segment.Result) {
	t.Helper()
	text := r.YAML("A comment.")
	got := string(text) + "---\n" + strings.ReplaceAll(r.Notes.Error(), "testdata/", "") + "\n"
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	assert.Equal(t, string(read(t, file)), got)
}

func TestMetadata(t *testing.T) {
	for _, name := range []string{"public-api", "definition"} {
		t.Run(name, func(t *testing.T) {
			file := "testdata/" + name + ".json"
			r, err := segment.Metadata(file, read(t, file), false)
			require.NoError(t, err)
			golden(t, name+".golden", r)
			_, err = destination.ParseDefinition("destination.yaml", r.YAML())
			assert.NoError(t, err)
		})
	}
}

func TestMetadataKeepsAudiences(t *testing.T) {
	const head = `{"name":"A","slug":"a","actions":{"send":{"title":"Send","fields":{}}}`
	for text, want := range map[string]struct{ config, fields, note string }{
		`,"audienceConfig":{"mode":{"type":"realtime"}}`:                                                                 {`{"mode":{"type":"realtime"}}`, "", ""},
		`,"audienceConfig":{"mode":{"type":"synced","full_audience_sync":false}}`:                                        {`{"mode":{"type":"synced","full_audience_sync":false}}`, "", "write Plugin.CreateAudience"},
		`,"audienceConfig":{"mode":{"type":"other"}}`:                                                                    {"", "", "neither synced nor realtime"},
		`,"audienceConfig":{}`:                                                                                           {"", "", "neither synced nor realtime"},
		`,"audienceFields":{"o":{"label":"O","type":"string"}}`:                                                          {"", "", "not allowed without audienceConfig"},
		`,"audienceConfig":{"mode":{"type":"realtime"}},"audienceFields":{}`:                                             {`{"mode":{"type":"realtime"}}`, "", ""},
		`,"audienceConfig":{"mode":{"type":"realtime"}},"audienceFields":[{"fieldKey":"o","label":"O","type":"string"}]`: {`{"mode":{"type":"realtime"}}`, `{"o":{"label":"O","type":"string"}}`, ""},
	} {
		r, err := segment.Metadata("x.json", []byte(head+text+"}"), false)
		require.NoError(t, err, text)
		shown := func(key string) string {
			if v := r.Value.Get(key); v.Exists() {
				return v.JSON()
			}
			return ""
		}
		assert.Equal(t, want.config, shown("audienceConfig"), text)
		assert.Equal(t, want.fields, shown("audienceFields"), text)
		assert.Contains(t, r.Notes.Error(), want.note, text)
	}
}

func TestInvalidMetadataIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{"data":{}}`: "is not the metadata of a destination", `[]`: "is not the metadata of a destination", `{`: "x.json:1:",
		`{"name":"A","slug":"a","actions":{}}`:                   "nothing that Landfall supports is left",
		`{"name":"A","actions":[{"slug":"a","platform":"web"}]}`: "nothing that Landfall supports is left",
	} {
		_, err := segment.Metadata("x.json", []byte(text), false)
		assert.ErrorContains(t, err, want, text)
	}
}

const cohorts = "../../../destinations/braze-cohorts/destination.yaml"

func TestSubscriptions(t *testing.T) {
	d, err := destination.ParseDefinition(cohorts, read(t, cohorts))
	require.NoError(t, err)
	ids, err := segment.ActionIDs("m", []byte(`{"actions":[{"id":"act9","slug":"syncAudiences"}]}`))
	require.NoError(t, err)
	r, err := segment.Subscriptions("testdata/subscriptions.json", read(t, "testdata/subscriptions.json"), d, ids)
	require.NoError(t, err)
	golden(t, "subscriptions.golden", r)
	r, err = segment.Subscriptions("testdata/subscriptions.json", read(t, "testdata/subscriptions.json"), nil, nil)
	require.NoError(t, err)
	assert.Equal(t, 4, r.Count, "without the definition and ids")
	_, err = segment.Subscriptions("x.json", []byte(`"text"`), nil, nil)
	assert.ErrorContains(t, err, "holds no subscriptions")
}

// FuzzMetadata checks that every accepted metadata gives a valid definition.
func FuzzMetadata(f *testing.F) {
	for _, name := range []string{"public-api", "definition"} {
		text, err := os.ReadFile("testdata/" + name + ".json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"name":"A","actions":{"a":{"fields":{"x":{"type":"object","properties":{"y":1}},"":{}}}},"presets":[{},{"partnerAction":"a","mapping":{"@if":1}}],"options":[{"name":"oauth"},{"name":"a/b","default":[]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<14 || !utf8.Valid(text) {
			return
		}
		r, err := segment.Metadata("x.json", text, false)
		if err != nil {
			return
		}
		out := r.YAML()
		d, err := destination.ParseDefinition("d.yaml", out)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if !event.Equal(d.Document.Value(), r.Value) {
			t.Fatalf("%s\n%s", r.Value.JSON(), out)
		}
	})
}

// FuzzSubscriptions checks that all accepted subscriptions can be written and read again.
func FuzzSubscriptions(f *testing.F) {
	text, err := os.ReadFile("testdata/subscriptions.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`[{"action":"yes","name":"0x1F","mapping":{"a":"1e3","b":"~","c":"line\n\nbreak\n","d":" lead","e":"2026-01-01","f":"null","g":"- x: #","h":"'\"","i":"\t","j":"1_000","k":"on","l":"<<","<<":1,"*a":"&b","m":"%","n":"@path","o":"!x","?":":"}}]`))
	f.Add([]byte(`[{"action":"a","mapping":"{","subscribe":1},1,{"actionId":"x"}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<14 || !utf8.Valid(text) {
			return
		}
		r, err := segment.Subscriptions("x.json", text, nil, nil)
		if err != nil {
			return
		}
		if n := r.Value.Get("subscriptions").Len(); n != r.Count {
			t.Fatal(n, r.Count)
		}
		out := r.YAML()
		doc, err := yamldoc.Parse("s.yaml", out)
		if err != nil || !event.Equal(doc.Value(), r.Value) {
			t.Fatalf("%v: %s\n%s", err, r.Value.JSON(), out)
		}
	})
}

func TestQueriesOfSegmentsOwnPresetsAreRewritten(t *testing.T) {
	r, err := segment.Metadata("x.json", []byte(`{"name":"A","slug":"a","mode":"cloud","presets":[
		{"name":"P","type":"automatic","partnerAction":"send","subscribe":"type = \"track\" AND event = \"Product Added\""},
		{"name":"Q","type":"automatic","partnerAction":"send","subscribe":"type is track"}],
		"actions":{"send":{"title":"Send","description":"Sends.","defaultSubscription":"type=track","fields":{}}}}`), false)
	require.NoError(t, err)
	assert.Equal(t, `type="track"`, r.Value.Get("actions").Get("send").Get("defaultSubscription").Str())
	require.Equal(t, 1, r.Value.Get("presets").Len())
	assert.Equal(t, `type = "track" and event = "Product Added"`, r.Value.Get("presets").Index(0).Get("subscribe").Str())
	notes := r.Notes.Error()
	assert.Contains(t, notes, `is rewritten as type = "track" and event = "Product Added"`)
	assert.Contains(t, notes, `is rewritten as type="track"`)
	assert.Contains(t, notes, `is not imported`)
}

func TestQueriesOfSubscriptionsAreRewritten(t *testing.T) {
	r, err := segment.Subscriptions("x.json", []byte(`[{"name":"P","actionSlug":"send","trigger":"type = track OR event == \"A\"","settings":{}}]`), nil, nil)
	require.NoError(t, err)
	assert.Equal(t, `type = "track" or event = "A"`, r.Value.Get("subscriptions").Index(0).Get("subscribe").Str())
	assert.Contains(t, r.Notes.Error(), `is rewritten as type = "track" or event = "A"`)
}

// TestDefaultsAndSchemesAreKept checks which defaults of fields are imported, and when the scheme basic is.
func TestDefaultsAndSchemesAreKept(t *testing.T) {
	imported := func(settings string) event.Value {
		r, err := segment.Metadata("x.json", []byte(`{"name":"A","slug":"a","mode":"cloud","authentication":{"scheme":"basic","fields":{`+settings+`}},
			"actions":{"send":{"title":"Send","description":"Sends.","defaultSubscription":"type = \"track\"","fields":{
				"no":{"label":"N","type":"boolean","default":false},"yes":{"label":"Y","type":"boolean","default":true},"zero":{"label":"Z","type":"number","default":0},
				"path":{"label":"P","type":"string","default":{"@path":"$.userId"}},
				"null":{"label":"U","type":"string","default":null}}}}}`), false)
		require.NoError(t, err)
		return r.Value
	}
	user, password := `"username":{"label":"U","type":"string","required":true}`, `"password":{"label":"P","type":"string","required":true}`
	fields := imported(user + "," + password).Get("actions").Get("send").Get("fields")
	for key, want := range map[string]string{"no": "false", "yes": "true", "zero": "0", "path": `{"@path":"$.userId"}`, "null": ""} {
		got := fields.Get(key).Get("default")
		assert.Equal(t, want != "", got.Exists(), key)
		if want != "" {
			assert.Equal(t, want, got.JSON(), key)
		}
	}
	for settings, want := range map[string]string{user + "," + password: "basic", user: "custom", password: "custom"} {
		assert.Equal(t, want, imported(settings).Get("authentication").Get("scheme").Str(), settings)
	}
}
