package devicemode

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/runtime"
)

//go:embed runtime.js
var runtimeScript []byte

var (
	defaultExport = regexp.MustCompile(`(?m)^export default `)
	otherModule   = regexp.MustCompile(`(?m)^(import[\s{*"']|export\s)`)
)

// bundleOf returns a classic script of the runtime and a destination's module, which sets window[library]. The module must be complete in
// itself: it has one default export and imports nothing.
func bundleOf(library string, module []byte) ([]byte, error) {
	if found := len(defaultExport.FindAllIndex(module, 2)); found != 1 {
		return nil, fmt.Errorf("should have one line that starts with export default")
	}
	module = defaultExport.ReplaceAll(module, []byte("exported = "))
	if at := otherModule.Find(module); at != nil {
		return nil, fmt.Errorf("should have no %s besides its default export", bytes.TrimSpace(at))
	}
	name, err := json.Marshal(library)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "(() => {\n'use strict';\nconst libraryName = %s;\nconst module = (() => {\nlet exported;\n%s\nreturn exported;\n})();\n%s})();\n", name, module, runtimeScript)
	return out.Bytes(), nil
}

// libraryOf returns the name of the global variable of a destination's script.
func libraryOf(d *destination.Definition) string {
	return "landfall_" + strings.ReplaceAll(d.Slug, "-", "_")
}

// addScript builds the script of an instance's destination unless it exists, and returns its file name.
func (c *compiledSite) addScript(in Instance) (string, error) {
	d := in.Plan.Definition()
	module, err := in.Plugin.BrowserModule(d)
	if err != nil {
		return "", fmt.Errorf("%s: %s cannot be read: %w", d.Slug, d.Browser, err)
	}
	script, err := bundleOf(libraryOf(d), module)
	if err != nil {
		return "", fmt.Errorf("%s: %s %w", d.Slug, d.Browser, err)
	}
	name := hashOf(script) + ".js" // without the slug, since extensions block addresses with the name of a vendor
	c.scripts[name] = newServedFile(script)
	return name, nil
}

// pluginOf returns the entry of an instance in the settings of a source.
func (c *compiledSite) pluginOf(source Source, in Instance) (remotePlugin, error) {
	file, err := c.addScript(in)
	if err != nil {
		return remotePlugin{}, err
	}
	settings := map[string]any{}
	for key, v := range in.Plan.PublicSettings().Members() {
		settings[key] = json.RawMessage(v.JSON())
	}
	options := map[string]any{
		"instance": in.Plan.ID(), "writeKey": source.WriteKey, "mapURL": c.publicURL + mapPath, "hooks": hooksOf(in.Plan),
	}
	if len(in.Consent) > 0 {
		options["asksConsent"] = true
	}
	settings["_landfall"] = options
	name := in.Plan.IntegrationName()
	return remotePlugin{
		Name: name, CreationName: name, LibraryName: libraryOf(in.Plan.Definition()), URL: c.publicURL + "/device/" + file, Settings: settings,
	}, nil
}

// mapPath is the path to which pages post events.
const mapPath = "/v1/device/map"

// hooksOf returns when the actions of enabled subscriptions run, by action key, unless they run when the destination gets the event.
func hooksOf(plan *runtime.Plan) map[string]string {
	hooks := map[string]string{}
	for _, s := range plan.Subscriptions() {
		if hook := s.Action().LifecycleHook; hook != "" {
			hooks[s.Action().Key] = hook
		}
	}
	return hooks
}
