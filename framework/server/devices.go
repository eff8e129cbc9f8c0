package server

import (
	"context"

	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/devicemode"
	"github.com/landfall-dev/landfall/framework/server/ingest"
)

// deviceSite returns what pages can load from the server. With a sandbox in this process nothing may leave the machine, so that it has no
// destinations of the browser.
func (v *server) deviceSite(cfg *config.Config, all []instances.Instance) devicemode.Site {
	site := devicemode.Site{PublicURL: cfg.Server.PublicURL, Offline: !v.Target.Live && v.Target.SandboxURL == ""}
	if cfg.Server.AnalyticsJS != "" {
		site.AnalyticsJS = cfg.ResolvePath(cfg.Server.AnalyticsJS)
	}
	for _, s := range cfg.Sources {
		site.Sources = append(site.Sources, devicemode.Source{ID: s.ID, WriteKey: s.WriteKey})
	}
	for _, in := range all {
		site.Instances = append(site.Instances, devicemode.Instance{Plan: in.Plan, Plugin: in.Plugin, Sources: in.Config.Sources, Consent: in.Config.Consent})
	}
	return site
}

// warnDevices logs what keeps pages from using destinations that run in the browser.
func (v *server) warnDevices(cfg *config.Config, all []instances.Instance) {
	for _, in := range all {
		for _, text := range devicemode.Missing(in.Plan, cfg) {
			v.Log.Warn(text, "instance", in.Plan.ID())
		}
	}
}

// mapForPage returns what the actions in the browser get of an event.
func (v *server) mapForPage(_ context.Context, e ingest.Event) ([]byte, error) {
	return v.devices.Map(e.Source, e.Raw)
}
