package destinations_test

import (
	"cmp"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// loadSubscription loads a config of one instance with one subscription and returns its mistakes and warnings.
func loadSubscription(t *testing.T, registry *destination.Registry, slug string, settings event.Value, subscription string) (mistakes, warnings []string) {
	text := `{"destinations":[{"id":"a","destination":"` + slug + `","settings":` + settings.JSON() + `,"subscriptions":[` + subscription + `]}]}`
	if d, err := registry.Find(slug); err == nil && d.Definition.Scheme.NeedsToken() {
		text = strings.Replace(text, `"settings"`, `"auth":{"accessToken":"t"},"settings"`, 1)
	}
	cfg, problems := config.Parse("landfall.yaml", []byte(text), config.Env{})
	require.Empty(t, problems, text)
	plan, err := runtime.LoadInstance(cfg, cfg.Instances[0], registry, func(config.Instance, destination.Entry) (runtime.Host, error) {
		return runtime.Host{Transport: noRequests{t}, Env: func(string) (string, bool) { return "partner-key", true }}, nil
	})
	for _, p := range fault.ProblemsOf(err) {
		mistakes = append(mistakes, p.Pointer+" "+p.Message)
	}
	if plan != nil {
		for _, p := range plan.Warnings() {
			warnings = append(warnings, p.Pointer+" "+p.Message)
		}
	}
	return mistakes, warnings
}

// noRequests fails a test that sends a request.
type noRequests struct{ t *testing.T }

func (n noRequests) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Errorf("sent %s %s", r.Method, r.URL)
	return nil, errors.ErrUnsupported
}

// sampleSettings returns settings with which an instance of a destination can be made.
func sampleSettings(d *destination.Definition) event.Value {
	known := map[string]string{
		"endpoint": "https://rest.iad-01.braze.com", "partner_api_key": "key-1", "sdkVersion": "5.4",
	}
	var members []event.Member
	for i := range d.Settings {
		f := &d.Settings[i]
		text, ok := known[f.Key]
		isChoice := len(f.Choices) == 0 || slices.ContainsFunc(f.Choices, func(c fieldschema.Choice) bool { return c.Value.Str() == text })
		if f.Key == "endpoint" && (f.Format != "uri" || !isChoice) {
			text, ok = "", false
		}
		if !ok && (!f.Required.Always || f.Default.Kind() != event.Absent) {
			continue
		}
		if len(f.Choices) > 0 && !ok {
			text = f.Choices[0].Value.Str()
		} else if text == "" && f.Format == "uri" {
			text = "https://api.example.com"
		} else if text == "" {
			text = "abc123"
		}
		members = append(members, event.Member{Key: f.Key, Value: event.NewString(text)})
	}
	return event.NewObject(members)
}

// completeMapping maps the fields that users of an action have to map themselves to properties.
func completeMapping(action *destination.ActionDefinition, mode string, whole event.Value) event.Value {
	fields := action.Fields.ForSyncMode(mode)
	for i := range fields {
		f := &fields[i]
		chosen := f.Required.Always || len(f.Required.Conditions) > 0 || f.Key == "recipients" || f.Key == "catalog_name"
		if chosen && whole.Get(f.Key).Kind() == event.Absent {
			path := event.MustParse(`{"@path":"$.properties.` + f.Key + `"}`)
			whole = destination.Overlay(whole, event.NewObject([]event.Member{{Key: f.Key, Value: path}}))
		}
	}
	return whole
}

// TestPresetsAndDefaultsAreDeliverable loads the default mapping of every action with each sync mode, and every preset: none is
// reported as one that cannot deliver.
func TestPresetsAndDefaultsAreDeliverable(t *testing.T) {
	registry := sharedRegistry(t)
	loaded := 0
	for _, entry := range sharedEntries(t) {
		d := entry.Definition
		check := func(action *destination.ActionDefinition, query string, own event.Value) {
			modes := []string{""}
			if action.SyncMode != nil {
				modes = action.SyncMode.Modes()
			}
			for _, mode := range modes {
				members := []event.Member{
					{Key: "action", Value: event.NewString(action.Key)}, {Key: "subscribe", Value: event.NewString(cmp.Or(query, `type = "track"`))},
					{Key: "mapping", Value: completeMapping(action, mode, destination.Overlay(action.DefaultMapping(), own))},
				}
				if mode != "" {
					members = append(members, event.Member{Key: "syncMode", Value: event.NewString(mode)})
				}
				s := event.NewObject(members).JSON()
				mistakes, warnings := loadSubscription(t, registry, d.Slug, sampleSettings(d), s)
				assert.Empty(t, mistakes, d.Slug+" "+s)
				assert.Empty(t, warnings, d.Slug+" "+s)
				loaded++
			}
		}
		for _, key := range d.ActionKeys() {
			check(d.Action(key), d.Action(key).DefaultSubscription, event.Value{})
		}
		for _, preset := range d.Presets {
			check(d.Action(preset.Action), preset.Subscribe, preset.Mapping)
		}
	}
	assert.Greater(t, loaded, 50)
}

