package runtime

import (
	"context"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// OnDelete is the name of the subscription, and of its action, that takes deletions of users where a destination can delete.
const OnDelete = "onDelete"

// deletionFields are what a deletion needs of its event.
const deletionFields = `{
	"user_id": {"label": "User ID", "type": "string", "default": {"@path": "$.userId"},
		"required": {"conditions": [{"fieldKey": "anonymous_id", "operator": "is"}]}},
	"anonymous_id": {"label": "Anonymous ID", "type": "string", "default": {"@path": "$.anonymousId"}}
}`

// ids are the payload of a deletion.
type ids struct{ user, anonymous string }

// Decode reads a value that has passed its schema.
func (d *ids) Decode(v event.Value) {
	d.user, d.anonymous = v.Get("user_id").Str(), v.Get("anonymous_id").Str()
}

// anySettings are settings as they are.
type anySettings struct{ event.Value }

// Decode reads a value that has passed its schema.
func (s *anySettings) Decode(v event.Value) { s.Value = v }

// deletion is the subscription that takes deletions of users, as a list to offer events to; nil where the destination has none.
func (c *compiler) deletion() []*Subscription {
	onDelete := c.plugin.OnDelete
	if onDelete == nil {
		return nil
	}
	fields, err := fieldschema.ParseFields(event.MustParse(deletionFields))
	c.problems.AddUnder(c.instance.Pointer, err)
	action := &destination.ActionDefinition{
		Key: OnDelete, Title: "Delete a user", Description: "Deletes the user of an event of type delete.",
		DefaultSubscription: `type = "delete"`, Fields: fields,
	}
	s := &Subscription{name: OnDelete, action: action, sample: 1, deletes: true}
	s.handler = destination.Handle(destination.Handler[anySettings, ids]{
		Perform: func(ctx context.Context, call destination.Call[anySettings, ids]) (*destination.Response, error) {
			return nil, onDelete(ctx, destination.DeleteInput{
				Deps: call.Deps, Settings: call.Settings.Value, UserID: call.Payload.user, AnonymousID: call.Payload.anonymous,
			})
		},
	})
	if s.query, err = fql.Compile(action.DefaultSubscription); err != nil {
		c.problems.AddUnder(c.instance.Pointer, err)
	}
	if s.mapping, err = mapping.Compile(action.DefaultMapping()); err != nil {
		c.problems.AddUnder(c.instance.Pointer, err)
	}
	if s.schema, err = fieldschema.Compile(fields); err != nil {
		c.problems.AddUnder(c.instance.Pointer, err)
	}
	return []*Subscription{s}
}

// deletes tells whether an event deletes a user, where the destination can do that.
func (p *Plan) deletes(e event.Event) bool {
	return p.deletion != nil && e.Value().Get("type").Str() == "delete"
}

// Offered are the subscriptions that an event is offered to: those of the config, or the one that takes deletions of users.
func (p *Plan) Offered(e event.Event) []*Subscription {
	if p.deletes(e) {
		return p.deletion
	}
	return p.subscriptions
}

// Subscription is the one with a name, that for deletions included; nil where there is none.
func (p *Plan) Subscription(name string) *Subscription {
	for _, list := range [][]*Subscription{p.subscriptions, p.deletion} {
		for _, s := range list {
			if s.name == name {
				return s
			}
		}
	}
	return nil
}
