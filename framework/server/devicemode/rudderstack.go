package devicemode

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
)

// sourceConfig is what RudderStack's JavaScript SDK loads before anything else. It names no destinations, since their code is
// RudderStack's own, and turns reports about the SDK off.
type sourceConfig struct {
	Source struct {
		ID           string            `json:"id"`
		Name         string            `json:"name"`
		WriteKey     string            `json:"writeKey"`
		Enabled      bool              `json:"enabled"`
		WorkspaceID  string            `json:"workspaceId"`
		Config       reportingConfig   `json:"config"`
		Destinations []json.RawMessage `json:"destinations"`
	} `json:"source"`
}

// reportingConfig says whether the SDK reports about itself.
type reportingConfig struct {
	StatsCollection struct {
		Errors  reportingSwitch `json:"errors"`
		Metrics reportingSwitch `json:"metrics"`
	} `json:"statsCollection"`
}

type reportingSwitch struct {
	Enabled bool `json:"enabled"`
}

// newSourceConfig returns the settings of a source for RudderStack's SDK.
func newSourceConfig(source Source) (servedFile, error) {
	var c sourceConfig
	c.Source.ID, c.Source.Name, c.Source.WriteKey, c.Source.Enabled = source.ID, source.ID, source.WriteKey, true
	c.Source.Destinations = []json.RawMessage{}
	text, err := json.Marshal(c)
	if err != nil {
		return servedFile{}, fmt.Errorf("the settings of the source %s: %w", source.ID, err)
	}
	return newServedFile(text), nil
}

// serveSourceConfig serves the settings of the source whose write key is in the query or in the Authorization header.
func (c *compiledSite) serveSourceConfig(w http.ResponseWriter, r *http.Request) {
	user, _, _ := r.BasicAuth()
	file, ok := c.sourceConfigs[cmp.Or(r.URL.Query().Get("writeKey"), user)]
	if !ok {
		refuse(w, http.StatusNotFound, "unknown write key: no source of this server has it")
		return
	}
	w.Header().Add("Vary", "Authorization")
	file.serveTo(w, r, "application/json; charset=utf-8", settingsCache)
}
