package runtime

import (
	"fmt"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// DirectSubscription returns a subscription without query and mapping, for payloads that NewItem makes. With resend, changes that
// the remote already has according to the ledger are sent too.
func (p *Plan) DirectSubscription(name, action string, resend bool) (*Subscription, error) {
	s := &Subscription{name: name, action: p.definition.Action(action), resend: resend}
	if s.action == nil {
		return nil, fmt.Errorf("%s has no action %q", p.definition.Name, action)
	}
	s.handler, s.reserved = p.actions[s.action.Key], reservedOf(s.action.Fields)
	var err error
	s.schema, err = fieldschema.Compile(s.action.Fields)
	return s, err
}

// DirectMapping returns the mapping that makes payloads of an action: that of the first enabled subscription with the action, otherwise the defaults of
// its fields.
func (p *Plan) DirectMapping(action string) (*mapping.Mapping, error) {
	for _, s := range p.subscriptions {
		if s.action.Key == action {
			return s.mapping, nil
		}
	}
	a := p.definition.Action(action)
	if a == nil {
		return nil, fmt.Errorf("%s has no action %q", p.definition.Name, action)
	}
	return mapping.Compile(a.DefaultMapping())
}

// RemovedSubscription returns a subscription that the config no longer has, to describe its dead letters. It must not process events.
func RemovedSubscription(name string) *Subscription { return &Subscription{name: name} }

// NewItem checks a payload. It returns an item without an event, or the verdict of an invalid payload.
func (p *Plan) NewItem(s *Subscription, payload event.Value, index int) (Item, *Verdict) {
	payload, err := s.schema.Process(payload)
	if err != nil {
		v := p.failedVerdict(s, fault.As(err), fault.ReporterIntegrations)
		return Item{}, &v
	}
	item := Item{Index: index, Subscription: s, Payload: payload}
	s.setBatch(&item)
	item.Lane, item.Independent = p.laneOf(s, payload, item.BatchKey)
	return item, nil
}
