package segment_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/internal/author/segment"
)

const oneAction = `"actions":{"send":{"title":"Send","defaultSubscription":"type = \"track\"","fields":{}}}`

// imported returns the definition that metadata is converted to, and the notes.
func imported(t *testing.T, text string, declared bool) (event.Value, string) {
	t.Helper()
	r, err := segment.Metadata("x.json", []byte(text), declared)
	require.NoError(t, err, text)
	return r.Value, r.Notes.Error()
}

// TestSettingsOfThePublicAPI checks the conversion of each kind of setting.
func TestSettingsOfThePublicAPI(t *testing.T) {
	for option, want := range map[string]string{
		`{"name":"a","type":"string","label":"A","description":"Of a."}`: `{"label":"A","description":"Of a.","type":"string"}`,
		`{"name":"a"}`:                                            `{"label":"a","type":"string"}`,
		`{"name":"a","type":"color"}`:                             `{"label":"a","type":"string"}`,
		`{"name":"a","type":"string","encrypt":true}`:             `{"label":"a","type":"password"}`,
		`{"name":"a","type":"password"}`:                          `{"label":"a","type":"password"}`,
		`{"name":"apiSecret","type":"string"}`:                    `{"label":"apiSecret","type":"password"}`,
		`{"name":"apiSecret","type":"boolean"}`:                   `{"label":"apiSecret","type":"boolean"}`,
		`{"name":"a","type":"array"}`:                             `{"label":"a","type":"string","multiple":true}`,
		`{"name":"a","type":"map"}`:                               `{"label":"a","type":"object"}`,
		`{"name":"a","type":"mixed"}`:                             `{"label":"a","type":"object"}`,
		`{"name":"a","type":"text-map"}`:                          `{"label":"a","type":"object"}`,
		`{"name":"a","required":true}`:                            `{"label":"a","type":"string","required":true}`,
		`{"name":"a","validators":[["required","Needed."]]}`:      `{"label":"a","type":"string","required":true}`,
		`{"name":"a","validators":[["regexp","x"]]}`:              `{"label":"a","type":"string"}`,
		`{"name":"a","validators":[["required"],["regexp","x"]]}`: `{"label":"a","type":"string","required":true}`,
		`{"name":"a","required":true,"validators":[["regexp"]]}`:  `{"label":"a","type":"string","required":true}`,
		`{"name":"a","default":"x"}`:                              `{"label":"a","type":"string","default":"x"}`,
		`{"name":"a","default":""}`:                               `{"label":"a","type":"string"}`,
		`{"name":"a","type":"number","defaultValue":0}`:           `{"label":"a","type":"number","default":0}`,
		`{"name":"a","type":"boolean","default":true}`:            `{"label":"a","type":"boolean","default":true}`,
		`{"name":"a","type":"array","default":[]}`:                `{"label":"a","type":"string","multiple":true}`,
		`{"name":"a","type":"array","default":["x"]}`:             `{"label":"a","type":"string","multiple":true,"default":["x"]}`,
		`{"name":"a","type":"select","options":[{"label":"X","value":"x"},{"text":"Y","value":"y"},{"value":"z"},"w"]}`: `{"label":"a","type":"string","choices":[{"label":"X","value":"x"},{"label":"Y","value":"y"},{"label":"z","value":"z"},"w"]}`,
	} {
		v, notes := imported(t, `{"name":"Acme","slug":"acme","options":[`+option+`],`+oneAction+`}`, false)
		fields := v.Get("authentication").Get("fields")
		name := event.MustParse(option).Get("name").Str()
		assert.Equal(t, want, fields.Get(name).JSON(), option)
		assert.Equal(t, name == "apiSecret" && strings.Contains(want, "password"), strings.Contains(notes, "has the name of a secret"), option)
		assert.Equal(t, "custom", v.Get("authentication").Get("scheme").Str())
		keyed, _ := imported(t, `{"name":"Acme","slug":"acme","options":{"`+name+`":`+option+`},`+oneAction+`}`, false)
		assert.Equal(t, fields.JSON(), keyed.Get("authentication").Get("fields").JSON(), option)
	}
}

