package devicemode

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

const scriptType = "text/javascript; charset=utf-8"

// remotePlugin is a destination that analytics.js loads.
type remotePlugin struct {
	Name         string         `json:"name"`
	CreationName string         `json:"creationName"`
	LibraryName  string         `json:"libraryName"`
	URL          string         `json:"url"`
	Settings     map[string]any `json:"settings"`
}

// hashOf returns a hash of a text as it is part of file names and entity tags.
func hashOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// serveScript serves the code of a destination. Its name contains its hash, so that browsers keep it.
func (c *compiledSite) serveScript(w http.ResponseWriter, r *http.Request, name string) {
	file, ok := c.scripts[name]
	if !ok {
		refuse(w, http.StatusNotFound, "unknown script: reload the page, which then loads the current settings")
		return
	}
	file.serveTo(w, r, scriptType, "public, max-age=31536000, immutable")
}

// bundlesPath is where analytics.js loads its further parts from.
const bundlesPath = "/analytics-next/bundles/"

// serveAnalyticsJS serves the operator's copy of analytics.js to a page with a script tag.
func (c *compiledSite) serveAnalyticsJS(w http.ResponseWriter, r *http.Request, key, name string) {
	if _, ok := c.settings[key]; !ok {
		refuse(w, http.StatusNotFound, "unknown write key: no source of this server has it")
		return
	}
	if name != "analytics.min.js" && name != "analytics.js" {
		refuse(w, http.StatusNotFound, "unknown file: the script is analytics.min.js")
		return
	}
	c.serveCopy(w, r, "standalone.js")
}

// serveCopy serves a script of the operator's copy of analytics.js.
func (c *compiledSite) serveCopy(w http.ResponseWriter, r *http.Request, name string) {
	if c.analyticsJS == "" {
		refuse(w, http.StatusNotFound, "this server has no copy of analytics.js: set ingest.analyticsJS in its config to the directory dist/umd of @segment/analytics-next")
		return
	}
	if !strings.HasSuffix(name, ".js") || strings.HasPrefix(name, ".") {
		refuse(w, http.StatusNotFound, "unknown file: only scripts are served here")
		return
	}
	text, err := readFileIn(c.analyticsJS, name)
	if err != nil {
		refuse(w, http.StatusNotFound, "the server's copy of analytics.js has no such file")
		return
	}
	newServedFile(text).serveTo(w, r, scriptType, "public, max-age=600")
}

// readFileIn reads a file of a directory. It does not follow links out of it.
func readFileIn(dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(filepath.Clean(dir))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.ReadFile(name)
}
