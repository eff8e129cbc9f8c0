package connect

import (
	"context"
	"os"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/incoming"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// mapper turns events into payloads. It is safe for concurrent use.
type mapper struct {
	plans     []*runtime.Plan
	maxFuture time.Duration // see incoming.Complete
}

func (f factory) newMapper(conf *service.ParsedConfig, mgr *service.Resources) (service.BatchProcessor, error) {
	cfg, err := readConfig(conf)
	if err != nil {
		return nil, err
	}
	registry, err := f.catalog.RegistryFor(cfg.Config)
	if err != nil {
		return nil, err
	}
	plans, err := runtime.Load(cfg.Config, cfg.problems, registry, func(config.Instance, destination.Entry) (runtime.Host, error) {
		return runtime.Host{
			Env: os.LookupEnv, Log: newSlogger(mgr.Logger()),
			Token: func(context.Context, string, string) (string, error) { return "", nil }, // nothing is sent
		}, nil
	})
	if err != nil {
		return nil, err
	}
	plans, err = selectPlans(conf, plans)
	return &mapper{plans, cfg.Server.MaxFuture}, err
}

// ProcessBatch replaces each event by its payloads.
func (p *mapper) ProcessBatch(_ context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	var out service.MessageBatch
	for _, m := range batch {
		raw, err := m.AsBytes()
		if err != nil {
			return nil, err
		}
		e, err := parseEvent(raw)
		if err != nil {
			m = m.Copy()
			m.SetError(err)
			out = append(out, m)
			continue
		}
		e, reason := incoming.CompleteWithReason(e, time.Now(), p.maxFuture)
		out = append(out, p.mapEvent(m, e, reason)...)
	}
	if len(out) == 0 {
		return nil, nil
	}
	return []service.MessageBatch{out}, nil
}

// mapEvent returns one message for each subscription that matches the event. replacedReason is why its timestamp was replaced, or "".
func (p *mapper) mapEvent(m *service.Message, e event.Event, replacedReason string) (out service.MessageBatch) {
	for _, plan := range p.plans {
		for _, s := range plan.Offered(e) {
			item, verdict := plan.Prepare(s, e, 0)
			if verdict != nil && verdict.Outcome == runtime.Skipped {
				continue
			}
			made := m.Copy()
			made.MetaSetMut("landfall_instance", plan.ID())
			made.MetaSetMut("landfall_destination", plan.Definition().Slug)
			made.MetaSetMut("landfall_subscription", s.Name())
			made.MetaSetMut("landfall_action", s.Action().Key)
			setReplacedTime(made, replacedReason)
			if verdict != nil {
				r := result{verdicts: []runtime.Verdict{*verdict}}
				made.MetaSetMut("landfall_reason", verdict.Reason)
				made.SetError(r.asError())
			} else {
				made.SetBytes(item.Payload.AppendJSON(nil))
			}
			out = append(out, made)
		}
	}
	return out
}

// Close does nothing.
func (*mapper) Close(context.Context) error { return nil }