// TestDefinitionsAreBroughtWithinBounds checks that what a definition as JSON has is changed where it could not be used: secrets that are
// shown, and batches that are larger than any.
func TestDefinitionsAreBroughtWithinBounds(t *testing.T) {
	for field, want := range map[string]string{
		`"apiKey":{"label":"K","type":"string","required":true}`:                      `{"label":"K","type":"password","required":true}`,
		`"clientSecret":{"label":"K","type":"STRING"}`:                                `{"label":"K","type":"password"}`,
		`"apiKey":{"label":"K","type":"string","multiple":true}`:                      `{"label":"K","type":"string","multiple":true}`,
		`"region":{"label":"R","type":"string"}`:                                      `{"label":"R","type":"string"}`,
		`"batch_size":{"label":"B","type":"number","default":1000}`:                   `{"label":"B","type":"number","default":1000}`,
		`"batch_size":{"label":"B","type":"number"}`:                                  `{"label":"B","type":"number"}`,
		`"batch_size":{"label":"B","type":"number","default":1001}`:                   `{"label":"B","type":"number","default":1001,"maximum":1001}`,
		`"batch_size":{"label":"B","type":"number","default":5000,"maximum":10000}`:   `{"label":"B","type":"number","default":5000,"maximum":10000}`,
		`"batch_size":{"label":"B","type":"number","default":500000}`:                 `{"label":"B","type":"number","default":10000,"maximum":10000}`,
		`"batch_size":{"label":"B","type":"number","default":2000,"maximum":300000}`:  `{"label":"B","type":"number","default":2000,"maximum":10000}`,
		`"batch_size":{"label":"B","type":"number","default":20000,"maximum":300000}`: `{"label":"B","type":"number","default":10000,"maximum":10000}`,
		`"other":{"label":"B","type":"number","default":500000}`:                      `{"label":"B","type":"number","default":500000}`,
	} {
		key, _, _ := strings.Cut(field[1:], `"`)
		v, notes := imported(t, `{"name":"Acme","slug":"acme","authentication":{"scheme":"custom","fields":{`+field+`}},
			"actions":{"send":{"title":"Send","fields":{`+field+`}}}}`, false)
		got, in := v.Get("actions").Get("send").Get("fields").Get(key), "/actions/send/fields/"+key
		if !strings.HasPrefix(field, `"batch_size`) {
			got, in = v.Get("authentication").Get("fields").Get(key), "/authentication/fields/"+key
		}
		assert.Equal(t, want, got.JSON(), field)
		assert.Equal(t, !strings.HasSuffix(field, want), strings.Contains(notes, in+" "), "%s: %s", field, notes)
	}
}

// TestSettingsWithoutANameAreLeftOut checks that a setting that no config could set is not imported.
func TestSettingsWithoutANameAreLeftOut(t *testing.T) {
	v, _ := imported(t, `{"name":"Acme","slug":"acme","options":[{"type":"string"},{"name":"key","type":"string"}],`+oneAction+`}`, false)
	assert.Equal(t, `{"key":{"label":"key","type":"string"}}`, v.Get("authentication").Get("fields").JSON())
}

