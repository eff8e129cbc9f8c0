package devicemode_test

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/devicemode"
	"github.com/landfall-dev/landfall/framework/server/ingest"
)

// TestMissing checks what a config is said to lack for pages, and that only destinations that run in pages need it.
func TestMissing(t *testing.T) {
	plans := map[string]devicemode.Instance{}
	for _, in := range probeSite(t, "", "library: /a.js").Instances {
		plans[in.Plan.ID()] = in
	}
	cfg := &config.Config{}
	texts := devicemode.Missing(plans["probe-web"].Plan, cfg)
	require.Len(t, texts, 2)
	assert.Contains(t, texts[0], "ingest.publicURL")
	assert.Contains(t, texts[1], "ingest.origins")
	assert.Empty(t, devicemode.Missing(plans["cloud"].Plan, cfg))
	cfg.Server.PublicURL = "https://events.example"
	assert.Equal(t, texts[1:], devicemode.Missing(plans["probe-web"].Plan, cfg))
	cfg.Server.Origins = []string{"https://shop.example"}
	assert.Empty(t, devicemode.Missing(plans["probe-web"].Plan, cfg))
}

// TestSitesThatCannotBeServed checks that a site with a mistake leaves what is served as it is, and that nothing is served before the first one.
func TestSitesThatCannotBeServed(t *testing.T) {
	const settings = "/v1/projects/wk/settings"
	site := probeSite(t, "https://events.example", "library: /a.js")
	h := newHandler(t, site)
	before := ask(h, "GET", settings).Body.String()
	for i := range site.Instances {
		site.Instances[i].Plugin = destination.Plugin{Definition: fstest.MapFS{}} // without its module
	}
	site.PublicURL = "https://moved.example"
	assert.ErrorContains(t, h.SetSite(site), "probe: browser.js cannot be read")
	assert.Equal(t, before, ask(h, "GET", settings).Body.String())
	site.Offline = true
	require.NoError(t, h.SetSite(site), "the modules are not needed")
	assert.Contains(t, ask(h, "GET", settings).Body.String(), "moved.example")
	fresh := devicemode.New(ingest.New(ingest.Config{}).AllowOrigin)
	assert.Equal(t, 404, ask(fresh, "GET", settings).Code)
	mapped, err := fresh.Map("web", []byte(`{"type":"track","event":"A","userId":"u"}`))
	require.NoError(t, err)
	assert.JSONEq(t, `{"results":[]}`, string(mapped))
	_, err = fresh.Map("web", []byte("{"))
	assert.ErrorContains(t, err, "the event: ")
}

// TestUnknownPaths checks that nothing but the paths of pages is served.
func TestUnknownPaths(t *testing.T) {
	h := newHandler(t, devicemode.Site{PublicURL: "https://events.example", Sources: append(oneSource, devicemode.Source{ID: "without a key"})})
	for path, want := range map[string]int{
		"/v1/projects/wk/settings": 200, "/v1/projects/wk/settings/": 200, "/v2/projects/wk/settings": 404, "/v1/sources/wk/settings": 404, "/v1/projects/wk/plan": 404,
		"/sourceConfig?writeKey=wk": 200, "/sourceConfig": 404, "/sourceConfig?writeKey=": 404, "/sourceConfig/more?writeKey=wk": 404, "/other?writeKey=wk": 404,
		"/analytics.js/v2/wk/analytics.min.js": 404, "/device": 404, "/device/a/b": 404, "/": 404,
	} {
		assert.Equal(t, want, ask(h, "GET", path).Code, path)
	}
}

// TestConsentCategories checks which categories a page has to ask for.
func TestConsentCategories(t *testing.T) {
	site := probeSite(t, "https://events.example", "library: /a.js")
	var cloud devicemode.Instance
	for _, in := range site.Instances {
		if in.Plan.ID() == "cloud" {
			cloud = in
		}
	}
	for want, consents := range map[string][][]string{
		"": {nil, nil},
		`{"allCategories":["ads","mail"],"hasUnmappedDestinations":false}`: {{"mail", "ads"}, {"ads"}},
		`{"allCategories":["ads"],"hasUnmappedDestinations":true}`:         {nil, {"ads"}},
	} {
		one := devicemode.Site{PublicURL: site.PublicURL, Sources: oneSource}
		for _, consent := range consents {
			in := cloud
			in.Consent = consent
			one.Instances = append(one.Instances, in)
		}
		elsewhere := cloud
		elsewhere.Sources, elsewhere.Consent = []string{"another"}, []string{"social"}
		one.Instances = append(one.Instances, elsewhere)
		settings := event.MustParse(ask(newHandler(t, one), "GET", "/v1/projects/wk/settings").Body.String())
		got := ""
		if v := settings.Get("consentSettings"); v.Exists() {
			got = v.JSON()
		}
		assert.Equal(t, want, got)
		assert.Equal(t, `{"sampleRate":0}`, settings.Get("metrics").JSON(), "the SDK reports nothing about itself")
		assert.Equal(t, event.True, settings.Get("plan").Get("track").Get("__default").Get("enabled").Kind())
	}
}
