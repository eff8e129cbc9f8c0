package server

import (
	"context"
	"reflect"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server/ingest"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// applyConfig makes the server use a config and its instances.
func (v *server) applyConfig(ctx context.Context, cfg *config.Config, all []instances.Instance) error {
	for _, w := range cfg.Warnings() {
		v.Log.Warn("config", "warning", w.String())
	}
	var list []delivery.Instance
	for _, in := range all {
		for _, w := range in.Plan.Warnings() {
			v.Log.Warn("config", "warning", w.String())
		}
		if !in.Plan.RunsInBrowser() { // pages get their payloads from devices
			list = append(list, delivery.Instance{Plan: in.Plan, Sources: in.Config.Sources, Version: in.ConfigVersion()})
		}
	}
	if err := v.devices.SetSite(v.deviceSite(cfg, all)); err != nil {
		return err
	}
	if err := v.runner.SetInstances(ctx, list); err != nil {
		return err
	}
	v.warnHooks(ctx, all)
	v.warnDevices(cfg, all)
	var sources []ingest.Source
	for _, s := range cfg.Sources {
		sources = append(sources, ingest.Source{ID: s.ID, WriteKey: s.WriteKey, PerSecond: s.PerSecond, Deletes: s.Deletes, Erases: s.Erases})
	}
	v.ingest.SetSources(sources, cfg.Server.Origins)
	v.config.Store(cfg)
	v.recordConfig(ctx, cfg, all)
	was := v.runningInstances()
	v.running.Store(&all)
	v.closeReplaced(ctx, was)
	v.expireRemoved()
	v.warnRemoved()
	return nil
}

// closeReplaced closes the plans of earlier instances with which the runner does not deliver: it closes the others itself.
func (v *server) closeReplaced(ctx context.Context, was []instances.Instance) {
	was = slices.DeleteFunc(slices.Clone(was), func(in instances.Instance) bool { return v.runner.Runs(in.Plan) })
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	_ = instances.Close(ctx, was) // the plans log it; what is still used is closed after its use
}

// closeTimeout is how long a reload waits for the instances that it replaces.
const closeTimeout = 5 * time.Second

// runningInstances returns the instances of the config in effect; none before the first config is applied.
func (v *server) runningInstances() []instances.Instance {
	if list := v.running.Load(); list != nil {
		return *list
	}
	return nil
}

// reloadConfig reads the config again and applies it. If the config has mistakes, the error has all of them and nothing changes.
func (v *server) reloadConfig(ctx context.Context) error {
	err := v.loadConfigAgain(ctx)
	if err == nil {
		v.refused.Store(nil)
	} else if ctx.Err() == nil {
		v.refused.Store(&refusal{time.Now(), err})
	}
	return err
}

// loadConfigAgain is reloadConfig without a record of the refusal.
func (v *server) loadConfigAgain(ctx context.Context) error {
	v.commands.Forget()
	cfg, problems := config.Load(v.Config, config.Env{Commands: v.commands})
	if cfg != nil && len(problems) == 0 {
		if err := v.checkConfig(cfg); err != nil {
			return err
		}
	}
	all, err := instances.Load(cfg, problems, v.hosting)
	if err != nil {
		return err
	}
	was := v.config.Load()
	if err := v.applyConfig(ctx, cfg, all); err != nil {
		return err
	}
	fixed, old := cfg.Server, was.Server
	for _, s := range []*config.Server{&fixed, &old} {
		s.Origins, s.AdminKey, s.HasAdminKey, s.TrustedProxies, s.PublicURL, s.AnalyticsJS = nil, "", false, nil, "", "" // changes of these need no restart
	}
	if !reflect.DeepEqual(fixed, old) || cfg.Data != was.Data || cfg.StateURL != was.StateURL {
		v.Log.Warn("the config has changes that need a restart of the server: listen, admin.listen, tls, proxyProtocol, ingest, delivery, nats, state or data")
	}
	v.Log.Info("config reloaded", "destinations", len(all), "sources", len(cfg.Sources))
	return nil
}

// watchConfig reloads the config and the TLS certificate on SIGHUP and whenever their files or those of secrets change, until ctx ends.
func (v *server) watchConfig(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	seen := configSight{last: v.config.Load().LoadedFingerprint()}
	var waiting chan struct{} // closed when this round is done
	for {
		if waiting != nil {
			close(waiting)
			waiting = nil
		}
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-v.hangup:
			asked = true
		case waiting = <-v.written:
		case <-ticker.C:
		}
		if v.certificates != nil {
			v.certificates.refresh()
		}
		text := v.readConfig()
		if !seen.look(text != "", v.config.Load().Fingerprint(text), time.Now()) && !asked {
			continue
		}
		if err := v.reloadConfig(ctx); err == nil {
			seen.last = v.config.Load().LoadedFingerprint() // it may have other secret files
		} else if ctx.Err() == nil {
			v.logRefusal(err)
		}
	}
}

// configSight is what the server last saw of the config and of its secret files.
type configSight struct {
	last       string    // their fingerprint
	unreadable time.Time // since when the config cannot be read, or is empty; zero if it can be read
}

// unreadableGrace is how long a config may be missing or empty while it is replaced, before the server reports it.
const unreadableGrace = 10 * time.Second

// look reports whether the config has to be loaded, and notes its fingerprint then.
func (s *configSight) look(readable bool, fingerprint string, now time.Time) bool {
	switch {
	case readable:
		s.unreadable = time.Time{}
	case s.unreadable.IsZero():
		s.unreadable = now
	}
	if fingerprint == s.last || !readable && now.Sub(s.unreadable) < unreadableGrace {
		return false
	}
	s.last = fingerprint
	return true
}

// waitForReload waits until the config in the file is used or was refused, for a few seconds at most: a reload waits for requests in flight.
func (v *server) waitForReload(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	done := make(chan struct{})
	select {
	case v.written <- done:
	case <-ctx.Done():
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// readConfig returns the text of the config, or "" if it cannot be read, for example while it is being replaced.
func (v *server) readConfig() string {
	text, err := textfile.ReadFile(v.Config)
	if err != nil {
		return ""
	}
	return string(text)
}

// warnHooks logs the hooks that have not run with their current inputs.
func (v *server) warnHooks(ctx context.Context, list []instances.Instance) {
	for _, in := range list {
		for _, s := range in.Plan.HookedSubscriptions() {
			due, err := in.Plan.DueHooks(ctx, s)
			if err != nil {
				v.Log.Warn("cannot find out which hooks have to run", "instance", in.Plan.ID(), "error", err)
			}
			for _, name := range due {
				v.Log.Warn("a hook has not run with its current inputs: run landfall hooks run", "instance", in.Plan.ID(), "subscription", s.Name(), "hook", name)
			}
		}
	}
}