// TestSchemes checks the scheme of each kind of authentication, and what is left to write by hand in Go or in YAML.
func TestSchemes(t *testing.T) {
	for given, want := range map[string][3]string{ // the scheme, and the notes
		`"authentication":{"scheme":"none"}`:                           {"none", "", ""},
		`"authentication":{"fields":{}}`:                               {"none", "", ""},
		`"mode":"cloud"`:                                               {"none", "", ""},
		`"authentication":{"scheme":"custom","testAuthentication":{}}`: {"custom", "/authentication/testAuthentication is code: write Plugin.Test", "/authentication/testAuthentication is code: complete authentication.test"},
		`"authentication":{"scheme":"oauth2"}`:                         {"oauth-managed", "/authentication/scheme the OAuth URLs are in code", "/authentication/scheme the OAuth URLs are in code"},
		`"authentication":{"scheme":"oauth2-client_credentials"}`:      {"oauth-managed", "/authentication/scheme the OAuth URLs are in code", "/authentication/scheme the OAuth URLs are in code"},
		`"options":[{"name":"key","type":"string"}]`:                   {"custom", "the handlers must use the settings", "request.headers must use the settings"},
		`"options":[{"name":"oauth","type":"oauth"}]`:                  {"oauth-managed", "/options the OAuth URLs are in code", "/options the OAuth URLs are in code"},
		`"options":{"oauth":{"type":"oauth"}}`:                         {"oauth-managed", "/options the OAuth URLs are in code", "/options the OAuth URLs are in code"},
		`"authentication":{"scheme":"basic","fields":{}}`:              {"custom", "basic needs the settings username and password", "basic needs the settings username and password"},
	} {
		for i, declared := range []bool{false, true} {
			v, notes := imported(t, `{"name":"Acme","slug":"acme",`+given+`,`+oneAction+`}`, declared)
			assert.Equal(t, want[0], v.Get("authentication").Get("scheme").Str(), given)
			assert.False(t, v.Get("authentication").Get("fields").Get("oauth").Exists())
			assert.Equal(t, strings.Contains(given, `"key"`), v.Get("authentication").Get("fields").Exists(), "%s: no settings need no fields", given)
			assert.Contains(t, notes, want[1+i], given)
			assert.Equal(t, !declared, strings.Contains(notes, "/actions/send the code of the action is not part of the metadata"), given)
		}
	}
}

// TestSlugs checks the slug of a destination, and the alias that keeps Segment's.
func TestSlugs(t *testing.T) {
	for given, want := range map[string][3]string{
		`"name":"Acme","slug":"acme"`:         {"acme", "", ""},
		`"name":"Acme","slug":"actions-acme"`: {"acme", `["actions-acme"]`, ""},
		`"name":"Acme","slug":"Acme_CRM"`:     {"acme-crm", "", `/slug "Acme_CRM" is not a valid slug: the slug is "acme-crm"`},
		`"name":"Acme CRM (Actions)"`:         {"acme-crm-actions", "", ""},
		`"name":"☃"`:                          {"imported", "", `/name cannot be made into a slug: the slug is "imported"`},
		`"name":"Acme","slug":"actions-"`:     {"actions", "", `the slug is "actions"`},
	} {
		v, notes := imported(t, `{`+given+`,`+oneAction+`}`, true)
		assert.Equal(t, want[0], v.Get("slug").Str(), given)
		assert.Equal(t, want[1] != "", v.Get("aliases").Exists(), given)
		if want[1] != "" {
			assert.Equal(t, want[1], v.Get("aliases").JSON(), given)
		}
		assert.Contains(t, notes, want[2], given)
		assert.Equal(t, "cloud", v.Get("mode").Str())
	}
}