// TestDeliveredCasesAreDeliverable loads the subscription of every case file that delivers an event.
func TestDeliveredCasesAreDeliverable(t *testing.T) {
	registry := sharedRegistry(t)
	files, err := filepath.Glob("../fixtures/*/cases/*.yaml")
	require.NoError(t, err)
	loaded := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		doc, err := yamldoc.Parse(file, text)
		require.NoError(t, err)
		c := doc.Value()
		if c.Get("expect").Get("results").Index(0).Get("outcome").Str() != "delivered" || c.Get("action").Kind() == event.Absent {
			continue
		}
		var members []event.Member
		for key, m := range c.Members() {
			if key == "action" || key == "mapping" || key == "syncMode" || key == "subscribe" || key == "useDefaultMappings" {
				members = append(members, event.Member{Key: key, Value: m})
			}
		}
		if !slices.ContainsFunc(members, func(m event.Member) bool { return m.Key == "subscribe" }) {
			members = append(members, event.Member{Key: "subscribe", Value: event.NewString(`type != ""`)})
		}
		settings := destination.Overlay(event.NewObject(nil), c.Get("settings"))
		mistakes, _ := loadSubscription(t, registry, c.Get("destination").Str(), settings, event.NewObject(members).JSON())
		assert.Empty(t, mistakes, file)
		loaded++
	}
	assert.Greater(t, loaded, 30)
}

