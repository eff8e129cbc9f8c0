package devicemode

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/runtime"
)

// settingsAge is how long a browser uses the settings of a source without asking again.
const settingsAge = time.Minute

// settingsCache is the Cache-Control of settings.
var settingsCache = fmt.Sprintf("public, max-age=%d", int(settingsAge.Seconds()))

// compiledSite is a Site with everything that is served. It is immutable.
type compiledSite struct {
	publicURL   string
	analyticsJS string
	settings    map[string]servedFile // by write key
	scripts     map[string]servedFile // by file name
	bySource    map[string][]*runtime.Plan

	sourceConfigs map[string]servedFile // for RudderStack's SDK, by write key
}

// servedFile is a response with its entity tag.
type servedFile struct {
	body []byte
	tag  string
}

func newServedFile(body []byte) servedFile {
	return servedFile{body: body, tag: `"` + hashOf(body) + `"`}
}

// serveTo answers a request with the file, or with 304 if the browser has it.
func (f servedFile) serveTo(w http.ResponseWriter, r *http.Request, contentType, cache string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", cache)
	w.Header().Set("ETag", f.tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
}

// sourceSettings is what analytics.js loads before anything else.
type sourceSettings struct {
	Integrations       map[string]any     `json:"integrations"`
	Plan               map[string]any     `json:"plan"`
	EdgeFunction       struct{}           `json:"edgeFunction"`
	MiddlewareSettings struct{}           `json:"middlewareSettings"`
	EnabledMiddleware  struct{}           `json:"enabledMiddleware"`
	Metrics            map[string]float64 `json:"metrics"` // the SDK would send its own metrics to Segment
	RemotePlugins      []remotePlugin     `json:"remotePlugins"`
	ConsentSettings    *consentSettings   `json:"consentSettings,omitempty"`
}

// consentSettings says which consent categories matter to a source.
type consentSettings struct {
	AllCategories           []string `json:"allCategories"`
	HasUnmappedDestinations bool     `json:"hasUnmappedDestinations"`
}

// compileSite builds the files of a site.
func compileSite(s Site) (*compiledSite, error) {
	made := &compiledSite{
		publicURL: s.PublicURL, analyticsJS: s.AnalyticsJS,
		settings: map[string]servedFile{}, scripts: map[string]servedFile{}, bySource: map[string][]*runtime.Plan{},
		sourceConfigs: map[string]servedFile{},
	}
	for _, source := range s.Sources {
		if source.WriteKey == "" {
			continue
		}
		of := instancesOf(s, source.ID)
		settings, err := made.settingsOf(s, source, of)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(settings)
		if err != nil {
			return nil, fmt.Errorf("the settings of the source %s: %w", source.ID, err)
		}
		made.settings[source.WriteKey] = newServedFile(text)
		if made.sourceConfigs[source.WriteKey], err = newSourceConfig(source); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// instancesOf returns the instances that get the events of a source.
func instancesOf(s Site, source string) []Instance {
	var list []Instance
	for _, in := range s.Instances {
		if len(in.Sources) == 0 || slices.Contains(in.Sources, source) {
			list = append(list, in)
		}
	}
	return list
}

// settingsOf returns the settings of a source.
func (c *compiledSite) settingsOf(s Site, source Source, of []Instance) (sourceSettings, error) {
	protocol, host, _ := strings.Cut(c.publicURL, "://")
	out := sourceSettings{
		Integrations: map[string]any{"Segment.io": map[string]any{
			"apiKey": source.WriteKey, "apiHost": host + "/v1", "protocol": protocol, "addBundledMetadata": true,
			"versionSettings": map[string]any{"version": "4.4.7", "componentTypes": []string{"browser"}},
		}},
		Plan:          map[string]any{"track": map[string]any{"__default": map[string]any{"enabled": true, "integrations": map[string]any{}}}},
		Metrics:       map[string]float64{"sampleRate": 0},
		RemotePlugins: []remotePlugin{},
	}
	out.ConsentSettings = consentOf(of)
	for _, in := range of {
		if !in.Plan.RunsInBrowser() || s.Offline {
			continue
		}
		c.bySource[source.ID] = append(c.bySource[source.ID], in.Plan)
		plugin, err := c.pluginOf(source, in)
		if err != nil {
			return out, err
		}
		out.RemotePlugins = append(out.RemotePlugins, plugin)
		if len(in.Consent) > 0 {
			out.Integrations[plugin.CreationName] = map[string]any{
				"consentSettings": map[string]any{"categories": in.Consent},
				"bundlingStatus":  "unbundled", // it is not an integration of the old analytics.js
				"versionSettings": map[string]any{"componentTypes": []string{}},
			}
		}
	}
	return out, nil
}

// consentOf returns the consent categories of instances, or nil if no instance has one.
func consentOf(of []Instance) *consentSettings {
	var all []string
	unmapped := false
	for _, in := range of {
		all = append(all, in.Consent...)
		unmapped = unmapped || len(in.Consent) == 0
	}
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	return &consentSettings{AllCategories: slices.Compact(all), HasUnmappedDestinations: unmapped}
}

// serveSettings serves the settings of the source with a write key.
func (c *compiledSite) serveSettings(w http.ResponseWriter, r *http.Request, key string) {
	file, ok := c.settings[key]
	switch {
	case !ok:
		refuse(w, http.StatusNotFound, "unknown write key: no source of this server has it")
	case c.publicURL == "":
		refuse(w, http.StatusServiceUnavailable, "the server does not know where browsers reach it: set ingest.publicURL in its config, such as https://events.example.com")
	default:
		file.serveTo(w, r, "application/json; charset=utf-8", settingsCache)
	}
}