// TestActionsAndFields checks names, order and the parts of actions that are not imported.
func TestActionsAndFields(t *testing.T) {
	v, notes := imported(t, `{"data":{"destinationMetadata":{"name":"Acme","slug":"acme","onDelete":{},"extendRequest":{},"actions":[
		{"id":"a1","slug":"send","name":"Send it","platform":"CLOUD","hidden":true,"defaultTrigger":"type = \"track\"","hooks":{"onMappingSave":{}},"dynamicFields":{"id":{}},"fields":[
			{"fieldKey":"b","label":"B","type":"STRING","sortOrder":2,"required":false,"choices":[],"defaultValue":""},
			{"fieldKey":"a","type":"HIDDEN","sortOrder":1,"dynamic":true,"defaultValue":{"@path":"$.a"}},
			{"fieldKey":"a","label":"A","type":"STRING","sortOrder":3},
			{"fieldKey":"o","label":"O","type":"OBJECT","sortOrder":4,"fieldSchema":{}},
			{"fieldKey":"m","label":"M","type":"OBJECT","sortOrder":5,"multiple":true,"defaultValue":[{"k":1}]}]},
		{"id":"a2","slug":"send","name":"Again","platform":"CLOUD","fields":[]},
		{"id":"a3","slug":"track","name":"Track","platform":"WEB","fields":[]}],
		"presets":[{"name":"P","actionId":"a1","trigger":"type = \"page\"","fields":{"a":"x","z":"y"}},{"name":"Q","actionId":"a3","trigger":"type = \"page\""},
			{"name":"R","actionId":"a1","trigger":"type = \"page\"","fields":{}}]}}}`, false)
	assert.Equal(t, `{"send":{"title":"Send it","defaultSubscription":"type = \"track\"","hidden":true,"platform":"cloud","fields":{`+
		`"a":{"label":"Field","type":"string","unsafe_hidden":true,"default":{"@path":"$.a"}},"b":{"label":"B","type":"string"},"o":{"label":"O","type":"object","additionalProperties":true},"m":{"label":"M","type":"object","multiple":true,"default":[{"k":1}]}}}}`, v.Get("actions").JSON())
	assert.Equal(t, `[{"name":"P","type":"automatic","action":"send","subscribe":"type = \"page\"","mapping":{"a":"x"}},{"name":"R","type":"automatic","action":"send","subscribe":"type = \"page\""}]`, v.Get("presets").JSON())
	for _, note := range []string{
		"/data/destinationMetadata/onDelete is not imported: write it by hand", "/data/destinationMetadata/extendRequest is not imported",
		"/data/destinationMetadata/actions/0/hooks are not imported", "/data/destinationMetadata/actions/0/dynamicFields are not imported",
		"/data/destinationMetadata/actions/0/fields/1/dynamic is not imported", `/data/destinationMetadata/actions/0/fields/2 is not imported: its key "a" is empty or already used`,
		"/data/destinationMetadata/actions/0/fields/3/fieldSchema is not imported", `/data/destinationMetadata/actions/1 is not imported: its key "send" is empty or already used`,
		"/data/destinationMetadata/actions/2 is not imported: it runs in the browser", "the mapping of z is not imported: the action send has no such field",
		"/data/destinationMetadata/presets/1 is not imported: its action was not imported",
	} {
		assert.Contains(t, notes, note)
	}
}

// TestNullIsLikeAMissingValue checks that the null that the Public API writes for a value that is not set leaves out nothing else.
func TestNullIsLikeAMissingValue(t *testing.T) {
	v, notes := imported(t, `{"name":"Acme","slug":"acme","description":null,"audienceConfig":null,"options":[{"name":"s","type":"string","description":null,"default":null}],
		"actions":{"send":{"title":"Send","description":null,"defaultSubscription":null,"syncMode":null,"fields":{
			"a":{"label":"A","type":"string","description":null,"default":null,"placeholder":null,"format":null,"minimum":null,"depends_on":null,"required":null,"choices":null}}}},
		"presets":[{"name":"P","partnerAction":"send","subscribe":"type = \"track\"","mapping":null,"eventSlug":null}]}`, false)
	assert.Equal(t, `{"name":"Acme","slug":"acme","mode":"cloud","authentication":{"scheme":"custom","fields":{"s":{"label":"s","type":"string"}}},`+
		`"presets":[{"name":"P","type":"automatic","action":"send","subscribe":"type = \"track\""}],"actions":{"send":{"title":"Send","fields":{"a":{"label":"A","type":"string"}}}}}`, v.JSON())
	assert.NotContains(t, notes, "null")
}

