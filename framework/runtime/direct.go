package runtime

import (
	"fmt"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

// Direct is a subscription without query and mapping: an action that takes payloads as they are. With resend, what the ledger
// says the remote has is sent, too.
func (p *Plan) Direct(name, action string, resend bool) (*Subscription, error) {
	s := &Subscription{name: name, action: p.definition.Action(action), resend: resend}
	if s.action == nil {
		return nil, fmt.Errorf("%s has no action %q", p.definition.Name, action)
	}
	s.handler, s.reserved = p.actions[s.action.Key], reservedOf(s.action.Fields)
	var err error
	s.schema, err = fieldschema.Compile(s.action.Fields)
	return s, err
}

// Gone is a subscription that there is no more, for telling of what it left behind. It takes no events.
func Gone(name string) *Subscription { return &Subscription{name: name} }

// Item checks a payload that was made without an event, and makes an item or a verdict of it.
func (p *Plan) Item(s *Subscription, payload event.Value, index int) (Item, *Verdict) {
	payload, err := s.schema.Process(payload)
	if err != nil {
		v := p.failed(s, fault.As(err), fault.ReporterIntegrations)
		return Item{}, &v
	}
	item := Item{Index: index, Subscription: s, Payload: payload}
	s.batch(&item)
	item.Lane, item.Independent = p.lane(s, payload, item.BatchKey)
	item.Barrier = s.deletes
	return item, nil
}
