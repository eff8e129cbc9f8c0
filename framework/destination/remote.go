package destination

import (
	"net/url"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

// Remote returns the settings that identify the remote account, by their keys: those whose field says identifiesRemote, and URLs. Of
// a URL only the host is returned, since the rest may hold secrets. Passwords are never returned.
func (d *Definition) Remote(settings event.Value) map[string]string {
	remote := map[string]string{}
	for _, f := range d.Settings {
		marked, _ := f.Raw.Get("identifiesRemote").Bool()
		if f.Type == fieldschema.Password || !marked && f.Format != "uri" && f.Format != "hostname" {
			continue
		}
		v := settings.Get(f.Key)
		if v.Kind() == event.Absent || v.Kind() == event.Null {
			v = f.Default
		}
		if text := hostOf(v.Text()); text != "" {
			remote[f.Key] = text
		}
	}
	return remote
}

// hostOf returns the host and port of a URL in lower case, and any other text as it is.
func hostOf(text string) string {
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil || u.Host == "" {
		return strings.TrimSpace(text)
	}
	return strings.ToLower(u.Host)
}