// TestPartsOfSubscriptions checks the conversion of single subscriptions without the definition of their destination.
func TestPartsOfSubscriptions(t *testing.T) {
	for given, want := range map[string][2]string{ // the subscriptions, and a note
		`{"actionSlug":"send"}`: {`[{"name":"send","action":"send"}]`, ""},
		`{"data":{"subscription":{"partnerAction":"send","name":"S","enabled":false}}}`: {`[{"name":"S","action":"send","enabled":false}]`, ""},
		`[{"action":"send","enabled":true},{"action":"send"},{"action":"send"}]`:        {`[{"name":"send","action":"send"},{"name":"send 2","action":"send"},{"name":"send 3","action":"send"}]`, `/2/name is already used: the subscription is called "send 3"`},
		`{"action":"send","mapping":{"a":1}}`:                                           {`[{"name":"send","action":"send","mapping":{"a":1}}]`, ""},
		`{"action":"send","settings":{"a":1}}`:                                          {`[{"name":"send","action":"send","mapping":{"a":1},"useDefaultMappings":false}]`, ""},
		`{"action":"send","settings":"{\"a\": 1}"}`:                                     {`[{"name":"send","action":"send","mapping":{"a":1},"useDefaultMappings":false}]`, ""},
		`{"action":"send","settings":"{"}`:                                              {`[]`, "/settings the subscription is left out: should be an object"},
		`{"action":"send","mapping":{"a":{"@nope":1}}}`:                                 {`[]`, "/mapping/a the subscription is left out: has an invalid directive"},
		`{"action":"send","mapping":{"a":{"@liquid":"{{ b | nope }}"}}}`:                {`[{"name":"send","action":"send","mapping":{"a":{"@liquid":"{{ b | nope }}"}}}]`, `/mapping/a/@liquid unknown filter "nope"`},
		`{"action":"send","subscribe":5}`:                                               {`[]`, "/subscribe the subscription is left out: should be a text"},
		`{"action":"send","trigger":"type is"}`:                                         {`[]`, "/trigger the subscription is left out: "},
		`{"action":"send","mapping":{"__segment_internal_sync_mode":"upsert","a":1}}`:   {`[{"name":"send","action":"send","syncMode":"upsert","mapping":{"a":1}}]`, ""},
		`{"action":"send","mapping":{"__segment_internal_sync_mode":"other","a":1}}`:    {`[{"name":"send","action":"send","mapping":{"a":1}}]`, `/mapping/__segment_internal_sync_mode is not imported: there is no sync mode "other"`},
		`{"partnerAction":"send","mapping":{"a":1}}`:                                    {`[{"name":"send","action":"send","mapping":{"a":1},"useDefaultMappings":false}]`, ""},
		`{"action":"send","modelId":"","reverseETLModelId":null}`:                       {`[{"name":"send","action":"send"}]`, ""},
		`{"action":"send","reverseETLModelId":"m"}`:                                     {`[{"name":"send","action":"send"}]`, "/reverseETLModelId is not imported"},
		`{"actionId":"x"}`:                       {`[]`, `/actionId is left out: "x" is the id of an action`},
		`{"actionId":"a1"}`:                      {`[{"name":"send","action":"send"}]`, ""},
		`[{"action":"send"},{"name":"nothing"}]`: {`[{"name":"send","action":"send"}]`, "/1 is left out: it names no action"},
		`["text",{"action":"send"}]`:             {`[{"name":"send","action":"send"}]`, "/0 is left out: it should be a subscription but is a string"},
		`{"data":{"subscriptions":[{"actionSlug":"send"}],"pagination":{"current":"a","next":"b"}}}`:  {`[{"name":"send","action":"send"}]`, "/data/pagination/next says that the API has further subscriptions"},
		`{"data":{"subscriptions":[{"actionSlug":"send"}],"pagination":{"current":"a","next":null}}}`: {`[{"name":"send","action":"send"}]`, ""},
	} {
		r, err := segment.Subscriptions("x.json", []byte(given), nil, map[string]string{"a1": "send"})
		require.NoError(t, err, given)
		assert.True(t, event.Equal(event.MustParse(want[0]), r.Value.Get("subscriptions")), "%s\n%s", given, r.Value.JSON())
		assert.Equal(t, event.MustParse(want[0]).Len(), r.Count, given)
		if assert.Equal(t, want[1] == "", len(r.Notes) == 0, "%s: %v", given, r.Notes) {
			assert.Contains(t, r.Notes.Error(), want[1], given)
		}
	}
}

