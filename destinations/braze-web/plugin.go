// Package brazeweb loads the Braze Web SDK in the browser. browser.js performs the actions there; the server maps the events.
package brazeweb

import (
	"embed"
	"fmt"
	"net/url"
	"regexp"
	"slices"

	"github.com/landfall-dev/landfall/destinations/internal/brazesandbox"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
)

//go:embed destination.yaml browser.js
var definition embed.FS

// Plugin returns the destination.
func Plugin() destination.Plugin {
	return destination.Plugin{Definition: definition, CheckSettings: checkSettings, Sandbox: brazesandbox.Sandbox()}
}

// hostName is a host name such as sdk.iad-01.braze.com.
var hostName = regexp.MustCompile(`^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`)

// checkSettings checks what browsers would only notice when they load the SDK.
func checkSettings(v event.Value, _ destination.Environment) error {
	if endpoint := v.Get("endpoint").Str(); !hostName.MatchString(endpoint) && !isSafeURL(endpoint, true) {
		return fmt.Errorf("SDK Endpoint should be a host name such as sdk.iad-01.braze.com but is %q", endpoint)
	}
	if sdk := v.Get("sdkUrl").Str(); sdk != "" && !isSafeURL(sdk, false) {
		return fmt.Errorf("SDK URL should be an https URL but is %q", sdk)
	}
	return nil
}

// isSafeURL reports whether a text is an https URL, or an http URL of this machine, without a user and a fragment. With bare, it has no path
// and no query.
func isSafeURL(text string, bare bool) bool {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" || bare && (u.RawQuery != "" || u.Path != "" && u.Path != "/") {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname())
}

func isLoopback(host string) bool {
	return slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, host)
}
