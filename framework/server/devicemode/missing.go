package devicemode

import (
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// Missing returns what a config lacks for pages to use an instance, which matters only if its destination runs in the browser.
func Missing(plan *runtime.Plan, cfg *config.Config) []string {
	if !plan.RunsInBrowser() {
		return nil
	}
	var texts []string
	if cfg.Server.PublicURL == "" {
		texts = append(texts, "the destination runs in pages, which cannot load it without ingest.publicURL: set it to the URL at which browsers reach this server")
	}
	if len(cfg.Server.Origins) == 0 {
		texts = append(texts, "the destination runs in pages, which cannot read the server's answers without ingest.origins: list the origins of your pages, such as https://www.example.com")
	}
	return texts
}