// TestFilesOfSomethingElse checks that a file that is no export of the Public API is refused, and what it should be.
func TestFilesOfSomethingElse(t *testing.T) {
	const subscriptions, metadata = ": give the response of GET /destinations/ID/subscriptions", ": give the response of GET /catalog/destinations/ID"
	for given, inParticular := range map[string]string{
		`{}`: "", `[]`: "", `null`: "", `"x"`: "", `{"name":"nothing"}`: "", `["text"]`: "", `[[{"actionSlug":"send"}]]`: "", `{"data":{"workspace":{"id":"w"},"sources":[]}}`: "",
		`{"data":{"destinations":[{"id":"d","name":"D","settings":{}}],"pagination":{"current":"a"}}}`: "",
		`{"errors":[{"type":"unauthorized"}]}`:                                                         ", but an error of the API", `{"error":{"code":404}}`: ", but an error of the API",
	} {
		_, err := segment.Subscriptions("x.json", []byte(given), nil, nil)
		assert.EqualError(t, err, "x.json: holds no subscriptions"+inParticular+subscriptions, given)
		_, err = segment.Metadata("x.json", []byte(given), false)
		assert.EqualError(t, err, "x.json: is not the metadata of a destination, as the name or the actions are missing"+inParticular+metadata, given)
	}
}

// TestPlacesOfPartsThatAreLeftOut checks that a note has the place in the metadata, also after other parts were left out.
func TestPlacesOfPartsThatAreLeftOut(t *testing.T) {
	v, notes := imported(t, `{"name":"Acme","slug":"acme",`+oneAction+`,
		"presets":[{"name":"P","partnerAction":"send","subscribe":"type is"},{"name":"Q","partnerAction":"send","subscribe":"type = \"page\""},{"name":"R","partnerAction":"send","subscribe":"event is"}]}`, true)
	assert.Equal(t, 1, v.Get("presets").Len())
	for _, place := range []string{"/presets/0 is not imported", "/presets/2 is not imported"} {
		assert.Contains(t, strings.ReplaceAll(notes, "/subscribe is", " is"), place)
	}
	assert.NotContains(t, notes, "/presets/1")
}

// TestSubscriptionsOfADefinition checks which keys of a mapping are noted, and that a text which is no JSON is an error.
func TestSubscriptionsOfADefinition(t *testing.T) {
	d, err := destination.ParseDefinition(cohorts, read(t, cohorts))
	require.NoError(t, err)
	r, err := segment.Subscriptions("x.json", []byte(`{"action":"syncAudiences","mapping":{"external_idd":"x","__segment_internal_batch":true}}`), d, nil)
	require.NoError(t, err)
	assert.Contains(t, r.Notes.Error(), `/mapping/external_idd is not a field of syncAudiences and is dropped from payloads (did you mean "external_id"?)`)
	assert.NotContains(t, r.Notes.Error(), "__segment_internal_batch is not")
	_, err = segment.Subscriptions("x.json", []byte(`{`), d, nil)
	assert.ErrorContains(t, err, "x.json:1")

	const catalogs = "../../../destinations/braze/destination.yaml"
	d, err = destination.ParseDefinition(catalogs, read(t, catalogs))
	require.NoError(t, err)
	r, err = segment.Subscriptions("x.json", []byte(`{"action":"upsertCatalogItem","syncMode":"upsert","settings":{"item_id":"i","item":{},"onMappingSave":{"outputs":{"catalog_name":"shop"}},"retlOnMappingSave":{}}}`), d, nil)
	require.NoError(t, err)
	require.Len(t, r.Notes, 1, "the outputs of a hook of the action are used")
	assert.Contains(t, r.Notes.Error(), "/settings/retlOnMappingSave is not a field")
}