// TestSubscriptionsThatNeverDeliver loads subscriptions that refuse every event.
func TestSubscriptionsThatNeverDeliver(t *testing.T) {
	registry := sharedRegistry(t)
	const (
		place   = "/destinations/0/subscriptions/0"
		noUser  = place + "/mapping no identifier: External User ID, "
		refused = ", so every event is refused"
	)
	for _, c := range []struct{ slug, subscription, mistake, warning string }{
		{"braze-cohorts", `{"action":"syncAudiences","mapping":{"personas_audience_key":"k","external_id":null,"device_id":null,"user_alias":{"alias_name":{"@path":"$.userId"}}}}`,
			place + "/mapping no identifier: External User ID and Device ID are absent, and User Alias has no Alias Label" + refused, ""},
		{"braze-cohorts", `{"action":"syncAudiences","mapping":{"personas_audience_key":"k","external_id":"","user_alias":{"alias_name":"","alias_label":"l"}}}`,
			place + "/mapping no identifier: External User ID and Device ID are absent, and User Alias has no Alias Name" + refused, ""},
		{"braze-cohorts", `{"action":"syncAudiences","mapping":{"personas_audience_key":"k","external_id":null}}`, noUser + "Device ID and User Alias are all absent" + refused, ""},
		{"braze-cohorts", `{"action":"syncAudiences","mapping":{"personas_audience_key":"k","external_id":null,"device_id":{"@path":"$.userId"}}}`, "", ""},
		{"braze-cohorts", `{"action":"syncAudiences","mapping":{"personas_audience_key":"k","external_id":null,"user_alias":{"@path":"$.traits.alias"}}}`, "", ""},
		{"braze", `{"action":"trackEvent","mapping":{"external_id":null,"braze_id":null,"user_alias":null,"email":null,"phone":null}}`, "*no identifier", ""},
		{"braze", `{"action":"trackEvent","mapping":{"external_id":null,"braze_id":null,"user_alias":{"alias_name":{"@path":"$.userId"}},"email":null,"phone":""}}`, "*no identifier", ""},
		{"braze", `{"action":"trackEvent","mapping":{"external_id":null,"braze_id":null,"user_alias":null,"email":{"@path":"$.properties.email"}}}`, "", ""},
		{"braze", `{"action":"updateUserProfile","mapping":{"external_id":null,"braze_id":null,"email":null,"phone":null}}`, "*no identifier", ""},
		{"braze", `{"action":"triggerCampaign","subscribe":"type = \"track\"","mapping":{"campaign_id":"c","broadcast":true,"recipients":[{"external_user_id":{"@path":"$.userId"}}]}}`,
			place + "/mapping Broadcast is true, so there must be no Recipients" + refused, ""},
		{"braze", `{"action":"triggerCanvas","subscribe":"type = \"track\"","mapping":{"canvas_id":"c","recipients":null}}`,
			place + "/mapping no recipients: Recipients is absent, and Broadcast is not true" + refused, ""},
		{"braze", `{"action":"upsertCatalogItem","syncMode":"upsert","subscribe":"type = \"track\"","mapping":{"catalog_name":"my shop","item_id":{"@path":"$.properties.id"},"item":{"@path":"$.properties"}}}`,
			"*Catalog Name should be letters, digits, hyphens and underscores", ""},
		{"braze", `{"action":"upsertCatalogItem","syncMode":"upsert","subscribe":"type = \"track\"","mapping":{"item_id":{"@path":"$.properties.id"},"item":{"@path":"$.properties"}}}`,
			"*Catalog Name is absent", ""},
		{"braze", `{"action":"upsertCatalogItem","syncMode":"upsert","subscribe":"type = \"track\"","mapping":{"item_id":{"@path":"$.properties.id"},"item":{"@path":"$.properties"}},
			"hooks":{"onMappingSave":{"operation":"select","selected_catalog_name":"shop"}}}`, "", ""},
		{"braze", `{"action":"triggerCampaign","subscribe":"type = \"track\"","mapping":{"campaign_id":"c","broadcast":false,"recipients":[{"attributes":{"@path":"$.traits"}}]}}`, "*recipient 1 has no identifier", ""},
		{"braze", `{"action":"triggerCampaign","subscribe":"type = \"track\"","mapping":{"campaign_id":"c","broadcast":{"@path":"$.properties.all"},"recipients":{"@path":"$.properties.to"}}}`, "", ""},
		{"braze", `{"action":"trackEvent","subscribe":"type = \"identify\""}`, place + `/mapping/name/@path reads event for the required field Event Name (name), ` +
			`but only events of type "track" have it and the query matches only "identify"` + refused, ""},
		{"braze", `{"action":"trackEvent","subscribe":"type = \"identify\" or type = \"track\""}`, "", ""},
		{"braze", `{"action":"trackEvent","mapping":{"name":{"@path":"$.evnt"}}}`, "", place + `/mapping/name/@path reads evnt, which events do not have (did you mean "event"?)`},
		{"braze", `{"action":"trackEvent","subscribe":"type = \"page\" and event = \"Order Completed\"","mapping":{"name":"x"}}`, "",
			place + `/subscribe matches no event: only events of type "track" have event, but it requires type to be "page"`},
		{"webhook", `{"action":"send","subscribe":"type = \"track\"","mapping":{"url":"ftp://example.com/"}}`, "*is not an http or https URL", ""},
		{"webhook", `{"action":"send","subscribe":"type = \"track\"","mapping":{"url":"https://example.com/","headers":{"Bad Name":{"@path":"$.userId"}}}}`, `*the header "Bad Name" has a name or value that HTTP does not allow`, ""},
		{"webhook", `{"action":"send","subscribe":"type = \"track\"","mapping":{"url":"https://example.com/","headers":{"X-A":"a\nb"}}}`, `*the header "X-A" has a name or value`, ""},
		{"webhook", `{"action":"send","subscribe":"type = \"track\"","mapping":{"url":"https://example.com/","headers":{"X-A":{"@path":"$.userId"},"X-B":5,"X-C":["a","b"]}}}`, "", ""},
		{"webhook", `{"action":"send","subscribe":"type = \"track\"","mapping":{"url":{"@path":"$.properties.url"}}}`, "", ""},
		{"webhook", `{"action":"send","subscribe":"type = \"track\"","mapping":{"url":"https://example.com/","data":{"@arrayPath":["$.properties.products",{"name":{"@path":"$.nam"}}]}}}`, "", ""},
	} {
		d, _ := registry.Find(c.slug)
		mistakes, warnings := loadSubscription(t, registry, c.slug, sampleSettings(d.Definition), c.subscription)
		requireLine(t, c.mistake, mistakes, c.subscription)
		requireLine(t, c.warning, warnings, c.subscription)
	}
}

// requireLine checks that lines is want alone, nothing if it is "", or a line that holds the text after its *.
func requireLine(t *testing.T, want string, lines []string, about string) {
	part, partly := strings.CutPrefix(want, "*")
	switch {
	case want == "":
		assert.Empty(t, lines, about)
	case partly && assert.Len(t, lines, 1, about):
		assert.Contains(t, lines[0], part, about)
		assert.Contains(t, lines[0], "so every event is refused", about)
	case !partly:
		assert.Equal(t, []string{want}, lines, about)
	}
}
