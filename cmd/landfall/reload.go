package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"reflect"
	"syscall"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/ingest"
)

// use makes a config be what is served.
func (v *serving) use(ctx context.Context, cfg *config.Config, instances []instance) error {
	list := make([]delivery.Instance, len(instances))
	for i, in := range instances {
		for _, w := range in.plan.Warnings() {
			v.log.Warn("config", "warning", w.String())
		}
		list[i] = delivery.Instance{Plan: in.plan, Sources: in.config.Sources, Version: in.version()}
	}
	if err := v.runner.SetInstances(ctx, list); err != nil {
		return err
	}
	v.warnHooks(ctx, instances)
	var sources []ingest.Source
	for _, s := range cfg.Sources {
		sources = append(sources, ingest.Source{ID: s.ID, WriteKey: s.WriteKey, PerSecond: s.PerSecond, Deletes: s.Deletes})
	}
	v.ingest.SetSources(sources, cfg.Server.Origins)
	v.config.Store(cfg)
	v.running.Store(&instances)
	v.forgetGone()
	v.warnGone()
	return nil
}

// reload reads the config again. Where it has mistakes, all of them are the error and nothing changes.
func (v *serving) reload(ctx context.Context) error {
	cfg, problems := config.Load(v.path, config.Env{})
	if cfg != nil && len(problems) == 0 {
		if err := checkSources(cfg, v.path); err != nil {
			return err
		}
	}
	instances, err := loadPlans(cfg, problems, v.hosting)
	if err != nil {
		return err
	}
	was := v.config.Load()
	if err := v.use(ctx, cfg, instances); err != nil {
		return err
	}
	fixed, old := cfg.Server, was.Server
	for _, s := range []*config.Server{&fixed, &old} {
		s.Origins, s.AdminKey, s.HasAdminKey, s.TrustedProxies = nil, "", false, nil // these apply at once
	}
	if !reflect.DeepEqual(fixed, old) || cfg.Data != was.Data || cfg.StateURL != was.StateURL || cfg.StateKey != was.StateKey {
		v.log.Warn("some of what has changed in the config needs a restart: listen, admin.listen, ingest, delivery, nats, state and data do")
	}
	v.log.Info("config reloaded", "destinations", len(instances), "sources", len(cfg.Sources))
	return nil
}

// watch reloads on SIGHUP and when the file has changed, until ctx ends.
func (v *serving) watch(ctx context.Context) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	last := v.read()
	for {
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			asked = true
		case <-ticker.C:
		}
		now := v.read()
		if !asked && (now == last || now == "") {
			continue
		}
		last = now
		if err := v.reload(ctx); err != nil && ctx.Err() == nil {
			v.refuse(err)
		}
	}
}

// read is the config's text, "" where it cannot be read, as while it is being replaced.
func (v *serving) read() string {
	text, err := os.ReadFile(v.path)
	if err != nil {
		return ""
	}
	return string(text)
}

// refuse tells of every mistake of a config that is not used.
func (v *serving) refuse(err error) {
	var problems fault.Problems
	if !errors.As(err, &problems) {
		v.log.Error("the config is not used, the old one goes on", "error", err)
		return
	}
	for _, p := range problems {
		v.log.Error("the config is not used, the old one goes on", "problem", p.String())
	}
}