// Defaults that their fields do not take, and names that a definition may use once only, do not make the result invalid.
func TestDefaultsAndNamesThatAreNotValid(t *testing.T) {
	v, notes := imported(t, `{"name":"Acme","slug":"acme","authentication":{"scheme":"custom","fields":{
			"region":{"label":"Region","type":"string","dynamic":true,"choices":["us"],"default":"eu"},"zone":{"label":"Region","type":"string","default":{"@path":"$.x"}}}},
		"audienceConfig":{"mode":{"type":"realtime"}},
		"audienceFields":{"a":{"label":"A","type":"string","default":{"@pth":"$.x"}},"b":{"label":"A","type":"object","default":{"x":[{"@path":"$.x"}]}},
			"c":{"label":"C","type":"boolean","default":"nope"},"d":{"label":"D","type":"string","default":"x","dynamic":true}},
		"actions":{"send":{"title":"Send","fields":{"n":{"label":"N","type":"integer","default":"many"},"m":{"label":"N","type":"integer","default":{"@expr":"1 +"}},
			"o":{"label":"O","type":"object","properties":{"p":{"label":"P","type":"string","default":{"@nope":1}},"q":{"label":"P","type":"string","dynamic":true,"default":{"@path":"$.q"}}}}}},
			"again":{"title":"Send","fields":{}}}}`, false)
	assert.Equal(t, `{"region":{"label":"Region","type":"string","choices":["us"]},"zone":{"label":"Region (zone)","type":"string"}}`, v.Get("authentication").Get("fields").JSON())
	assert.Equal(t, `{"a":{"label":"A","type":"string"},"b":{"label":"A (b)","type":"object"},"c":{"label":"C","type":"boolean"},"d":{"label":"D","type":"string","default":"x"}}`, v.Get("audienceFields").JSON())
	assert.Equal(t, `{"send":{"title":"Send","fields":{"n":{"label":"N","type":"integer"},"m":{"label":"N (m)","type":"integer"},"o":{"label":"O","type":"object","properties":{`+
		`"p":{"label":"P","type":"string"},"q":{"label":"P (q)","type":"string","default":{"@path":"$.q"}}}}}},"again":{"title":"Send (again)","fields":{}}}`, v.Get("actions").JSON())
	for _, note := range []string{
		"/authentication/fields/region/dynamic is not imported", "/authentication/fields/region/default is not imported: the default is not a valid value", "/authentication/fields/zone/default is not imported: the default is a mapping",
		"/audienceFields/a/default is not imported: the default is a mapping", "/audienceFields/b/default is not imported", "/audienceFields/c/default is not imported: the default is not a valid value",
		"/audienceFields/d/dynamic is not imported", `/audienceFields/b/label is that of a as well: it is "A (b)" here`,
		"/actions/send/fields/n/default is not imported", "/actions/send/fields/m/default/@expr is not imported", "/actions/send/fields/o/properties/p/default is not imported",
		"/actions/send/fields/o/properties/q/dynamic is not imported", `/actions/again/title is that of send as well`,
	} {
		assert.Contains(t, notes, note)
	}
	parsed, err := destination.ParseDefinition("", v.AppendJSON(nil))
	require.NoError(t, err)
	for _, f := range parsed.Lint(destination.LintOptions{}) {
		assert.True(t, f.Advice, "%s %s", f.Pointer, f.Message)
	}
}
